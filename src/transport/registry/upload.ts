import { Readable } from 'node:stream';
import { AtomicError, isAtomicError, messageOf } from '../../errors.ts';
import type { Descriptor } from '../../image/descriptor.ts';
import { isDigest, type Digest } from '../../image/digest.ts';
import { UPLOAD_KEPT_BYTES, UPLOAD_PART_BYTES, UPLOAD_PART_MIN_BYTES } from '../../limits.ts';
import type { Call, RegistryClient } from './client.ts';
import { StatusFailure } from './failure.ts';
import { discardBody, type HttpAnswer } from './http.ts';
import { KeptBytes } from './kept-bytes.ts';
import { resolveLocation } from './redirect.ts';
import { isPassing, waitToRetry } from './retry.ts';

const OCTETS = { 'content-type': 'application/octet-stream' };
/** Refusals of a body that is sent whole or in parts that are too large. */
const TOO_LARGE: ReadonlySet<number> = new Set([405, 413, 501]);
/** How long a registry may take to forget an upload that failed. */
const CANCEL_MS = 3000;

/** An upload that the registry has opened. */
export interface Upload {
  /** Where its next request goes; may be of another origin, which is shown no credentials. */
  at: URL;
  /** Bytes that every part but the last has to have: OCI-Chunk-Min-Length. */
  readonly minimum: number;
}

/** Opens an upload. @throws AtomicError as the destination does */
export async function beginUpload(client: RegistryClient, doing: string): Promise<Upload> {
  const answer = await client.open({
    method: 'POST',
    at: 'blobs/uploads/',
    accept: [202],
    doing,
    kind: 'upload',
  });
  await discardBody(answer);
  return readUpload(answer);
}

export function readUpload({ headers, url }: HttpAnswer): Upload {
  const minimum = Number(headers['oci-chunk-min-length'] ?? 0);
  return { at: resolveLocation(headers.location, url), minimum: Number.isSafeInteger(minimum) ? minimum : 0 };
}

/** Has the registry forget an upload. Where it does not, it will by itself after some days. */
export async function cancelUpload(client: RegistryClient, { at }: Upload): Promise<void> {
  const registry = await client.endpoint({ doing: 'cancel an upload', kind: 'upload' });
  if (at.origin !== registry.origin) return;
  const answer = await client.open({
    method: 'DELETE',
    at,
    scopes: [`repository:${client.repository}:delete`],
    accept: [202, 204, 404],
    doing: 'cancel an upload',
    kind: 'upload',
    once: true,
    // Also when all else was interrupted.
    signal: AbortSignal.timeout(CANCEL_MS),
  });
  await discardBody(answer);
}

/** @throws AtomicError `digest-mismatch` when the registry says that it stored something else */
export async function finishStoring(answer: HttpAnswer, digest: Digest, what: string): Promise<void> {
  await discardBody(answer);
  const stored = answer.headers['docker-content-digest'];
  if (!isDigest(stored) || stored === digest) return;
  throw new AtomicError('digest-mismatch', `The registry stored ${what} as ${stored}; expected ${digest}`);
}

/**
 * Uploads one blob: whole in one request, as every registry takes it. When the line breaks or that is too much for the
 * registry, it goes on in parts from the byte that the registry has last, or from the first one, as far as they are
 * kept in memory.
 * @see OCI distribution specification 1.1, "Pushing a blob monolithically", "Pushing a blob in chunks"
 */
export class BlobUpload {
  readonly #client: RegistryClient;
  readonly #descriptor: Descriptor;
  readonly #doing: string;
  readonly #bytes: KeptBytes;
  #upload: Upload | undefined;
  /** Bytes that the registry has. */
  #stored = 0;
  /** Undefined: whole. */
  #part: number | undefined;

  /** @param opened an upload that is there already, left over from a mount that was not done */
  constructor(client: RegistryClient, descriptor: Descriptor, bytes: Readable, opened: Upload | undefined) {
    this.#client = client;
    this.#descriptor = descriptor;
    this.#doing = `upload the blob ${descriptor.digest} to ${client.image}`;
    this.#bytes = new KeptBytes(bytes, UPLOAD_KEPT_BYTES);
    this.#upload = opened;
  }

