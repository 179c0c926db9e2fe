/** The record of a layer's tar (see stream/tar-split) while it is made: compressed, in a file beside the layer's index. */
import { createReadStream, createWriteStream, type WriteStream } from 'node:fs';
import { rm, stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { createGzip, type Gzip } from 'node:zlib';
import { describeDiskFull } from '../errors.ts';
import { limitOf } from '../limits.ts';
import type { LineSink } from '../stream/tar-split/disassemble.ts';

const FLUSH_CHARACTERS = 64 * 1024;
const READ_BYTES = 192 * 1024;
/** Half the time of the default, for a tenth more bytes. */
const LEVEL = 3;

/** Writes the file; lines come as JSON text. What no limit allows is given up in silence: a layer is of use without it. */
export class TarSplitFile implements LineSink {
  readonly path: string;
  readonly #gzip: Gzip;
  readonly #file: WriteStream;
  readonly #written: Promise<void>;
  #pending = '';
  #isFull = false;
  #failure: Error | undefined;
  #waiting: ((error?: Error) => void) | undefined;
  #tooLarge = false;

  constructor(path: string) {
    this.path = path;
    this.#gzip = createGzip({ level: LEVEL });
    this.#file = createWriteStream(path);
    this.#written = pipeline(this.#gzip, this.#file);
    this.#gzip.on('drain', () => this.#goOn());
    // `finish` tells of it as well.
    this.#written.catch((error: unknown) => {
      this.#failure = describeDiskFull(error, path) as Error;
      this.#goOn();
    });
  }

  write(line: string): void {
    if (this.#tooLarge) return;
    this.#pending += line;
    if (this.#pending.length > FLUSH_CHARACTERS) this.#flush();
  }

  waitForRoom(done: (error?: Error) => void): void {
    if (this.#isFull && this.#failure === undefined) this.#waiting = done;
    else done(this.#failure);
  }

  /**
   * @returns bytes of the file; undefined where the record is larger than `tar-split-size` allows once it is text
   * @throws AtomicError `disk-full`; system errors
   */
  async finish(): Promise<number | undefined> {
    this.#flush();
    this.#gzip.end();
    await this.#written.catch((error: unknown) => {
      throw describeDiskFull(error, this.path);
    });
    const { size } = await stat(this.path);
    return this.#tooLarge || base64Bytes(size) > limitOf('tar-split-size') ? undefined : size;
  }

  async discard(): Promise<void> {
    this.#gzip.destroy();
    await this.#written.catch(() => undefined);
    // The file is opened in the background: before the stream is closed it may not be there yet.
    if (!this.#file.closed) await new Promise<void>((resolve) => this.#file.once('close', resolve));
    await rm(this.path, { force: true });
  }

  #flush(): void {
    const text = this.#pending;
    this.#pending = '';
    this.#tooLarge ||= base64Bytes(this.#file.bytesWritten) > limitOf('tar-split-size');
    if (text !== '' && !this.#tooLarge && this.#failure === undefined) this.#isFull = !this.#gzip.write(text);
  }

  #goOn(): void {
    this.#isFull = false;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.(this.#failure);
  }
}

/** Text of so many bytes in base64. */
export function base64Bytes(bytes: number): number {
  return Math.ceil(bytes / 3) * 4;
}

/** A file's bytes in base64, in pieces. */
export async function* readAsBase64(path: string): AsyncGenerator<string> {
  let carry: Buffer = Buffer.alloc(0);
  for await (const chunk of createReadStream(path, { highWaterMark: READ_BYTES }) as AsyncIterable<Buffer>) {
    const bytes = carry.length === 0 ? chunk : Buffer.concat([carry, chunk]);
    // A whole number of base64's groups at a time.
    const whole = bytes.length - (bytes.length % 3);
    carry = bytes.subarray(whole);
    yield bytes.toString('base64', 0, whole);
  }
  yield carry.toString('base64');
}
