import { findCredentials } from '../../config/auth-file.ts';
import { isAtomicError } from '../../errors.ts';
import type { RegistryImage } from '../../image/reference.ts';
import { TOKEN_BYTES, type Cap } from '../../limits.ts';
import { readAll } from '../../stream/read-all.ts';
import { Authorizer, withAuthorization, type AuthorizerOptions } from './auth.ts';
import { createConnections } from './connections.ts';
import { findEndpoint } from './endpoint.ts';
import { explain, type Task } from './explain.ts';
import { ConnectionFailure } from './failure.ts';
import {
  createHttpSend,
  expectStatus,
  isStream,
  type HttpAnswer,
  type HttpRequest,
  type Send,
} from './http.ts';
import { TIMING, type RegistryOptions } from './options.ts';
import { withRedirects } from './redirect.ts';
import { retryPassing, type RetryContext } from './retry.ts';
import { showUrl } from './text.ts';

/** A request to the registry of the client. */
export interface Call extends Omit<HttpRequest, 'url' | 'headers'> {
  /** Below the repository: `manifests/latest`; or the whole URL that the registry gave us. */
  readonly at: string | URL;
  readonly headers?: Readonly<Record<string, string>>;
  /** Statuses that are an answer; others are a failure. */
  readonly accept: readonly number[];
  /** Completes "Cannot …" in the error. */
  readonly doing: string;
  readonly kind: Task['kind'];
}

export interface WholeAnswer {
  readonly status: number;
  readonly headers: HttpAnswer['headers'];
  readonly bytes: Buffer;
  readonly url: URL;
}

/** A repository of a registry: every request is authorized, redirected, tried again and its failure explained. */
export interface RegistryClient {
  /** `host[:port]/path[:tag][@digest]` */
  readonly image: string;
  readonly retries: RetryContext;
  /** An answer with its body still to come. */
  open(call: Call): Promise<HttpAnswer>;
  /** An answer with its body, up to the cap. @throws also AtomicError `limit-exceeded` */
  fetch(call: Call, cap: Cap): Promise<WholeAnswer>;
  /** A failure that a call met after its answer had begun, as the error that the caller sees. */
  explain(error: unknown, call: Pick<Call, 'doing' | 'kind'>): unknown;
  close(): Promise<void>;
}

/** @param access what a token has to allow. */
export function createClient(
  image: RegistryImage,
  access: 'pull' | 'pull,push',
  options: RegistryOptions,
): RegistryClient {
  const { timing = TIMING, report, signal } = options;
  const { domain, repository } = image;
  const retries: RetryContext = { timing, report, signal };
  const connections = createConnections(domain, options);
  const transmit = createHttpSend(connections, timing, options.userAgent);
  const follow = withRedirects(transmit);
  let authorized: Promise<{ registry: URL; send: Send }> | undefined;

  async function connect(): Promise<{ registry: URL; send: Send }> {
    const registry = await findEndpoint(image, options, transmit);
    const authorizer = new Authorizer({
      registry,
      scope: `repository:${repository}:${access}`,
      findCredentials: async () => options.credentials ?? findCredentials({ ...options, domain, repository }),
      fetchToken: createTokenFetch(follow, image, retries),
    });
    return { registry, send: withAuthorization(follow, authorizer, registry) };
  }

  function explainFor(error: unknown, { doing, kind }: Pick<Call, 'doing' | 'kind'>): unknown {
    return explain(error, { text: doing, kind, domain, signal });
  }

  async function perform<T>(call: Call, read: (answer: HttpAnswer) => Promise<T>): Promise<T> {
    const { at, headers = {}, accept, doing, kind, ...rest } = call;
    try {
      authorized ??= connect().catch((error: unknown) => {
        authorized = undefined;
        throw error;
      });
      const { registry, send } = await authorized;
      const url = typeof at === 'string' ? new URL(`/v2/${repository}/${at}`, registry) : at;
      const attempt = async (): Promise<T> =>
        read(await expectStatus(await send({ signal, ...rest, url, headers }), accept));
      return await (isStream(call.body) ? attempt() : retryPassing(attempt, retries));
    } catch (error) {
      throw explainFor(error, { doing, kind });
    }
  }

  return {
    image: formatImage(image),
    retries,
    open: (call) => perform(call, async (answer) => answer),
    fetch: (call, cap) =>
      perform(call, async (answer) => {
        const { status, headers, url } = answer;
        return { status, headers, url, bytes: await readBody(answer, cap) };
      }),
    explain: explainFor,
    close: () => connections.close(),
  };
}

/** What asks a token server; the calls that wait for a token do not try it again. */
function createTokenFetch(
  send: Send,
  image: RegistryImage,
  retries: RetryContext,
): AuthorizerOptions['fetchToken'] {
  const { signal } = retries;
  return async (url, authorization) => {
    const headers = authorization === undefined ? {} : { authorization };
    try {
      return await retryPassing(async () => {
        const answer = await expectStatus(await send({ method: 'GET', url, headers, signal }), [200]);
        return readBody(answer, TOKEN_BYTES);
      }, retries);
    } catch (error) {
      const text = `get a token for ${formatImage(image)} from ${showUrl(url)}`;
      throw explain(error, { text, kind: 'token', domain: image.domain, signal });
    }
  };
}

async function readBody({ body, url }: HttpAnswer, cap: Cap): Promise<Buffer> {
  try {
    return await readAll(body, cap, `The answer of ${showUrl(url)}`);
  } catch (error) {
    throw isAtomicError(error) ? error : new ConnectionFailure(url, error);
  }
}

function formatImage({ domain, repository, tag, digest }: RegistryImage): string {
  return `${domain}/${repository}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}
