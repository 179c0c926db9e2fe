import { searchCredentials, type Credentials } from '../../config/auth-file.ts';
import { isAtomicError } from '../../errors.ts';
import { REQUEST_TRIES, TOKEN_BYTES, type Cap } from '../../limits.ts';
import { readAll } from '../../stream/read-all.ts';
import { Authorizer, withAuthorization, type AuthorizerOptions } from './auth.ts';
import { createConnections, type Connections } from './connections.ts';
import { findEndpoint } from './endpoint.ts';
import { explain, type ShownCredentials, type Task } from './explain.ts';
import { ConnectionFailure, StatusFailure } from './failure.ts';
import {
  createHttpSend,
  expectStatus,
  isStream,
  within,
  type HttpAnswer,
  type HttpRequest,
  type Send,
} from './http.ts';
import { TIMING, type RegistryOptions, type Timing } from './options.ts';
import { followPages } from './pages.ts';
import { ownPlace, type NamedImage } from './places.ts';
import { withRedirects } from './redirect.ts';
import { retryPassing, type RetryContext } from './retry.ts';
import { showUrl } from './text.ts';

/** A request to the registry of the client. */
export interface Call extends Omit<HttpRequest, 'url' | 'headers'> {
  /**
   * Below the repository: `manifests/latest`; of a whole registry below `/v2/`; or the URL that the registry gave us.
   */
  readonly at: string | URL;
  readonly headers?: Readonly<Record<string, string>>;
  /** Statuses that are an answer; others are a failure. */
  readonly accept: readonly number[];
  /** Completes "Cannot …" in the error. */
  readonly doing: string;
  readonly kind: Task['kind'];
  /** Not tried again: what it asks for cannot be asked twice. */
  readonly once?: boolean;
}

export interface WholeAnswer {
  readonly status: number;
  readonly headers: HttpAnswer['headers'];
  readonly bytes: Buffer;
  readonly url: URL;
}

/**
 * A registry or a repository of it: every request is authorized, redirected, tried again and its failure explained.
 * What the registry says is capped: `fetch` and `pages` by what the caller names, an answer that is not wanted by
 * ERROR_BODY_BYTES.
 */
export interface RegistryClient {
  /** `host[:port]/path[:tag][@digest]`; of a whole registry its host alone. */
  readonly image: string;
  /** Empty of a whole registry. */
  readonly repository: string;
  readonly retries: RetryContext;
  /** Its URL; may have to ask it for that. @throws as a call */
  endpoint(call: Pick<Call, 'doing' | 'kind'>): Promise<URL>;
  /** An answer with its body still to come. */
  open(call: Call): Promise<HttpAnswer>;
  /** An answer with its body, up to the cap. @throws also AtomicError `limit-exceeded` */
  fetch(call: Call, cap: Cap): Promise<WholeAnswer>;
  /**
   * The pages of a list, as far as `Link: <…>; rel="next"` leads: on the registry's own origin only, LIST_PAGES at
   * most, and to none twice. `cap` is that of one page.
   * @throws also AtomicError `registry-error` for a link that leads elsewhere or in a circle; `limit-exceeded`
   * @see OCI distribution specification 1.1, "Listing Tags"; RFC 8288
   */
  pages(call: Call, cap: Cap): AsyncGenerator<WholeAnswer, void, undefined>;
  /** A failure that a call met after its answer had begun, as the error that the caller sees. */
  explain(error: unknown, call: Pick<Call, 'doing' | 'kind'>): unknown;
  close(): Promise<void>;
}

/** What a client speaks to. */
interface Target {
  /** Without a repository it is the whole registry. */
  readonly image: NamedImage;
  /** For people. */
  readonly name: string;
  readonly scopes: readonly string[];
}

/** @param access what a token has to allow. */
export function createClient(
  image: NamedImage,
  access: 'pull' | 'pull,push' | '*',
  options: RegistryOptions,
): RegistryClient {
  const scopes = [`repository:${image.repository}:${access}`];
  return connectTo({ image, name: formatImage(image), scopes }, options);
}

/**
 * A registry without a repository: `fetch({ method: 'GET', at: '', … })` asks `/v2/`, which says whether credentials
 * are taken. They are those of `options`, or the auth file's for the whole registry.
 */
export function createRegistryClient(domain: string, options: RegistryOptions): RegistryClient {
  return connectTo({ image: { domain, repository: '' }, name: domain, scopes: [] }, options);
}

