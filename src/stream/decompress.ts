import { Transform, type Duplex, type Readable, type TransformCallback } from 'node:stream';
import * as zlib from 'node:zlib';
import { AtomicError, isAtomicError, messageOf, systemCodeOf } from '../errors.ts';
import type { Compression } from '../image/media-type.ts';
import { limitExceeded, limitOf, RATIO_FLOOR_BYTES, type Cap } from '../limits.ts';

/** Large enough that the cost per chunk vanishes, small enough that a few layers at once stay in tens of MiB. */
const CHUNK_BYTES = 256 * 1024;

/** Starts the program that decompresses zstd from its standard input. */
export type StartZstd = () => Duplex;

/**
 * How a blob is compressed, told by its first bytes: media types are wrong too often to be believed.
 * @param head at least 6 bytes, or the whole of a shorter blob
 * @throws AtomicError `compression-unsupported` for bzip2 and xz
 */
export function detectCompression(head: Uint8Array, what: string): Compression {
  const startsWith = (...bytes: number[]): boolean => bytes.every((byte, i) => head[i] === byte);
  if (startsWith(0x1f, 0x8b)) return 'gzip';
  if (startsWith(0x28, 0xb5, 0x2f, 0xfd)) return 'zstd';
  // A zstd stream may begin with a skippable frame: RFC 8878 section 3.1.2.
  if (
    head[0] !== undefined &&
    (head[0] & 0xf0) === 0x50 &&
    head[1] === 0x2a &&
    head[2] === 0x4d &&
    head[3] === 0x18
  ) {
    return 'zstd';
  }
  const foreign = startsWith(0x42, 0x5a, 0x68)
    ? 'bzip2'
    : startsWith(0xfd, 0x37, 0x7a, 0x58, 0x5a)
      ? 'xz'
      : undefined;
  if (foreign === undefined) return 'none';
  throw new AtomicError('compression-unsupported', `${what} is compressed with ${foreign}`, {
    hint: 'Layers are gzip, zstd or plain tar: push the image again with one of these.',
  });
}

export interface CompressedInput {
  /** Subject of the error's sentence. */
  readonly what: string;
  /** How many compressed bytes have gone in so far. */
  readonly bytesPassed: () => number;
  readonly startZstd: StartZstd;
}

/**
 * A stream that decompresses; undefined for `none`. Bytes behind the compressed stream are an error.
 * Its errors are zlib's own or the program's: wrap them with `describeBrokenStream`.
 */
export function createDecompressor(compression: Compression, input: CompressedInput): Duplex | undefined {
  if (compression === 'none') return undefined;
  if (compression === 'gzip') return refuseTrailer(zlib.createGunzip({ chunkSize: CHUNK_BYTES }), input);
  // node's own zstd (from 22.15 on) ends behind the first frame and takes a stream that is cut off for a whole one.
  return input.startZstd();
}

/** zlib's streams; `bytesWritten` is what they have made use of. */
type Counting = Duplex & { readonly bytesWritten: number };

/** node's zlib takes zeros behind a stream for padding: it ends there and drops whatever else its input holds. */
function refuseTrailer(decompressor: Counting, { what, bytesPassed }: CompressedInput): Duplex {
  return decompressor.once('end', () => {
    if (decompressor.bytesWritten === bytesPassed()) return;
    decompressor.destroy(
      new AtomicError('stream-broken', `${what} has bytes behind the end of its compressed stream`, {
        hint: 'The layer is damaged at its source: push the image again.',
      }),
    );
  });
}

/** Turns an error of a decompressor into our own; anything else passes unchanged. */
export function describeBrokenStream(error: unknown, what: string): unknown {
  const isZstd = isAtomicError(error, 'command-failed') && error.message.includes('zstd');
  if (!isZstd && systemCodeOf(error)?.startsWith('Z_') !== true) return error;
  const kind = isZstd ? 'zstd' : 'gzip';
  return new AtomicError('stream-broken', `${what} is not a valid ${kind} stream: ${messageOf(error)}`, {
    cause: error,
    hint: 'The layer is damaged at its source: push the image again.',
  });
}

/**
 * Passes decompressed bytes and stops a bomb: more than the cap, or more than `layer-ratio` bytes for each
 * compressed one. zlib's own maxOutputLength does not hold for streams.
 * @param compressedBytes how many compressed bytes have gone in so far
 */
export class UnpackedLimit extends Transform {
  readonly #what: string;
  readonly #compressedBytes: () => number;
  readonly #cap: Cap;
  #size = 0;

  constructor(what: string, compressedBytes: () => number, cap: Cap = 'layer-unpacked-size') {
    super();
    this.#what = what;
    this.#compressedBytes = compressedBytes;
    this.#cap = cap;
  }

  /** Decompressed bytes passed so far. */
  get bytesPassed(): number {
    return this.#size;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#size += chunk.length;
    const limit = limitOf(this.#cap);
    const ratio = limitOf('layer-ratio');
    if (this.#size > limit) {
      done(limitExceeded(this.#cap, `${this.#what} unpacks to more than ${limit} bytes`));
    } else if (this.#size > RATIO_FLOOR_BYTES && this.#size > this.#compressedBytes() * ratio) {
      const sentence = `${this.#what} unpacks to more than ${ratio} times its compressed size`;
      done(limitExceeded('layer-ratio', sentence));
    } else {
      done(null, chunk);
    }
  }
}

/**
 * The first `length` bytes of a stream (of bytes, not of objects), which reads from its start afterwards.
 * Gives less at a shorter stream's end.
 * @throws the stream's own error; AtomicError `stream-broken` when it was given up
 */
export function peek(stream: Readable, length: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const look = (): void => {
      let head: Buffer | null = null;
      let failure: Error | null = null;
      if (stream.errored !== null) failure = stream.errored;
      else if (stream.readableEnded) head = Buffer.alloc(0);
      else if (stream.destroyed) failure = closedEarly();
      else head = stream.read(length) as Buffer | null;
      if (head === null && failure === null) return;
      stream.off('readable', look).off('end', look).off('error', look).off('close', look);
      // At once: what is put back in a later turn comes too late for a stream that has given all it had.
      if (head !== null && head.length > 0) stream.unshift(head);
      if (failure === null) resolve(head ?? Buffer.alloc(0));
      else reject(failure);
    };
    stream.on('readable', look).on('end', look).on('error', look).on('close', look);
    look();
  });
}

function closedEarly(): AtomicError {
  return new AtomicError('stream-broken', 'The stream was closed before its first byte was read');
}
