import { Readable } from 'node:stream';
import { AtomicError, messageOf } from '../../errors.ts';
import { UNKNOWN_SIZE, type Descriptor } from '../../image/descriptor.ts';
import { REQUEST_TRIES } from '../../limits.ts';
import type { Call, RegistryClient } from './client.ts';
import { ConnectionFailure } from './failure.ts';
import { discardBody, type HttpAnswer } from './http.ts';
import { waitToRetry } from './retry.ts';
import { showForeign } from './text.ts';

/** Bytes that wait in memory for a slow reader. */
const BUFFER_BYTES = 1024 * 1024;

/**
 * A blob as a stream. When its connection breaks, the rest is asked for, REQUEST_TRIES connections in all.
 * @throws AtomicError before the first byte when the blob is not there or its Content-Length is not the descriptor's size.
 * Later the stream fails with `size-mismatch` at the first byte too many or when the registry ends early,
 * `stream-broken` when it broke too often, `interrupted`, or what the registry answered on resuming.
 */
export async function openBlob(client: RegistryClient, descriptor: Descriptor): Promise<Readable> {
  const answer = await client.open(blobCall(client, descriptor, 0));
  const length = answer.headers['content-length'];
  // Of a layer of schema 1 the registry alone knows the size.
  const size = descriptor.size === UNKNOWN_SIZE ? Number(length ?? Number.NaN) : descriptor.size;
  if (!Number.isSafeInteger(size) || (length !== undefined && Number(length) !== size)) {
    await discardBody(answer);
    throw sizeMismatch(client, descriptor, `${showForeign(length ?? 'an unknown number of')} bytes`);
  }
  return new BlobReader(client, { ...descriptor, size }, answer);
}

function blobCall(client: RegistryClient, { digest }: Descriptor, from: number): Call {
  return {
    method: 'GET',
    at: `blobs/${digest}`,
    headers: from === 0 ? {} : { range: `bytes=${from}-` },
    accept: from === 0 ? [200] : [200, 206],
    doing: `fetch the blob ${digest} of ${client.image}`,
    kind: 'blob',
  };
}

function sizeMismatch({ image }: RegistryClient, { digest, size }: Descriptor, found: string): AtomicError {
  const expected = size === UNKNOWN_SIZE ? 'a Content-Length' : `${size} bytes`;
  return new AtomicError(
    'size-mismatch',
    `The registry sends ${found} for the blob ${digest} of ${image}; expected ${expected}`,
  );
}

class BlobReader extends Readable {
  readonly #client: RegistryClient;
  readonly #descriptor: Descriptor;
  /** Gives up a request to resume that is under way. */
  readonly #gone = new AbortController();
  /** Undefined between two connections. */
  #body: Readable | undefined;
  #received = 0;
  /** Bytes of the present answer that we have already. */
  #skip = 0;
  #connections = 1;

  constructor(client: RegistryClient, descriptor: Descriptor, answer: HttpAnswer) {
    super({ highWaterMark: BUFFER_BYTES });
    this.#client = client;
    this.#descriptor = descriptor;
    this.#attach(answer);
  }

  override _read(): void {
    this.#body?.resume();
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#gone.abort();
    this.#body?.destroy();
    callback(error);
  }

  #attach({ body, url }: HttpAnswer): void {
    this.#body = body;
    // Nothing flows before the first read, when the reader listens for errors.
    body.pause();
    body.on('data', (chunk: Buffer) => this.#take(body, chunk));
    body.once('end', () => {
      this.#end();
    });
    // `on`: destroying the body makes it fail once more.
    body.on('error', (error) => {
      if (!this.destroyed && this.#body === body) this.#resume(new ConnectionFailure(url, error));
    });
  }

  #take(body: Readable, chunk: Buffer): void {
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
    } else if (!this.push(bytes)) body.pause();
  }

  #end(): void {
    if (this.#received === this.#descriptor.size) this.push(null);
    else this.destroy(sizeMismatch(this.#client, this.#descriptor, `only ${this.#received} bytes`));
  }

  #resume(failure: ConnectionFailure): void {
    this.#body = undefined;
    // All of it is here; only the server's goodbye is missing.
    if (this.#received === this.#descriptor.size) this.push(null);
    else {
      this.#reconnect(failure).catch((error: unknown) => {
        const explained = this.#client.explain(error, blobCall(this.#client, this.#descriptor, 0));
        this.destroy(explained instanceof Error ? explained : new Error(messageOf(explained)));
      });
    }
  }

  async #reconnect(failure: ConnectionFailure): Promise<void> {
    const { image, retries } = this.#client;
    const { digest, size } = this.#descriptor;
    const doing = `the blob ${digest} of ${image}`;
    if (retries.signal?.aborted === true || failure.code === 'UND_ERR_DESTROYED') throw failure;
    if (this.#connections === REQUEST_TRIES) {
      throw new AtomicError(
        'stream-broken',
        `The connection broke ${REQUEST_TRIES} times while fetching ${doing}, ` +
          `at last after ${this.#received} of ${size} bytes: ${showForeign(failure.message)}`,
        { cause: failure, hint: 'Check the network and try again.' },
      );
    }
    const signal =
      retries.signal === undefined ? this.#gone.signal : AbortSignal.any([this.#gone.signal, retries.signal]);
    await waitToRetry(failure, this.#connections, { ...retries, signal });
    this.#connections += 1;
    const from = this.#received;
    const answer = await this.#client.open({ ...blobCall(this.#client, this.#descriptor, from), signal });
    if (answer.status === 206 && !startsAt(answer, from)) {
      await discardBody(answer);
      throw new AtomicError(
        'registry-error',
        `The registry resumed ${doing} at another byte than the ${from} it was asked for`,
      );
    }
    this.#skip = answer.status === 206 ? 0 : from;
    if (this.destroyed) await discardBody(answer);
    else {
      this.#attach(answer);
      answer.body.resume();
    }
  }
}

function startsAt({ headers }: HttpAnswer, from: number): boolean {
  return /^bytes (\d+)-/.exec(headers['content-range'] ?? '')?.[1] === String(from);
}
