import type { Readable } from 'node:stream';

/**
 * A stream whose last bytes are kept, so that a request that broke off can be repeated from where the other side is.
 * Several may read it, one after the other; a reader that is given up in the middle loses nothing.
 */
export class KeptBytes {
  readonly #source: Readable;
  readonly #iterator: AsyncIterator<Buffer>;
  readonly #keep: number;
  readonly #chunks: Buffer[] = [];
  #start = 0;
  #end = 0;
  #ended = false;
  #pulling: Promise<void> | undefined;
  #failure: Error | undefined;

  /** @param keep bytes that are held in memory, and one chunk of the stream more */
  constructor(source: Readable, keep: number) {
    this.#source = source;
    this.#keep = keep;
    // It may fail before anybody reads.
    source.on('error', (error: Error) => {
      this.#failure ??= error;
    });
    this.#iterator = source[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  /** The first byte that can still be given. */
  get start(): number {
    return this.#start;
  }

  /** Of the stream itself: whoever fails for it should say that, and not what became of the request. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Gives the bytes from one on up to another, or to the end. @throws what the stream fails with */
  async *read(from: number, to = Infinity): AsyncGenerator<Buffer, void, undefined> {
    for (let at = from; at < to;) {
      if (at < this.#start) throw new RangeError(`the byte ${at} is kept no longer`);
      const chunk = this.#chunkAt(at);
      if (chunk !== undefined) {
        const bytes = chunk.subarray(0, to - at);
        at += bytes.length;
        yield bytes;
      } else if (this.#ended) return;
      else await this.#pull();
    }
  }

  /** Reads as much as is kept, ahead of everybody. @throws what the stream fails with */
  async fill(): Promise<void> {
    while (!this.#ended && this.#end < this.#keep) await this.#pull();
  }

  destroy(): void {
    this.#source.destroy();
    this.#chunks.length = 0;
  }

  #chunkAt(at: number): Buffer | undefined {
    if (at >= this.#end) return undefined;
    let start = this.#start;
    for (const chunk of this.#chunks) {
      if (at < start + chunk.length) return chunk.subarray(at - start);
      start += chunk.length;
    }
    return undefined;
  }

  /** One chunk more, whoever waits for it: what a reader that is gone has asked for is kept as well. */
  #pull(): Promise<void> {
    this.#pulling ??= this.#next().finally(() => {
      this.#pulling = undefined;
    });
    return this.#pulling;
  }

  async #next(): Promise<void> {
    const { value, done } = await this.#iterator.next();
    if (this.#failure !== undefined) throw this.#failure;
    if (done === true) {
      this.#ended = true;
      return;
    }
    this.#chunks.push(value);
    this.#end += value.length;
    for (let [first] = this.#chunks; first !== undefined; [first] = this.#chunks) {
      if (this.#end - this.#start - first.length < this.#keep) break;
      this.#chunks.shift();
      this.#start += first.length;
    }
  }
}
