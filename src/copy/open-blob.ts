import { PassThrough, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { isAtomicError } from '../errors.ts';
import type { Descriptor } from '../image/descriptor.ts';
import type { BlobClaim } from '../transport/blob-claims.ts';
import type { ImageSource } from '../transport/transport.ts';

/**
 * Opens a blob, the one way in which an import and a copy get theirs, and hands its bytes to `use`: from the first one
 * on, **unverified**. Those that an interrupted run left come from there, and only the rest from the source. When what
 * came so is not what it should be, what was left is dropped, and `use` is called again with the source's own bytes.
 * @param claim of the place that the blob goes to, where that has claims; stays the caller's
 * @param signal gives the blob up: then what was left is not to blame
 */
export async function useBlob<T>(
  source: ImageSource,
  descriptor: Descriptor,
  claim: BlobClaim | undefined,
  signal: AbortSignal,
  use: (bytes: Readable) => Promise<T>,
): Promise<T> {
  const bytes = await openBlob(source, descriptor, claim);
  try {
    return await use(bytes);
  } catch (error) {
    bytes.destroy();
    if (claim === undefined || signal.aborted) throw error;
    const isResumed = bytes instanceof ResumedBlob;
    if (isResumed ? !bytes.sourceFailed && blamesBytes(error) : isAtomicError(error, 'digest-mismatch')) {
      await claim.drop();
      if (isResumed) return useBlob(source, descriptor, claim, signal, use);
    }
    throw error;
  }
}

/** A blob's bytes from its first one on, unverified. */
async function openBlob(
  source: ImageSource,
  descriptor: Descriptor,
  claim: BlobClaim | undefined,
): Promise<Readable> {
  const kept = source.seekable === true ? ((await claim?.countKept()) ?? 0) : 0;
  if (claim !== undefined && kept > 0) return new ResumedBlob(source, descriptor, claim, kept);
  const bytes = await source.getBlob(descriptor);
  // Until somebody listens; what went wrong is then still there to be read.
  bytes.on('error', () => undefined);
  return (await claim?.keep?.(bytes, 0)) ?? bytes;
}

/** Whether bytes that are not what they should be end like this. */
function blamesBytes(error: unknown): boolean {
  return isAtomicError(
    error,
    'digest-mismatch',
    'size-mismatch',
    'stream-broken',
    'compression-unsupported',
    'layer-invalid',
    'limit-exceeded',
  );
}

/** What was kept of a blob, and behind it the rest from the source, which is not asked before it is needed. */
class ResumedBlob extends PassThrough {
  /** Whether it ended because the source did. */
  sourceFailed = false;

  constructor(source: ImageSource, descriptor: Descriptor, claim: BlobClaim, kept: number) {
    super();
    this.#join(source, descriptor, claim, kept).catch((error: unknown) => {
      this.destroy(error instanceof Error ? error : new Error(String(error)));
    });
  }

  async #join(source: ImageSource, descriptor: Descriptor, claim: BlobClaim, kept: number): Promise<void> {
    await pipeline(claim.readKept(kept), this, { end: false });
    if (kept === descriptor.size) return void this.end();
    // Once this is destroyed, it is the failure of whoever reads it.
    const blameSource = (): void => {
      if (!this.destroyed) this.sourceFailed = true;
    };
    const rest = await source.getBlob(descriptor, kept).catch((error: unknown) => {
      blameSource();
      throw error;
    });
    rest.on('error', blameSource);
    if (this.destroyed) return void rest.destroy();
    await pipeline((await claim.keep?.(rest, kept)) ?? rest, this);
  }
}
