import { setMaxListeners } from 'node:events';
import { pipeline, Readable } from 'node:stream';
import { isAtomicError } from '../errors.ts';
import type { Descriptor } from '../image/descriptor.ts';
import type { Digest } from '../image/digest.ts';
import { layerMediaType, layerTypeOf, type Compression, type ManifestFormat } from '../image/media-type.ts';
import { detectCompression, peek } from '../stream/decompress.ts';
import { VerifyStream } from '../stream/verify.ts';
import type { BlobClaim } from '../transport/blob-claims.ts';
import type { CopyRun, StoredBlob } from './copy-run.ts';
import { useBlob, whileClaimed } from './open-blob.ts';
import { refuseChange, type KeptReason, type LayerWish } from './plan-instance.ts';
import { transformBlob } from './transform-blob.ts';

/** Blobs on their way at the same time: as many as other tools take, since a registry serves each slowly. */
const PARALLEL_BLOBS = 6;
/** Who wants to know of an abort while one blob is on its way: its reader, its changes, its connection. */
const LISTENERS_PER_BLOB = 8;
/** Bytes enough to tell every compression that we know of. */
const MAGIC_BYTES = 6;

/** One blob to be brought to the destination. */
export interface BlobTask {
  readonly descriptor: Descriptor;
  readonly wish: LayerWish;
  readonly diffId?: Digest | undefined;
  /** Its bytes, where they were read and verified before. */
  readonly bytes?: Uint8Array;
  /** Subject of an error's sentence: "layer 2 of docker://x". */
  readonly what: string;
}

/** The manifest that the blobs are for. */
export interface BlobsPlace {
  readonly name: string;
  readonly format: ManifestFormat;
  readonly kept: KeptReason | undefined;
}

/** Where a blob stands in `CopyRun.blobs`: the same bytes may be wanted in two ways. */
export function blobKey({ descriptor, wish }: Pick<BlobTask, 'descriptor' | 'wish'>): string {
  return `${descriptor.digest} ${wish}`;
}

/**
 * Brings blobs to the destination, each once and several at a time, where it takes that. What became of them is in
 * `run.blobs` afterwards.
 * @throws AtomicError the first that went wrong; what was on its way is given up
 */
export async function copyBlobs(run: CopyRun, place: BlobsPlace, tasks: readonly BlobTask[]): Promise<void> {
  const queued = new Map<string, BlobTask>();
  for (const task of tasks) if (!run.blobs.has(blobKey(task))) queued.set(blobKey(task), task);
  const queue = [...queued.entries()];
  if (run.destination.folder !== undefined) await run.requireRoom(await findMissing(run, queued.values()));
  const failed = new AbortController();
  const stop = AbortSignal.any([run.signal, failed.signal]);
  setMaxListeners(PARALLEL_BLOBS * LISTENERS_PER_BLOB, stop);
  const work = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined && !stop.aborted; next = queue.shift()) {
      const [key, task] = next;
      try {
        run.blobs.set(key, await untilUploaded(run.tries, () => copyBlob(run, place, task, stop)));
      } catch (error) {
        failed.abort(error);
      }
    }
  };
  const workers = run.destination.traits.parallel ? PARALLEL_BLOBS : 1;
  await Promise.all(Array.from({ length: workers }, work));
  if (stop.aborted) throw stop.reason;
}

/** A blob whose upload broke is read again from its source, which gives it as often as it is asked. */
async function untilUploaded(tries: number, copy: () => Promise<StoredBlob>): Promise<StoredBlob> {
  for (let tried = 1; ; tried++) {
    try {
      return await copy();
    } catch (error) {
      if (tried >= tries || !isAtomicError(error, 'upload-broken')) throw error;
    }
  }
}

/** Those that are to be changed count as they are: nobody knows what will become of them. */
async function findMissing({ destination }: CopyRun, tasks: Iterable<BlobTask>): Promise<Descriptor[]> {
  const missing: Descriptor[] = [];
  for (const { descriptor, wish } of tasks) {
    if (wish !== 'stored' || !(await destination.hasBlob(descriptor))) missing.push(descriptor);
  }
  return missing;
}

