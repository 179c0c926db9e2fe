import { AtomicError, isAtomicError } from '../errors.ts';
import type { Report } from '../events.ts';
import type { Descriptor } from '../image/descriptor.ts';
import type { Digest } from '../image/digest.ts';
import { limitExceeded, limitOf } from '../limits.ts';
import type { Readable } from 'node:stream';
import type { ImageSource } from '../transport/transport.ts';
import { openBlob } from './open-blob.ts';
import type { ResolvedImage } from './resolve.ts';

/** Layers that are fetched and imported at the same time: an import keeps one core busy in ostree and half of one here. */
export const PARALLEL_LAYERS = 2;
/** Tries of one layer when the store asks for another (`store-race`). */
const STORE_TRIES = 5;

/** A layer on its way in; see store/import-layer.ts. */
export interface PendingLayer {
  /** Entries of its tar, those that were left out included. */
  readonly entries: number;
  readonly devicesLeftOut: number;
  publish(): Promise<void>;
  discard(): Promise<void>;
}

/** What the engine needs of a place that keeps layers as trees. */
export interface LayerStore {
  /** A layer that is there already, with its DiffID where the store knows it. */
  findLayer(digest: Digest): Promise<{ readonly diffId: string | undefined } | undefined>;
  /** Told of all layers that are missing, before the first byte of one is fetched; throws when they will not fit. */
  requireRoom?(missing: readonly Descriptor[]): Promise<void>;
  importLayer(layer: {
    readonly descriptor: Descriptor;
    readonly diffId: Digest;
    readonly bytes: Readable;
    readonly what: string;
    readonly onProgress: (bytes: number) => void;
  }): Promise<PendingLayer>;
}

export interface ImportOutcome {
  /** Layers that were fetched; the others were there. */
  readonly fetched: number;
  readonly fetchedBytes: number;
  readonly devicesLeftOut: number;
}

interface WantedLayer {
  readonly descriptor: Descriptor;
  readonly diffId: Digest;
  /** Subject of an error's sentence. */
  readonly what: string;
}

/**
 * Brings an image's layers into a store: those that are missing, each once, PARALLEL_LAYERS at a time. They are begun
 * and made visible in the order of the manifest; a layer whose import failed keeps those above it from being visible.
 * @param signal gives the import up
 * @throws AtomicError the first that went wrong; what was being fetched is given up
 */
export async function importLayers(
  source: ImageSource,
  image: ResolvedImage,
  store: LayerStore,
  report: Report,
  signal: AbortSignal,
): Promise<ImportOutcome> {
  const missing = await findMissing(source, image, store, report);
  if (missing.length > 0) await store.requireRoom?.(missing.map(({ descriptor }) => descriptor));
  const queue = [...missing];
  const failed = new AbortController();
  const stop = AbortSignal.any([signal, failed.signal]);
  let published: Promise<void> = Promise.resolve();
  let devicesLeftOut = 0;
  let entries = 0;

  const publishInTurn = async (turn: Promise<void>, imported: Promise<PendingLayer>): Promise<void> => {
    try {
      const pending = await imported;
      devicesLeftOut += pending.devicesLeftOut;
      entries += pending.entries;
      if (entries > limitOf('image-entries')) failed.abort(tooManyEntries(source.name, entries));
      await turn;
      if (stop.aborted) await pending.discard();
      else await pending.publish();
    } catch (error) {
      failed.abort(error);
    }
    await turn;
  };
  const work = async (): Promise<void> => {
    for (let layer = queue.shift(); layer !== undefined && !stop.aborted; layer = queue.shift()) {
      const imported = importOne(source, layer, store, report, stop);
      // Nobody waits here for a larger layer below to become visible: the next one can come in meanwhile.
      published = publishInTurn(published, imported);
      await Promise.allSettled([imported]);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL_LAYERS }, work));
  await published;
  if (stop.aborted) throw stop.reason;
  const fetchedBytes = missing.reduce((sum, { descriptor }) => sum + descriptor.size, 0);
  return { fetched: missing.length, fetchedBytes, devicesLeftOut };
}

function tooManyEntries(name: string, entries: number): AtomicError {
  const limit = limitOf('image-entries');
  return limitExceeded(
    'image-entries',
    `the layers of ${name} have more than ${limit} entries in all`,
    entries,
  );
}

async function findMissing(
  source: ImageSource,
  image: ResolvedImage,
  store: LayerStore,
  report: Report,
): Promise<WantedLayer[]> {
  const { layers } = image.manifest;
  const missing = new Map<Digest, WantedLayer>();
  for (const [position, descriptor] of layers.entries()) {
    const { digest, size } = descriptor;
    const what = `layer ${position + 1} of ${layers.length} of ${source.name}`;
    const diffId = image.config.diffIds[position];
    if (diffId === undefined) throw new AtomicError('config-invalid', `${what} has no DiffID in the config`);
    const stored = await store.findLayer(digest);
    const known = missing.get(digest)?.diffId ?? stored?.diffId;
    if (known !== undefined && known !== diffId) {
      throw new AtomicError('digest-mismatch', `${what} unpacks to ${known}; the config names ${diffId}`);
    }
    if (stored === undefined) {
      missing.set(digest, missing.get(digest) ?? { descriptor, diffId, what });
    } else {
      report({ event: 'layer', digest, state: 'present', bytes: size, total: size });
    }
  }
  return [...missing.values()];
}

/** A store that was met at a bad moment is asked again, with the layer from its start. */
async function importOne(
  source: ImageSource,
  layer: WantedLayer,
  store: LayerStore,
  report: Report,
  stop: AbortSignal,
): Promise<PendingLayer> {
  for (let left = STORE_TRIES - 1; ; left--) {
    try {
      return await tryImport(source, layer, store, report, stop);
    } catch (error) {
      if (left === 0 || stop.aborted || !isAtomicError(error, 'store-race')) throw error;
    }
  }
}

async function tryImport(
  source: ImageSource,
  { descriptor, diffId, what }: WantedLayer,
  store: LayerStore,
  report: Report,
  stop: AbortSignal,
): Promise<PendingLayer> {
  const { digest, size: total } = descriptor;
  report({ event: 'layer', digest, state: 'started', bytes: 0, total });
  const bytes = await openBlob(source, descriptor);
  // Given up with an error before the store listens; the store tells of it when it reads.
  bytes.on('error', () => undefined);
  const giveUp = (): void => void bytes.destroy(stop.reason instanceof Error ? stop.reason : undefined);
  stop.addEventListener('abort', giveUp);
  try {
    if (stop.aborted) giveUp();
    const onProgress = (passed: number): void =>
      report({ event: 'layer', digest, state: 'progress', bytes: passed, total });
    const pending = await store.importLayer({ descriptor, diffId, bytes, what, onProgress });
    report({ event: 'layer', digest, state: 'done', bytes: total, total });
    return pending;
  } finally {
    stop.removeEventListener('abort', giveUp);
  }
}
