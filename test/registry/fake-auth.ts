import type { IncomingMessage } from 'node:http';

/** How a fake registry wants to be asked. */
export type FakeAuth =
  | { readonly kind: 'basic'; readonly username: string; readonly password: string }
  | {
      readonly kind: 'token';
      /** Needed for a token; without, everybody gets one that allows to pull. */
      readonly username?: string;
      readonly password?: string;
      /** A refresh token that will do in place of both, when it is posted. */
      readonly identityToken?: string;
      /** Named in the challenge; the fake's own `/token` when not given. */
      readonly realm?: string;
      /** Seconds, as the token server says. */
      readonly expiresIn?: number;
    };

export interface Refusal {
  readonly challenge: string;
}

const ACTIONS: ReadonlyMap<string, string> = new Map([
  ['GET', 'pull'],
  ['HEAD', 'pull'],
  ['DELETE', 'delete'],
]);

/** The part of a fake registry that issues and checks credentials. */
export class FakeGate {
  readonly #auth: FakeAuth | undefined;
  /** The scopes of each. */
  readonly #tokens = new Map<string, string[]>();
  #issued = 0;

  constructor(auth: FakeAuth | undefined) {
    this.#auth = auth;
  }

  /** Undefined when the request may pass. */
  check(request: IncomingMessage, origin: string): Refusal | undefined {
    if (this.#auth === undefined) return undefined;
    const given = request.headers.authorization;
    if (this.#auth.kind === 'basic') {
      return given === basic(this.#auth) ? undefined : { challenge: 'Basic realm="fake, with a comma"' };
    }
    const repository = /^\/v2\/(.+?)\/(?:manifests|blobs|tags)\//.exec(request.url ?? '')?.[1];
    const action = ACTIONS.get(request.method ?? '') ?? 'push';
    const granted = this.#tokens.get(given?.replace(/^Bearer /, '') ?? '');
    if (granted !== undefined && repository === undefined) return undefined;
    if (granted?.some((scope) => allows(scope, repository, action)) === true) return undefined;
    const realm = this.#auth.realm ?? `${origin}/token`;
    const scope = repository === undefined ? '' : `,scope="repository:${repository}:${action}"`;
    return { challenge: `Bearer realm="${realm}",service="fake"${scope}` };
  }

  /** What `/token` answers: undefined when the credentials are wrong. */
  issue(request: IncomingMessage, body: Buffer): object | undefined {
    if (this.#auth?.kind !== 'token') return undefined;
    const { username, password = '', expiresIn, identityToken } = this.#auth;
    const url = new URL(request.url ?? '', 'http://fake');
    const form = request.method === 'POST' ? new URLSearchParams(body.toString()) : undefined;
    const isRight =
      form === undefined
        ? username === undefined || request.headers.authorization === basic({ username, password })
        : form.get('grant_type') === 'refresh_token' && form.get('refresh_token') === identityToken;
    if (!isRight) return undefined;
    const token = `token-${(this.#issued += 1)}`;
    this.#tokens.set(token, form?.get('scope')?.split(' ') ?? url.searchParams.getAll('scope'));
    return { token, ...(expiresIn === undefined ? {} : { expires_in: expiresIn }) };
  }

  /** Makes every token invalid that was issued so far. */
  revokeTokens(): void {
    this.#tokens.clear();
  }
}

function allows(scope: string, repository: string | undefined, action: string): boolean {
  const [, name, actions = ''] = /^repository:(.+):([a-z,]+|\*)$/.exec(scope) ?? [];
  return name === repository && (actions === '*' || actions.split(',').includes(action));
}

function basic({ username, password }: { username: string; password: string }): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}
