import { PassThrough, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { isAtomicError } from '../errors.ts';
import type { Descriptor } from '../image/descriptor.ts';
import type { BlobClaim, BlobClaims } from '../transport/blob-claims.ts';
import type { ImageSource } from '../transport/transport.ts';

/**
 * Does something with a blob's place while nobody else does: waits for another process that fetches the blob, so `use`
 * asks first whether it is there by now.
 * @param claims of the place, where it has any
 */
export async function whileClaimed<T>(
  claims: BlobClaims | undefined,
  descriptor: Descriptor,
  signal: AbortSignal,
  use: (claim: BlobClaim | undefined) => Promise<T>,
): Promise<T> {
  const claim = await claims?.take(descriptor, 'wait', signal);
  try {
    return await use(claim);
  } finally {
    await claim?.release();
  }
}

/**
 * Opens a blob and hands its bytes to `use`, from the first one on, **unverified**. When a part of them was left by an
 * interrupted run, and they are not what they should be, that is dropped, and `use` is called again with all bytes from
 * the source.
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

/** A blob's bytes from its first one on, unverified; those that an interrupted run left come from there. */
export async function openBlob(
  source: ImageSource,
  descriptor: Descriptor,
  claim?: BlobClaim,
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
