import { isIdentityToken, type Credentials } from '../../config/auth-file.ts';
import { parseChallenges, type Challenge } from './challenge.ts';
import { discardBody, isStream, type HttpRequest, type Send } from './http.ts';
import { basicAuthorization, createTokenCall, readToken, readTokenChallenge, tokenUrl } from './token.ts';
import type { Token, TokenCall, TokenRequest } from './token.ts';

export interface AuthorizerOptions {
  readonly registry: URL;
  /** `repository:NAME:pull`, `…:pull,push`; none for calls that are of no repository. */
  readonly scopes: readonly string[];
  /** Asked when the registry wants to know, and once. */
  readonly findCredentials: () => Promise<Credentials | undefined>;
  /** Gets a token server's answer, after retries. */
  readonly fetchToken: (call: TokenCall) => Promise<Uint8Array>;
}

/** Knows what a registry wants in Authorization, once it has asked. */
export class Authorizer {
  readonly #options: AuthorizerOptions;
  readonly #tokens = new Map<string, Promise<Token>>();
  /** What they were asked with, but for scopes of single requests. */
  #asked = '';
  #credentials: Promise<Credentials | undefined> | undefined;
  #method: 'none' | 'basic' | TokenRequest = 'none';

  constructor(options: AuthorizerOptions) {
    this.#options = options;
  }

  /**
   * The header for the next request; undefined while the registry has not asked for one.
   * @param also scopes that this request needs besides
   */
  async authorization(also: readonly string[] = []): Promise<string | undefined> {
    const method = this.#method;
    if (method === 'none') return undefined;
    if (method !== 'basic') return `Bearer ${(await this.#token(withScopes(method, also))).value}`;
    const credentials = await this.#findCredentials();
    // An identity token is for token servers alone.
    return credentials === undefined || isIdentityToken(credentials)
      ? undefined
      : basicAuthorization(credentials);
  }

  /** The header that meets a refusal's challenges; undefined when we have nothing better than what was `sent`. */
  async meet(
    challenges: readonly Challenge[],
    sent: string | undefined,
    also: readonly string[] = [],
  ): Promise<string | undefined> {
    const { scopes, registry } = this.#options;
    const bearer = challenges.find(({ scheme }) => scheme === 'bearer');
    if (bearer !== undefined) {
      const request = readTokenChallenge(bearer, [...scopes, ...also], registry);
      const method = { ...request, scopes: request.scopes.filter((scope) => !also.includes(scope)) };
      this.#method = method;
      this.#keepTokensOf(tokenUrl(method).href);
      await this.#forget(withScopes(method, also), sent);
    } else if (challenges.some(({ scheme }) => scheme === 'basic')) {
      this.#method = 'basic';
    }
    const authorization = await this.authorization(also);
    return authorization === sent ? undefined : authorization;
  }

  /** One token for each scope, fetched once however many requests wait for it. */
  async #token(request: TokenRequest): Promise<Token> {
    const key = tokenUrl(request).href;
    const known = this.#tokens.get(key);
    if (known !== undefined && (await known).expires > Date.now()) return known;
    // Whoever waited beside us may have begun already.
    const begun = this.#tokens.get(key);
    if (begun !== undefined && begun !== known) return begun;
    const token = this.#fetchToken(request);
    this.#tokens.set(key, token);
    token.catch(() => this.#tokens.delete(key));
    return token;
  }

  async #fetchToken(request: TokenRequest): Promise<Token> {
    const call = createTokenCall(request, await this.#findCredentials());
    return readToken(await this.#options.fetchToken(call), request.realm, Date.now());
  }

  /** No others: a registry that wants something else each time would fill the memory with them. */
  #keepTokensOf(asked: string): void {
    if (asked !== this.#asked) this.#tokens.clear();
    this.#asked = asked;
  }

  async #forget(request: TokenRequest, sent: string | undefined): Promise<void> {
    const key = tokenUrl(request).href;
    const known = this.#tokens.get(key);
    if (known !== undefined && `Bearer ${(await known).value}` === sent) this.#tokens.delete(key);
  }

  #findCredentials(): Promise<Credentials | undefined> {
    this.#credentials ??= this.#options.findCredentials();
    return this.#credentials;
  }
}

function withScopes(request: TokenRequest, also: readonly string[]): TokenRequest {
  return also.length === 0 ? request : { ...request, scopes: [...request.scopes, ...also] };
}

/**
 * Sends Authorization with requests to the registry's own origin, and a request that was refused once more with what
 * the refusal asks for. A body that was a stream is gone by then; what is sent next has the better one.
 */
export function withAuthorization(send: Send, authorizer: Authorizer, registry: URL): Send {
  return async (request) => {
    if (request.anonymous === true || request.url.origin !== registry.origin) return send(request);
    const sent = await authorizer.authorization(request.scopes);
    const answer = await send(authorize(request, sent));
    if (answer.status !== 401 || answer.url.origin !== registry.origin) return answer;
    let better: string | undefined;
    try {
      better = await authorizer.meet(
        parseChallenges(answer.headers['www-authenticate']),
        sent,
        request.scopes,
      );
    } catch (error) {
      await discardBody(answer);
      throw error;
    }
    if (better === undefined || isStream(request.body)) return answer;
    await discardBody(answer);
    return send(authorize(request, better));
  };
}

function authorize(request: HttpRequest, authorization: string | undefined): HttpRequest {
  return authorization === undefined
    ? request
    : { ...request, headers: { ...request.headers, authorization } };
}
