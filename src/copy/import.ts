import { AtomicError, isAtomicError } from '../errors.ts';
import type { Report } from '../events.ts';
import type { Descriptor } from '../image/descriptor.ts';
import type { Digest } from '../image/digest.ts';
import { limitExceeded, limitOf } from '../limits.ts';
import type { Readable } from 'node:stream';
import type { BlobClaim, BlobClaims } from '../transport/blob-claims.ts';
import type { ImageSource } from '../transport/transport.ts';
import { useBlob } from './open-blob.ts';
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
  /** Who fetches which layer into it, where several processes may. */
  readonly claims?: BlobClaims;
  importLayer(layer: {
    readonly descriptor: Descriptor;
    readonly diffId: Digest;
    readonly bytes: Readable;
    readonly what: string;
    readonly onProgress: (bytes: number) => void;
  }): Promise<PendingLayer>;
}

export interface ImportOutcome {
  /** Layers that were fetched; the others were there, or came by another process meanwhile. */
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

/** A layer that is in, to be made visible in its turn; its claim is held until then. */
interface ImportedOne {
  readonly descriptor: Descriptor;
  readonly pending: PendingLayer;
  readonly claim: BlobClaim | undefined;
}

/** What all layers of one import share. */
interface ImportRun {
  readonly source: ImageSource;
  readonly store: LayerStore;
  readonly report: Report;
  /** Gives it up: the caller's signal, or the first failure. */
  readonly stop: AbortSignal;
}

/**
 * Brings an image's layers into a store: those that are missing, each once, PARALLEL_LAYERS at a time. They are begun
 * and made visible in the order of the manifest; a layer whose import failed keeps those above it from being visible.
 *
 * A layer that another process is fetching is left to it, and looked at again when all others have come. Nobody who
 * holds a claim waits for somebody else's: what is in becomes visible without the layers that others are at.
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
  const left: WantedLayer[] = [];
  const failed = new AbortController();
  const run = { source, store, report, stop: AbortSignal.any([signal, failed.signal]) };
  const publisher = new Publisher(run, failed);
  const work = async (): Promise<void> => {
    for (let layer = queue.shift(); layer !== undefined && !run.stop.aborted; layer = queue.shift()) {
      // Nobody waits here for a larger layer below to become visible: the next one can come in meanwhile.
      if ((await publisher.add(importUnclaimed(run, layer))) === 'left') left.push(layer);
    }
    for (let layer = left.shift(); layer !== undefined && !run.stop.aborted; layer = left.shift()) {
      // Not in the way of any that is published: its turn begins when the others are done with it.
      const claim = store.claims?.take(layer.descriptor, 'wait', run.stop);
      await publisher.add(importClaimed(run, layer, await claim));
    }
  };
  const workers = Array.from({ length: PARALLEL_LAYERS }, () =>
    work().catch((error: unknown) => failed.abort(error)),
  );
  await Promise.all(workers);
  await publisher.end();
  if (run.stop.aborted) throw run.stop.reason;
  return publisher.outcome;
}

/** Makes layers visible, each when those that were added before it are done with. */
class Publisher {
  readonly #run: ImportRun;
  readonly #failed: AbortController;
  #published: Promise<void> = Promise.resolve();
  #entries = 0;
  #outcome: ImportOutcome = { fetched: 0, fetchedBytes: 0, devicesLeftOut: 0 };

  constructor(run: ImportRun, failed: AbortController) {
    this.#run = run;
    this.#failed = failed;
  }

  get outcome(): ImportOutcome {
    return this.#outcome;
  }

  /** @returns once it is imported, what has no layer to be published; a failure is the whole import's */
  async add<T extends string>(imported: Promise<ImportedOne | T>): Promise<T | undefined> {
    this.#published = this.#inTurn(this.#published, imported);
    const result = await imported.catch(() => undefined);
    return typeof result === 'string' ? result : undefined;
  }

  end(): Promise<void> {
    return this.#published;
  }

  async #inTurn(turn: Promise<void>, imported: Promise<ImportedOne | string>): Promise<void> {
    try {
      const one = await imported;
      if (typeof one !== 'string') await this.#publish(turn, one);
    } catch (error) {
      this.#failed.abort(error);
    }
    await turn;
  }

