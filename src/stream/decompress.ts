import { Transform, type Duplex, type Readable, type TransformCallback } from 'node:stream';
import * as zlib from 'node:zlib';
import { AtomicError, messageOf } from '../errors.ts';
import type { Compression } from '../image/media-type.ts';
import { DECOMPRESSION_RATIO, LAYER_UNPACKED_BYTES, RATIO_FLOOR_BYTES } from '../limits.ts';

/** Large enough that the cost per chunk vanishes, small enough that a few layers at once stay in tens of MiB. */
const CHUNK_BYTES = 256 * 1024;

/** Starts a program that decompresses zstd from its standard input; for a node without zstd of its own. */
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

/**
 * A stream that decompresses; undefined for `none`.
 * Its errors are zlib's own or the program's: wrap them with `describeBrokenStream`.
 */
export function createDecompressor(
  compression: Compression,
  startZstd: StartZstd,
  what: string,
): Duplex | undefined {
  if (compression === 'none') return undefined;
  if (compression === 'gzip') return refuseTrailer(zlib.createGunzip({ chunkSize: CHUNK_BYTES }), what);
  const { createZstdDecompress } = zlib as {
    createZstdDecompress?: (options: { chunkSize: number }) => Duplex;
  };
  return createZstdDecompress === undefined
    ? startZstd()
    : refuseTrailer(createZstdDecompress({ chunkSize: CHUNK_BYTES }), what);
}

/**
 * node's zlib takes zeros behind a stream for padding: its output ends, and the write that brought them never does.
 * Whoever feeds it would wait for ever, or not, as the chunks happen to be cut.
 */
function refuseTrailer(decompressor: Duplex, what: string): Duplex {
  return decompressor.once('end', () => {
    if (decompressor.writableEnded && decompressor.writableLength === 0) return;
    decompressor.destroy(
      new AtomicError('stream-broken', `${what} has bytes behind the end of its compressed stream`, {
        hint: 'The layer is damaged at its source: push the image again.',
      }),
    );
  });
}

/** Turns an error of a decompressor into our own; anything else passes unchanged. */
export function describeBrokenStream(error: unknown, what: string): unknown {
  const code = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : '';
  if (!/^(Z_|ZSTD_|ERR_ZSTD)/.test(code)) return error;
  const kind = code.startsWith('Z_') ? 'gzip' : 'zstd';
  return new AtomicError('stream-broken', `${what} is not a valid ${kind} stream: ${messageOf(error)}`, {
    cause: error,
    hint: 'The layer is damaged at its source: push the image again.',
  });
}

/**
 * Passes decompressed bytes and stops a bomb: more than `maxBytes`, or more than DECOMPRESSION_RATIO bytes for each
 * compressed one. zlib's own maxOutputLength does not hold for streams.
 * @param compressedBytes how many compressed bytes have gone in so far
 */
export class UnpackedLimit extends Transform {
  readonly #what: string;
  readonly #compressedBytes: () => number;
  readonly #maxBytes: number;
  #size = 0;

  constructor(what: string, compressedBytes: () => number, maxBytes: number = LAYER_UNPACKED_BYTES) {
    super();
    this.#what = what;
    this.#compressedBytes = compressedBytes;
    this.#maxBytes = maxBytes;
  }

  /** Decompressed bytes passed so far. */
  get bytesPassed(): number {
    return this.#size;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#size += chunk.length;
    if (this.#size > this.#maxBytes) {
      done(new AtomicError('limit-exceeded', `${this.#what} unpacks to more than ${this.#maxBytes} bytes`));
      return;
    }
    if (this.#size > RATIO_FLOOR_BYTES && this.#size > this.#compressedBytes() * DECOMPRESSION_RATIO) {
      done(
        new AtomicError(
          'limit-exceeded',
          `${this.#what} unpacks to more than ${DECOMPRESSION_RATIO} times its compressed size`,
        ),
      );
      return;
    }
    done(null, chunk);
  }
}

/**
 * The first `length` bytes of a stream (of bytes, not of objects), which reads from its start afterwards.
 * Gives less at a shorter stream's end.
 * @throws the stream's own error; AtomicError `stream-broken` when it was given up
 */
export async function peek(stream: Readable, length: number): Promise<Buffer> {
  for (;;) {
    if (stream.errored !== null) throw stream.errored;
    if (stream.readableEnded) return Buffer.alloc(0);
    if (stream.destroyed) throw new AtomicError('stream-broken', 'the stream was closed before its first byte');
    const head = stream.read(length) as Buffer | null;
    if (head !== null) {
      // At once: what is put back in a later turn comes too late for a stream that has given all it had.
      stream.unshift(head);
      return head;
    }
    await readable(stream);
  }
}

/** Waits until something more is to be read, or known of the end. */
async function readable(stream: Readable): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const settle = (error?: Error): void => {
      stream.off('readable', settle).off('end', settle).off('error', settle).off('close', settle);
      if (error instanceof Error) reject(error);
      else resolve();
    };
    stream.on('readable', settle).on('end', settle).on('error', settle).on('close', settle);
  });
}
