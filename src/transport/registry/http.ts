import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import { ERROR_BODY_BYTES, INTERIM_ANSWERS } from '../../limits.ts';
import { readErrorText } from '../../stream/read-all.ts';
import type { Connections } from './connections.ts';
import { ConnectionFailure, StatusFailure } from './failure.ts';
import type { Timing } from './options.ts';

export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PATCH' | 'PUT' | 'DELETE';
  readonly url: URL;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | Readable;
  readonly signal?: AbortSignal | undefined;
  /** Token scopes that it needs besides those of its client. */
  readonly scopes?: readonly string[];
  /** Never shows who we are, also not to the registry: the URL was named by an image. */
  readonly anonymous?: boolean;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Has to be read, discarded or destroyed, or its connection stays taken. */
  readonly body: Dispatcher.ResponseData['body'];
  /** Where it came from, after redirects. */
  readonly url: URL;
}

/** One layer of the client: sends a request itself or has the layer below send it. */
export type Send = (request: HttpRequest) => Promise<HttpAnswer>;

/** Bytes of an answer's body that wait in memory for a slow reader. */
const BODY_BUFFER_BYTES = 1024 * 1024;

/**
 * The lowest layer: one request, one answer of whatever status.
 * @throws ConnectionFailure
 */
export function createHttpSend(connections: Connections, timing: Timing, userAgent: string): Send {
  return async ({ method, url, headers, body, signal }) => {
    const dispatcher = await connections.to(url);
    let interim = 0;
    try {
      const answer = await dispatcher.request({
        origin: url.origin,
        path: `${url.pathname}${url.search}`,
        method,
        headers: { 'user-agent': userAgent, ...headers },
        body: body ?? null,
        signal: signal ?? null,
        headersTimeout: isStream(body) ? timing.storeMs : timing.answerMs,
        bodyTimeout: timing.idleMs,
        highWaterMark: BODY_BUFFER_BYTES,
        // Each winds up headersTimeout anew.
        onInfo: () => {
          if (++interim > INTERIM_ANSWERS)
            throw new Error('it says again and again that its answer will come');
        },
      });
      return { status: answer.statusCode, headers: answer.headers, body: answer.body, url };
    } catch (error) {
      throw new ConnectionFailure(url, error);
    }
  };
}

export function isStream(body: Uint8Array | Readable | undefined): body is Readable {
  return body !== undefined && !(body instanceof Uint8Array);
}

/** How long the rest of an answer that nobody wants may take: longer than a new connection would is too long. */
const DISCARD_MS = 2000;

/** Reads away what is left of an answer, so that its connection can be used again; a long or slow one is cut off. */
export async function discardBody({ body }: HttpAnswer): Promise<void> {
  try {
    await body.dump({ limit: ERROR_BODY_BYTES, signal: AbortSignal.timeout(DISCARD_MS) });
  } catch {
    body.destroy();
  }
}

/** Passes answers with one of the statuses. @throws StatusFailure for others, with the start of the body */
export async function expectStatus(
  answer: HttpAnswer,
  accepted: readonly number[],
  { wholeMs }: Timing,
): Promise<HttpAnswer> {
  if (accepted.includes(answer.status)) return answer;
  const start = await within(wholeMs, answer.body, readErrorText(answer.body));
  throw new StatusFailure(answer.url, answer.status, answer.headers, start);
}

/** What reads `body`, which fails when that takes longer: each byte of a trickle would wind up the idle timeout anew. */
export async function within<T>(milliseconds: number, body: Readable, reading: Promise<T>): Promise<T> {
  const timer = setTimeout(
    () => body.destroy(new Error(`the answer took longer than ${milliseconds / 1000} seconds`)),
    milliseconds,
  );
  try {
    return await reading;
  } finally {
    clearTimeout(timer);
  }
}