async function copyBlob(
  run: CopyRun,
  place: BlobsPlace,
  task: BlobTask,
  stop: AbortSignal,
): Promise<StoredBlob> {
  const { descriptor, wish, bytes: known, what } = task;
  const unchanged: StoredBlob = { descriptor, changedTo: undefined };
  if (wish === 'stored') {
    await putUnlessPresent(run, descriptor, stop, (claim) =>
      known === undefined
        ? useBlob(run.source, descriptor, claim, stop, (bytes) => putVerified(run, task, bytes, stop))
        : putVerified(run, task, Readable.from([known]), stop),
    );
    return unchanged;
  }
  // Without a claim, so that nobody waits for another blob's while holding this one's.
  return useBlob(run.source, descriptor, undefined, stop, (bytes) =>
    useUntil(stop, bytes, async () => {
      const from = detectCompression(await peek(bytes, MAGIC_BYTES), what);
      const to = wish === 'compressed' ? (from === 'none' ? 'gzip' : from) : wish;
      if (from !== to) return putChanged(run, place, { ...task, bytes, from, to }, stop);
      await putUnlessPresent(run, descriptor, stop, () => putVerified(run, task, bytes, stop));
      return unchanged;
    }),
  );
}

/** Puts a blob that is not there, while no other process does. */
async function putUnlessPresent(
  run: CopyRun,
  descriptor: Descriptor,
  stop: AbortSignal,
  put: (claim: BlobClaim | undefined) => Promise<void>,
): Promise<void> {
  if (await isPresent(run, descriptor)) return;
  await whileClaimed(run.destination.claims, descriptor, stop, async (claim) => {
    if (claim !== undefined && (await isPresent(run, descriptor))) return;
    await put(claim);
    run.counts.copied++;
  });
}

async function isPresent({ destination, report, counts }: CopyRun, descriptor: Descriptor): Promise<boolean> {
  if (!(await destination.hasBlob(descriptor))) return false;
  const { digest, size } = descriptor;
  report({ event: 'layer', digest, state: 'present', bytes: size, total: size });
  counts.present++;
  return true;
}

/** Does something with a stream, which an abort destroys with its reason, and the end in any case. */
async function useUntil<T>(stop: AbortSignal, stream: Readable, use: () => Promise<T>): Promise<T> {
  const giveUp = (): void => void stream.destroy(stop.reason instanceof Error ? stop.reason : undefined);
  // Given up with an error before anybody listens: it is told of when the stream is read.
  stream.on('error', () => undefined);
  stop.addEventListener('abort', giveUp);
  try {
    if (stop.aborted) giveUp();
    return await use();
  } finally {
    stop.removeEventListener('abort', giveUp);
    stream.destroy();
  }
}

async function putVerified(run: CopyRun, task: BlobTask, bytes: Readable, stop: AbortSignal): Promise<void> {
  const { descriptor, diffId, what } = task;
  const { digest, size: total } = descriptor;
  const verified = new VerifyStream({ digest, size: total, what });
  const tell = (state: 'started' | 'progress' | 'done', passed: number): void =>
    run.report({ event: 'layer', digest, state, bytes: passed, total });
  tell('started', 0);
  const ticker = setInterval(() => tell('progress', verified.bytesPassed), 200);
  // Its outcome is that of `verified`, which the destination reads.
  pipeline(bytes, verified, () => undefined);
  await useUntil(stop, bytes, () => run.destination.putBlob(descriptor, verified, diffId)).finally(() =>
    clearInterval(ticker),
  );
  tell('done', total);
}

interface ChangingTask extends Omit<BlobTask, 'bytes'> {
  readonly bytes: Readable;
  readonly from: Compression;
  readonly to: Compression;
}

async function putChanged(
  run: CopyRun,
  { name, format, kept }: BlobsPlace,
  task: ChangingTask,
  stop: AbortSignal,
): Promise<StoredBlob> {
  const { descriptor, from, to, diffId, what, bytes } = task;
  const { digest, size: total } = descriptor;
  refuseChange(kept, name, to === 'none' ? `${what} has to be decompressed` : `${what} has to be ${to}`);
  const tell = (state: 'started' | 'progress' | 'done', passed: number): void =>
    run.report({ event: 'layer', digest, state, bytes: passed, total });
  tell('started', 0);
  const onProgress = (passed: number): void => tell('progress', passed);
  const spooled = await transformBlob(run, bytes, { descriptor, from, to, diffId, what, onProgress }, stop);
  try {
    const isForeign = layerTypeOf(descriptor.mediaType)?.foreign ?? false;
    const mediaType = layerMediaType(format, to, isForeign);
    const changed: Descriptor = { mediaType, digest: spooled.digest, size: spooled.size };
    await putUnlessPresent(run, changed, stop, () => {
      const content = spooled.read();
      return useUntil(stop, content, () => run.destination.putBlob(changed, content, diffId));
    });
    run.counts.converted++;
    tell('done', total);
    return { descriptor: changed, changedTo: to };
  } finally {
    await spooled.close();
  }
}
