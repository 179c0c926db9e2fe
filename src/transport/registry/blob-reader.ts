import { Readable } from 'node:stream';
import { AtomicError, messageOf } from '../../errors.ts';
import { UNKNOWN_SIZE, type Descriptor } from '../../image/descriptor.ts';
import { RESUME_PROGRESS_BYTES, SLOW_BYTES } from '../../limits.ts';
import type { Call, RegistryClient } from './client.ts';
import { ConnectionFailure } from './failure.ts';
import { discardBody, type HttpAnswer } from './http.ts';
import { waitToRetry } from './retry.ts';
import { showForeign } from './text.ts';

/** Bytes that wait in memory for a slow reader. */
const BUFFER_BYTES = 1024 * 1024;

/** An answer that has the bytes of a blob, and who got it. */
export interface OpenedBlob {
  readonly client: RegistryClient;
  readonly answer: HttpAnswer;
}

/** Asks for a blob's bytes from one on, wherever it can be had. */
export type OpenBlob = (from: number, signal: AbortSignal | undefined) => Promise<OpenedBlob>;

/**
 * A blob as a stream, from the byte `from` on. When its connection breaks or brings next to nothing, the rest is asked
 * for: as many connections as one request has tries in all, not counting those that brought RESUME_PROGRESS_BYTES.
 * @throws AtomicError before the first byte when the blob is not there or the answer is not of the descriptor's size.
 * Later the stream fails with `size-mismatch` at the first byte too many or when the registry ends early,
 * `stream-broken` when it broke too often, `interrupted`, or what the registry answered on resuming.
 */
export async function openBlob(descriptor: Descriptor, from: number, open: OpenBlob): Promise<Readable> {
  // Nothing is left to ask for, and a range of no bytes cannot be written.
  if (from > 0 && from === descriptor.size) return Readable.from([]);
  const opened = await open(from, undefined);
  const known = descriptor.size === UNKNOWN_SIZE ? await learnSize(opened, descriptor) : descriptor;
  await checkAnswer(opened, known, from);
  return new BlobReader(known, from, opened, open);
}

/** Of a layer of schema 1 the registry alone knows the size. @throws AtomicError when it does not say */
async function learnSize({ client, answer }: OpenedBlob, descriptor: Descriptor): Promise<Descriptor> {
  const size = Number(answer.headers['content-length'] ?? Number.NaN);
  if (Number.isSafeInteger(size)) return { ...descriptor, size };
  await discardBody(answer);
  throw new AtomicError(
    'size-mismatch',
    `The registry does not say how long the blob ${descriptor.digest} of ${client.image} is`,
  );
}

/** The request for a blob's bytes from one on. */
export function blobCall(image: string, { digest }: Descriptor, from: number): Call {
  return {
    method: 'GET',
    at: `blobs/${digest}`,
    headers: from === 0 ? {} : { range: `bytes=${from}-` },
    accept: from === 0 ? [200] : [200, 206],
    doing: `fetch the blob ${digest} of ${image}`,
    kind: 'blob',
  };
}

/** @throws AtomicError for an answer that cannot be the bytes that were asked for; nothing of it is read then */
async function checkAnswer(
  { client, answer }: OpenedBlob,
  descriptor: Descriptor,
  from: number,
): Promise<void> {
  const problem = answer.status === 206 ? checkRange(client, answer, descriptor, from) : undefined;
  const length = answer.headers['content-length'];
  const expected = descriptor.size - (answer.status === 206 ? from : 0);
  const wrong =
    length === undefined || Number(length) === expected
      ? undefined
      : sizeMismatch(client, descriptor, `${showForeign(length)} bytes`, expected);
  if (problem === undefined && wrong === undefined) return;
  await discardBody(answer);
  throw problem ?? wrong;
}

/** `bytes FROM-LAST/SIZE`, RFC 9110 section 14.4; a registry may not know the size, and say `*`. */
function checkRange(
  { image }: RegistryClient,
  { headers }: HttpAnswer,
  { digest, size }: Descriptor,
  from: number,
): AtomicError | undefined {
  const told = headers['content-range'] ?? '';
  const [, first, last, total] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(told) ?? [];
  if (Number(first) === from && Number(last) === size - 1 && (total === '*' || Number(total) === size))
    return undefined;
  return new AtomicError(
    'registry-error',
    `The registry was asked for the bytes ${from}-${size - 1} of ${size} of the blob ${digest} of ${image}, ` +
      `and sends ${told === '' ? 'a part without saying which' : `"${showForeign(told)}"`}`,
  );
}

function sizeMismatch(
  { image }: RegistryClient,
  { digest, size }: Descriptor,
  found: string,
  expected = size,
): AtomicError {
  return new AtomicError(
    'size-mismatch',
    `The registry sends ${found} for the blob ${digest} of ${image}; expected ${expected} bytes`,
  );
}

