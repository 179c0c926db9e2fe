import { createHash } from 'node:crypto';
import { Transform, type Readable, type TransformCallback } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { AtomicError, describeDiskFull, TEMP_SPACE_HINT } from '../errors.ts';
import type { Descriptor } from '../image/descriptor.ts';
import { digestFromHex, type Digest } from '../image/digest.ts';
import type { Compression } from '../image/media-type.ts';
import { createCompressor } from '../stream/compress.ts';
import { createDecompressor, describeBrokenStream, UnpackedLimit } from '../stream/decompress.ts';
import { VerifyStream } from '../stream/verify.ts';
import { streamRange, writeTo } from '../transport/local-file.ts';
import { openNameless } from '../transport/temp-folder.ts';
import type { CopyRun } from './copy-run.ts';

/** A layer on its way from one compression to another. */
export interface BlobChange {
  readonly descriptor: Descriptor;
  readonly from: Compression;
  readonly to: Compression;
  /** Of its uncompressed tar, where the config tells it. */
  readonly diffId: Digest | undefined;
  /** Subject of an error's sentence: "layer 2 of docker://x". */
  readonly what: string;
  /** Told now and then how many of the stored bytes have passed. */
  readonly onProgress: (bytes: number) => void;
}

/** A changed blob, whole and verified, in a file that is gone with its handle. */
export interface SpooledBlob {
  readonly digest: Digest;
  readonly size: number;
  read(): Readable;
  close(): Promise<void>;
}

/**
 * Changes a layer's compression, by way of a temp file: its digest and size have to be known before it is stored.
 * @param bytes the blob as it is stored at its source, unverified
 * @throws AtomicError `digest-mismatch`, `size-mismatch`, `stream-broken`, `limit-exceeded`, `disk-full`
 */
export async function transformBlob(
  { tempFolder, wishes, zstd }: Pick<CopyRun, 'tempFolder' | 'wishes' | 'zstd'>,
  bytes: Readable,
  change: BlobChange,
  signal: AbortSignal,
): Promise<SpooledBlob> {
  const { descriptor, from, to, what } = change;
  const file = await openNameless(tempFolder);
  try {
    const stored = new VerifyStream({ digest: descriptor.digest, size: descriptor.size, what });
    const passed = (): number => stored.bytesPassed;
    const unpacked = new UnpackedLimit(what, passed);
    const stages = [
      stored,
      createDecompressor(from, { what, bytesPassed: passed, startZstd: zstd.decompress }),
      unpacked,
      verifyContent(change),
      createCompressor(to, { level: wishes.level, startZstd: zstd.compress }),
    ].filter((stage) => stage !== undefined);
    const result = new HashStream();
    const ticker = setInterval(() => change.onProgress(passed()), 200);
    await pipeline([bytes, ...stages, result, writeTo(file)], { signal }).finally(() => {
      clearInterval(ticker);
    });
    if (!stored.verified) {
      throw new AtomicError('stream-broken', `${what} has bytes behind the end of its compressed stream`);
    }
    const { digest, size } = result;
    return {
      digest,
      size,
      read: () => streamRange(file, 0, size, `the temp file of ${what}`),
      close: () => file.close(),
    };
  } catch (error) {
    bytes.destroy();
    await file.close();
    throw describeDiskFull(describeBrokenStream(error, what), tempFolder, TEMP_SPACE_HINT);
  }
}

/** Undefined where the stored bytes are the tar itself and are verified as such, or nobody knows what they should be. */
function verifyContent({ diffId, descriptor, from, what }: BlobChange): VerifyStream | undefined {
  if (diffId === undefined || (from === 'none' && diffId === descriptor.digest)) return undefined;
  return new VerifyStream({ digest: diffId, size: undefined, what: `${what}, unpacked,` });
}

/** Passes bytes, and knows their digest and number at the end. */
class HashStream extends Transform {
  readonly #hash = createHash('sha256');
  #size = 0;
  #digest: Digest | undefined;

  get size(): number {
    return this.#size;
  }

  get digest(): Digest {
    if (this.#digest === undefined) throw new AtomicError('internal', 'A digest was asked for too early');
    return this.#digest;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#size += chunk.length;
    this.#hash.update(chunk);
    done(null, chunk);
  }

  override _flush(done: TransformCallback): void {
    this.#digest = digestFromHex('sha256', this.#hash.digest('hex'));
    done();
  }
}