  async #publish(turn: Promise<void>, { descriptor, pending, claim }: ImportedOne): Promise<void> {
    const { fetched, fetchedBytes, devicesLeftOut } = this.#outcome;
    this.#outcome = {
      fetched: fetched + 1,
      fetchedBytes: fetchedBytes + descriptor.size,
      devicesLeftOut: devicesLeftOut + pending.devicesLeftOut,
    };
    this.#entries += pending.entries;
    if (this.#entries > limitOf('image-entries')) {
      this.#failed.abort(tooManyEntries(this.#run.source.name, this.#entries));
    }
    try {
      await turn;
      if (this.#run.stop.aborted) await pending.discard();
      else {
        await pending.publish();
        await claim?.drop();
      }
    } finally {
      await claim?.release();
    }
  }
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
    requireSameDiffId(what, known, diffId);
    if (stored === undefined) {
      missing.set(digest, missing.get(digest) ?? { descriptor, diffId, what });
    } else {
      report({ event: 'layer', digest, state: 'present', bytes: size, total: size });
    }
  }
  return [...missing.values()];
}

/** @param known as a store has it, where it does */
function requireSameDiffId(what: string, known: string | undefined, diffId: Digest): void {
  if (known === undefined || known === diffId) return;
  throw new AtomicError('digest-mismatch', `${what} unpacks to ${known}; the config names ${diffId}`);
}

/** Imports a layer, unless it is another process that is at it. */
async function importUnclaimed(
  run: ImportRun,
  layer: WantedLayer,
): Promise<ImportedOne | 'left' | 'present'> {
  const { claims } = run.store;
  if (claims === undefined) return importClaimed(run, layer, undefined);
  const claim = await claims.take(layer.descriptor, 'none', run.stop);
  return claim === undefined ? 'left' : importClaimed(run, layer, claim);
}

/** Whoever had the claim before may have brought the layer in. The claim is released unless it is in the result. */
async function importClaimed(
  run: ImportRun,
  layer: WantedLayer,
  claim: BlobClaim | undefined,
): Promise<ImportedOne | 'present'> {
  const { descriptor } = layer;
  try {
    if (claim !== undefined && (await isPresent(run, layer))) {
      await claim.drop();
      await claim.release();
      return 'present';
    }
    return { descriptor, pending: await importOne(run, layer, claim), claim };
  } catch (error) {
    await claim?.release();
    throw error;
  }
}

async function isPresent(
  { store, report }: ImportRun,
  { descriptor, diffId, what }: WantedLayer,
): Promise<boolean> {
  const { digest, size } = descriptor;
  const stored = await store.findLayer(digest);
  if (stored === undefined) return false;
  requireSameDiffId(what, stored.diffId, diffId);
  report({ event: 'layer', digest, state: 'present', bytes: size, total: size });
  return true;
}

/** A store that was met at a bad moment is asked again, with the layer from its start. */
async function importOne(
  run: ImportRun,
  layer: WantedLayer,
  claim: BlobClaim | undefined,
): Promise<PendingLayer> {
  const { digest, size: total } = layer.descriptor;
  for (let left = STORE_TRIES - 1; ; left--) {
    try {
      run.report({ event: 'layer', digest, state: 'started', bytes: 0, total });
      const pending = await useBlob(run.source, layer.descriptor, claim, run.stop, (bytes) =>
        importBytes(run, layer, bytes),
      );
      run.report({ event: 'layer', digest, state: 'done', bytes: total, total });
      return pending;
    } catch (error) {
      if (left === 0 || run.stop.aborted || !isAtomicError(error, 'store-race')) throw error;
    }
  }
}

async function importBytes(
  { store, report, stop }: ImportRun,
  { descriptor, diffId, what }: WantedLayer,
  bytes: Readable,
): Promise<PendingLayer> {
  const { digest, size: total } = descriptor;
  // Given up with an error before the store listens; the store tells of it when it reads.
  bytes.on('error', () => undefined);
  const giveUp = (): void => void bytes.destroy(stop.reason instanceof Error ? stop.reason : undefined);
  stop.addEventListener('abort', giveUp);
  try {
    if (stop.aborted) giveUp();
    const onProgress = (passed: number): void =>
      report({ event: 'layer', digest, state: 'progress', bytes: passed, total });
    return await store.importLayer({ descriptor, diffId, bytes, what, onProgress });
  } finally {
    stop.removeEventListener('abort', giveUp);
  }
}