class BlobReader extends Readable {
  readonly #descriptor: Descriptor;
  readonly #open: OpenBlob;
  /** Gives up a request to resume that is under way. */
  readonly #gone = new AbortController();
  #client: RegistryClient;
  /** Undefined between two connections. */
  #body: Readable | undefined;
  /** Bytes of the blob that are behind us, those before the first one that was asked for included. */
  #received: number;
  /** Bytes of the present answer that we have already. */
  #skip = 0;
  #failures = 0;
  /** Where the present connection began, and what it had brought when it was last looked at. */
  #began: number;
  #lastSeen = 0;
  #held = false;
  /** Whether nobody wants bytes at present. */
  #isFull = true;
  #watch: NodeJS.Timeout | undefined;

  constructor(descriptor: Descriptor, from: number, opened: OpenedBlob, open: OpenBlob) {
    super({ highWaterMark: BUFFER_BYTES });
    this.#descriptor = descriptor;
    this.#open = open;
    this.#client = opened.client;
    this.#received = from;
    this.#began = from;
    this.#skip = opened.answer.status === 206 ? 0 : from;
    this.#attach(opened);
  }

  override _read(): void {
    this.#isFull = false;
    if (this.#body !== undefined) this.#pull(this.#body);
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    clearInterval(this.#watch);
    this.#gone.abort();
    this.#body?.destroy();
    callback(error);
  }

  #attach({ client, answer: { body, url } }: OpenedBlob): void {
    this.#client = client;
    this.#body = body;
    this.#began = this.#received;
    this.#held = this.#isFull;
    this.#lastSeen = this.#received - this.#skip;
    body.on('readable', () => this.#pull(body));
    body.once('end', () => {
      clearInterval(this.#watch);
      this.#end();
    });
    // `on`: destroying the body makes it fail once more.
    body.on('error', (error) => {
      if (!this.destroyed && this.#body === body) this.#resume(new ConnectionFailure(url, error));
    });
    clearInterval(this.#watch);
    const { slowMs } = client.retries.timing;
    this.#watch = setInterval(() => this.#checkPace(body), slowMs).unref();
  }

  /** Gives up a connection that brought next to nothing since the last look, though nothing here held it up. */
  #checkPace(body: Readable): void {
    const seen = this.#received - this.#skip;
    const slow = seen - this.#lastSeen < SLOW_BYTES && !this.#held;
    this.#lastSeen = seen;
    this.#held = this.#isFull;
    if (slow) body.destroy(new Error(`it brought less than ${SLOW_BYTES} bytes in a long while`));
  }

  /**
   * Takes all that is there at once. As a flow of single chunks, an answer that has filled its buffer would make room for
   * one chunk at a time: undici then pauses behind each, and copies all that it has read from its socket.
   */
  #pull(body: Readable): void {
    while (!this.#isFull && !this.destroyed && this.#body === body) {
      const bytes = body.read() as Buffer | null;
      if (bytes === null) return;
      this.#take(bytes);
    }
  }

  #take(chunk: Buffer): void {
    let bytes = chunk;
    if (this.#skip > 0) {
      const known = Math.min(this.#skip, chunk.length);
      this.#skip -= known;
      if (known === chunk.length) return;
      bytes = chunk.subarray(known);
    }
    this.#received += bytes.length;
    if (this.#received > this.#descriptor.size) {
      this.destroy(sizeMismatch(this.#client, this.#descriptor, 'more bytes'));
    } else if (!this.push(bytes)) {
      this.#isFull = true;
      this.#held = true;
    }
  }

  #end(): void {
    if (this.#received === this.#descriptor.size) this.push(null);
    else this.destroy(sizeMismatch(this.#client, this.#descriptor, `only ${this.#received} bytes`));
  }

  #resume(failure: ConnectionFailure): void {
    clearInterval(this.#watch);
    this.#body = undefined;
    // All of it is here; only the server's goodbye is missing.
    if (this.#received === this.#descriptor.size) this.push(null);
    else {
      this.#reconnect(failure).catch((error: unknown) => {
        const explained = this.#client.explain(error, blobCall(this.#client.image, this.#descriptor, 0));
        this.destroy(explained instanceof Error ? explained : new Error(messageOf(explained)));
      });
    }
  }

  async #reconnect(failure: ConnectionFailure): Promise<void> {
    const { image, retries } = this.#client;
    const { digest, size } = this.#descriptor;
    const from = this.#received;
    if (retries.signal?.aborted === true || failure.code === 'UND_ERR_DESTROYED') throw failure;
    this.#failures = from - this.#began < RESUME_PROGRESS_BYTES ? this.#failures + 1 : 1;
    if (this.#failures === retries.tries) {
      throw new AtomicError(
        'stream-broken',
        `The connection broke ${retries.tries} times while fetching the blob ${digest} of ${image}, ` +
          `at last after ${from} of ${size} bytes: ${showForeign(failure.message)}`,
        { cause: failure, hint: 'Check the network and try again.' },
      );
    }
    const signal =
      retries.signal === undefined ? this.#gone.signal : AbortSignal.any([this.#gone.signal, retries.signal]);
    await waitToRetry(failure, this.#failures, { ...retries, signal });
    const opened = await this.#open(from, signal);
    await checkAnswer(opened, this.#descriptor, from);
    this.#skip = opened.answer.status === 206 ? 0 : from;
    if (this.destroyed) await discardBody(opened.answer);
    else this.#attach(opened);
  }
}