function connectTo({ image, name, scopes }: Target, options: RegistryOptions): RegistryClient {
  const { timing = TIMING, report, signal, tries = REQUEST_TRIES } = options;
  const { domain, repository } = image;
  const root = repository === '' ? '/v2/' : `/v2/${repository}/`;
  const retries: RetryContext = { timing, report, signal, tries };
  let configured: Promise<{ own: RegistryOptions; connections: Connections }> | undefined;
  let authorized: Promise<{ registry: URL; send: Send }> | undefined;
  let origin: string | undefined;
  let shown: ShownCredentials | undefined;

  async function configure(): Promise<{ own: RegistryOptions; connections: Connections }> {
    const { options: own } = await ownPlace(image, options);
    return { own, connections: createConnections(domain, own) };
  }

  async function connect(): Promise<{ registry: URL; send: Send }> {
    configured ??= configure();
    const { own, connections } = await configured;
    const transmit = createHttpSend(connections, timing, options.userAgent);
    const follow = withRedirects(transmit);
    const registry = await findEndpoint(domain, own, transmit);
    origin = registry.origin;
    const authorizer = new Authorizer({
      registry,
      scopes,
      findCredentials,
      fetchToken: createTokenFetch(follow, domain, name, retries, () => ({
        shown,
        authFile: options.authFile,
      })),
    });
    return { registry, send: withAuthorization(follow, authorizer, registry) };
  }

  async function findCredentials(): Promise<Credentials | undefined> {
    if (options.credentials !== undefined) {
      shown = { from: 'the command line' };
      return options.credentials;
    }
    const { found, lookedIn } = await searchCredentials({ ...options, domain, repository });
    shown = found === undefined ? { lookedIn } : { from: lookedIn.at(-1) ?? '' };
    return found;
  }

  function explainFor(error: unknown, { doing, kind }: Pick<Call, 'doing' | 'kind'>): unknown {
    // Whoever we were sent on to is shown nothing.
    const isElsewhere = error instanceof StatusFailure && error.url.origin !== origin;
    const known = isElsewhere ? undefined : shown;
    return explain(error, { text: doing, kind, domain, signal, shown: known, authFile: options.authFile });
  }

  function connectOnce(): Promise<{ registry: URL; send: Send }> {
    authorized ??= connect().catch((error: unknown) => {
      authorized = undefined;
      throw error;
    });
    return authorized;
  }

  async function perform<T>(call: Call, read: (answer: HttpAnswer) => Promise<T>): Promise<T> {
    const { at, headers = {}, accept, doing, kind, once = false, ...rest } = call;
    try {
      const { registry, send } = await connectOnce();
      const url = typeof at === 'string' ? new URL(`${root}${at}`, registry) : at;
      const attempt = async (): Promise<T> =>
        read(await expectStatus(await send({ signal, ...rest, url, headers }), accept, timing));
      return await (once || isStream(call.body) ? attempt() : retryPassing(attempt, retries));
    } catch (error) {
      throw explainFor(error, { doing, kind });
    }
  }

  const fetch: RegistryClient['fetch'] = (call, cap) =>
    perform(call, async (answer) => {
      const { status, headers, url } = answer;
      return { status, headers, url, bytes: await readBody(answer, cap, timing) };
    });

  return {
    image: name,
    repository,
    retries,
    open: (call) => perform(call, async (answer) => answer),
    fetch,
    pages: async function* (call, cap) {
      const first = await fetch(call, cap);
      yield first;
      const { registry } = await connectOnce();
      yield* followPages(first, registry, (at) => fetch({ ...call, at }, cap));
    },
    async endpoint(call) {
      try {
        return (await connectOnce()).registry;
      } catch (error) {
        throw explainFor(error, call);
      }
    },
    explain: explainFor,
    async close() {
      await (await configured?.catch(() => undefined))?.connections.close();
    },
  };
}

/** What asks a token server; the calls that wait for a token do not try it again. */
function createTokenFetch(
  send: Send,
  domain: string,
  name: string,
  retries: RetryContext,
  access: () => Pick<Task, 'shown' | 'authFile'>,
): AuthorizerOptions['fetchToken'] {
  const { signal } = retries;
  return async (call) => {
    try {
      return await retryPassing(async () => {
        const answer = await expectStatus(await send({ ...call, signal }), [200], retries.timing);
        return readBody(answer, TOKEN_BYTES, retries.timing);
      }, retries);
    } catch (error) {
      const text = `get a token for ${name} from ${showUrl(call.url)}`;
      throw explain(error, { text, kind: 'token', domain, signal, ...access() });
    }
  };
}

async function readBody({ body, url }: HttpAnswer, cap: Cap, { wholeMs }: Timing): Promise<Buffer> {
  try {
    return await within(wholeMs, body, readAll(body, cap, `The answer of ${showUrl(url)}`));
  } catch (error) {
    throw isAtomicError(error) ? error : new ConnectionFailure(url, error);
  }
}

/** `host[:port]/path[:tag][@digest]` */
export function formatImage({ domain, repository, tag, digest }: NamedImage): string {
  return `${domain}/${repository}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}
