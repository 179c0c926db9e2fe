import { pipeline, type Readable } from 'node:stream';
import type { Report } from '../events.ts';
import type { Descriptor } from '../image/descriptor.ts';
import type { Digest } from '../image/digest.ts';
import type { Platform } from '../image/platform.ts';
import { VerifyStream } from '../stream/verify.ts';
import type { ImageDestination, ImageSource } from '../transport/transport.ts';
import { PARALLEL_LAYERS } from './import.ts';
import { useBlob } from './open-blob.ts';
import { checkSize, resolveManifest } from './resolve.ts';

export interface CopyOutcome {
  /** Of the manifest that was copied, byte for byte the source's. */
  readonly digest: Digest;
  readonly copied: number;
  readonly present: number;
}

/**
 * Copies one image for one platform between two places, as `skopeo copy` does: blobs first, each verified on its way,
 * those that the destination has already not at all; then the manifest with its bytes unchanged.
 * @param requireRoom told of what a destination on this host lacks, before the first byte; throws when it will not fit
 * @throws AtomicError the first that went wrong; the destination's name then stands for what it stood for
 */
export async function copyImage(
  source: ImageSource,
  destination: ImageDestination,
  platform: Platform,
  expected: Digest | undefined,
  report: Report,
  signal: AbortSignal,
  requireRoom: (missing: readonly Descriptor[]) => Promise<void> = () => Promise.resolve(),
): Promise<CopyOutcome> {
  const { manifest, digest, raw } = await resolveManifest(source, platform, expected);
  report({ event: 'resolved', image: source.name, digest, layers: manifest.layers.length });
  checkSize(manifest.config, 'config-size', `the config of ${source.name}`);
  const blobs = new Map<Digest, Descriptor>();
  for (const descriptor of [...manifest.layers, manifest.config]) blobs.set(descriptor.digest, descriptor);
  if (destination.folder !== undefined) await requireRoom(await findMissing(destination, blobs.values()));
  const queue = [...blobs.values()];
  let copied = 0;
  const failed = new AbortController();
  const stop = AbortSignal.any([signal, failed.signal]);
  const work = async (): Promise<void> => {
    for (let blob = queue.shift(); blob !== undefined && !stop.aborted; blob = queue.shift()) {
      try {
        if (await copyBlob(source, destination, blob, report, stop)) copied++;
      } catch (error) {
        failed.abort(error);
      }
    }
  };
  await Promise.all(Array.from({ length: PARALLEL_LAYERS }, work));
  if (stop.aborted) throw stop.reason;
  await destination.putManifest({ bytes: raw.bytes, mediaType: manifest.mediaType }, digest, 'reference');
  await destination.commit();
  return { digest, copied, present: blobs.size - copied };
}

async function findMissing(
  destination: ImageDestination,
  blobs: Iterable<Descriptor>,
): Promise<Descriptor[]> {
  const missing: Descriptor[] = [];
  for (const blob of blobs) if (!(await destination.hasBlob(blob))) missing.push(blob);
  return missing;
}

/** Whether the blob had to be copied. Another process that is at it is waited for. */
async function copyBlob(
  source: ImageSource,
  destination: ImageDestination,
  descriptor: Descriptor,
  report: Report,
  stop: AbortSignal,
): Promise<boolean> {
  const { digest, size: total } = descriptor;
  const isThere = async (): Promise<boolean> => {
    if (!(await destination.hasBlob(descriptor))) return false;
    report({ event: 'layer', digest, state: 'present', bytes: total, total });
    return true;
  };
  if (await isThere()) return false;
  const claim = await destination.claims?.take(descriptor, 'wait', stop);
  try {
    if (claim !== undefined && (await isThere())) return false;
    report({ event: 'layer', digest, state: 'started', bytes: 0, total });
    await useBlob(source, descriptor, claim, stop, (bytes) =>
      putVerified(source, destination, descriptor, bytes, report, stop),
    );
    report({ event: 'layer', digest, state: 'done', bytes: total, total });
    return true;
  } finally {
    await claim?.release();
  }
}

async function putVerified(
  source: ImageSource,
  destination: ImageDestination,
  descriptor: Descriptor,
  bytes: Readable,
  report: Report,
  stop: AbortSignal,
): Promise<void> {
  const { digest, size: total } = descriptor;
  const verified = new VerifyStream({ digest, size: total, what: `the blob ${digest} of ${source.name}` });
  const giveUp = (): void => void bytes.destroy(stop.reason instanceof Error ? stop.reason : undefined);
  const ticker = setInterval(
    () => report({ event: 'layer', digest, state: 'progress', bytes: verified.bytesPassed, total }),
    200,
  );
  // Its outcome is that of `verified`, which the destination reads.
  pipeline(bytes, verified, () => undefined);
  stop.addEventListener('abort', giveUp);
  try {
    if (stop.aborted) giveUp();
    await destination.putBlob(descriptor, verified);
  } finally {
    clearInterval(ticker);
    stop.removeEventListener('abort', giveUp);
    bytes.destroy();
  }
}