  /**
   * @throws AtomicError `upload-broken` when the line broke and what the registry lacks is gone: it can be tried again
   * with a new stream. Others as of the destination; the stream's own failure before any of them.
   */
  async run(): Promise<void> {
    try {
      await this.#bytes.fill();
      for (let [failures, failedAt] = [0, 0]; ;) {
        this.#upload ??= await beginUpload(this.#client, this.#doing);
        try {
          await this.#send(this.#upload);
          return;
        } catch (error) {
          if (this.#isHopeless()) throw error;
          if (!this.#sendsLess(error)) {
            failures = this.#stored - failedAt < UPLOAD_PART_MIN_BYTES ? failures + 1 : 1;
            // A registry that loses what it had does not get on by having it again.
            failedAt = Math.max(failedAt, this.#stored);
            await this.#waitAfter(error, failures);
          }
          await this.#findPlace(error);
        }
      }
    } catch (error) {
      if (this.#upload !== undefined) await cancelUpload(this.#client, this.#upload).catch(() => undefined);
      // The request fails because its body did: that is the first error.
      throw this.#bytes.failure ?? error;
    } finally {
      this.#bytes.destroy();
    }
  }

  async #send(upload: Upload): Promise<void> {
    const { digest, size } = this.#descriptor;
    if (this.#part !== undefined) {
      const length = Math.max(this.#part, upload.minimum);
      while (this.#stored < size) await this.#sendPart(upload, Math.min(size, this.#stored + length));
    }
    const at = new URL(upload.at);
    // As text: the rest of the query may be signed, and must not be spelled anew.
    at.search += `${at.search === '' ? '?' : '&'}digest=${digest}`;
    const answer = await this.#open({
      method: 'PUT',
      at,
      headers: { ...OCTETS, 'content-length': String(size - this.#stored) },
      body: this.#body(size),
      accept: [201],
    });
    this.#upload = undefined;
    await finishStoring(answer, digest, `the blob of ${this.#client.image}`);
  }

  async #sendPart(upload: Upload, end: number): Promise<void> {
    const answer = await this.#open({
      method: 'PATCH',
      at: upload.at,
      headers: {
        ...OCTETS,
        'content-length': String(end - this.#stored),
        'content-range': `${this.#stored}-${end - 1}`,
      },
      body: this.#body(end),
      accept: [202],
    });
    await discardBody(answer);
    upload.at = resolveLocation(answer.headers.location, answer.url);
    const stored = readStored(answer);
    if (stored !== undefined && stored !== end) {
      throw new AtomicError(
        'registry-error',
        `Cannot ${this.#doing}: ${answer.url.host} has ${stored} bytes of it, and was sent ${end}`,
      );
    }
    this.#stored = end;
  }

  /** What the registry lacks, up to a byte. The last of it ends where the stream does, which says whether it is right. */
  #body(to: number): Readable {
    const bytes = this.#bytes.read(this.#stored, to === this.#descriptor.size ? Infinity : to);
    const { idleMs } = this.#client.retries.timing;
    const stream = Readable.from(
      untilIdle(bytes, idleMs, (error) => stream.destroy(error)),
      { objectMode: false },
    );
    return stream;
  }

  #open(call: Pick<Call, 'method' | 'at' | 'headers' | 'body' | 'accept'>): Promise<HttpAnswer> {
    return this.#client.open({ ...call, doing: this.#doing, kind: 'upload', once: true });
  }

  #isHopeless(): boolean {
    return (
      this.#bytes.failure !== undefined ||
      this.#upload === undefined ||
      this.#client.retries.signal?.aborted === true
    );
  }

  /** Whether a refusal may be met by sending less at once. */
  #sendsLess(error: unknown): boolean {
    const cause = causeOf(error);
    if (!(cause instanceof StatusFailure) || !TOO_LARGE.has(cause.status)) return false;
    let smaller = this.#part === undefined ? UPLOAD_PART_BYTES : this.#part / 2;
    while (cause.status === 413 && smaller >= this.#descriptor.size) smaller /= 2;
    const isSmallest = this.#part !== undefined && this.#part <= (this.#upload?.minimum ?? 0);
    if (isSmallest || smaller < UPLOAD_PART_MIN_BYTES) return false;
    this.#part = smaller;
    return true;
  }

  /** @throws `error` when waiting does not help */
  async #waitAfter(error: unknown, failures: number): Promise<void> {
    const cause = causeOf(error);
    // A token that ended too early: there is a new one by now.
    if (cause instanceof StatusFailure && cause.status === 401 && failures === 1) return;
    if (!isPassing(cause)) throw error;
    if (failures >= this.#client.retries.tries) throw this.#broken(error);
    this.#part ??= UPLOAD_PART_BYTES;
    await waitToRetry(cause, failures, this.#client.retries);
  }

  /** Finds out where to go on. @throws AtomicError when the bytes from there are kept no longer */
  async #findPlace(error: unknown): Promise<void> {
    const stored = this.#upload === undefined ? undefined : await this.#askStored(this.#upload);
    if (stored === undefined) this.#upload = undefined;
    this.#stored = stored ?? 0;
    if (this.#stored < this.#bytes.start) throw this.#broken(error);
  }

  /** How much of the blob the registry has; undefined when it has lost the upload. */
  async #askStored(upload: Upload): Promise<number | undefined> {
    try {
      const answer = await this.#client.open({
        method: 'GET',
        at: upload.at,
        accept: [202, 204],
        doing: this.#doing,
        kind: 'upload',
      });
      await discardBody(answer);
      const stored = readStored(answer);
      if (stored === undefined || stored > this.#descriptor.size) return undefined;
      if (answer.headers.location !== undefined)
        upload.at = resolveLocation(answer.headers.location, answer.url);
      return stored;
    } catch (error) {
      if (causeOf(error) instanceof StatusFailure) return undefined;
      throw error;
    }
  }

  #broken(error: unknown): AtomicError {
    return new AtomicError('upload-broken', messageOf(error), {
      cause: error,
      hint: 'Check the network and try again.',
    });
  }
}

/** Bytes that are given up when nobody takes the next of them: undici waits for ever to be rid of a body. */
async function* untilIdle(
  bytes: AsyncIterable<Buffer>,
  milliseconds: number,
  giveUp: (error: Error) => void,
): AsyncGenerator<Buffer, void, undefined> {
  for await (const chunk of bytes) {
    const idle = Object.assign(new Error(`it took no byte for ${milliseconds / 1000} seconds`), {
      code: 'UND_ERR_BODY_TIMEOUT',
    });
    const timer = setTimeout(giveUp, milliseconds, idle);
    try {
      yield chunk;
    } finally {
      clearTimeout(timer);
    }
  }
}

function causeOf(error: unknown): unknown {
  return isAtomicError(error) ? error.cause : error;
}

/** `Range: 0-LAST`, of what is stored. Registries say `0-0` of an upload that has nothing yet. */
function readStored({ headers }: HttpAnswer): number | undefined {
  const last = /^(?:bytes=)?0-(\d{1,15})$/.exec(headers['range'] ?? '')?.[1];
  if (last === undefined) return undefined;
  return last === '0' ? 0 : Number(last) + 1;
}
