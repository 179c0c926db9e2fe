import { getEventListeners } from 'node:events';
import { userInfo } from 'node:os';
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { beforeEach, describe, expect, test } from 'vitest';
import { importLayers, PARALLEL_LAYERS, type LayerStore, type PendingLayer } from '../../src/copy/import.ts';
import type { ResolvedImage } from '../../src/copy/resolve.ts';
import { readImage, resolveManifest } from '../../src/copy/resolve.ts';
import { AtomicError, messageOf } from '../../src/errors.ts';
import type { BlobClaim, BlobClaims } from '../../src/transport/blob-claims.ts';
import { createKeptClaims } from '../../src/transport/kept-blobs.ts';
import { FakeLocks } from '../fixtures/fake-locks.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';
import type { ProgressEvent } from '../../src/events.ts';
import type { Digest } from '../../src/image/digest.ts';
import { buildImage, sha256, type BuiltImage, type LayerSpec } from '../fixtures/image-builder.ts';
import { failureOf } from '../stream/collect.ts';
import { sourceOf, stuck, type FakeSource } from './fakes.ts';

const AMD64 = { os: 'linux', architecture: 'amd64' };
const never = new AbortController().signal;
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const layersOf = (count: number): LayerSpec[] =>
  Array.from({ length: count }, (_, i) => ({ entries: [{ path: `file${i}` }] }));
const digestsOf = (image: BuiltImage): Digest[] => image.layers.map(({ descriptor }) => descriptor.digest);

async function resolve(image: BuiltImage): Promise<ResolvedImage> {
  const source = sourceOf(image);
  return readImage(source, await resolveManifest(source, AMD64, undefined), AMD64);
}

/** A store that keeps digests, and whose imports a test can hold and fail. */
class FakeStore implements LayerStore {
  claims?: BlobClaims;
  readonly present = new Map<Digest, { readonly diffId: string | undefined }>();
  readonly log: string[] = [];
  readonly names = new Map<Digest, string>();
  room: Promise<void> = Promise.resolve();
  running = 0;
  most = 0;
  /** Awaited before an import is done; may throw. */
  hold: (digest: Digest) => Promise<void> = () => Promise.resolve();
  publishing: (digest: Digest) => Promise<void> = () => Promise.resolve();

  constructor(image: BuiltImage) {
    for (const [i, digest] of digestsOf(image).entries())
      if (!this.names.has(digest)) this.names.set(digest, `${i}`);
  }

  findLayer(digest: Digest): Promise<{ readonly diffId: string | undefined } | undefined> {
    return Promise.resolve(this.present.get(digest));
  }

  requireRoom(missing: readonly { readonly digest: Digest }[]): Promise<void> {
    this.log.push(`room for ${missing.map(({ digest }) => this.names.get(digest)).join(' ')}`);
    return this.room;
  }

  async importLayer(layer: {
    readonly descriptor: { readonly digest: Digest; readonly size: number };
    readonly diffId: Digest;
    readonly bytes: Readable;
    readonly onProgress: (bytes: number) => void;
  }): Promise<PendingLayer> {
    const { digest, size } = layer.descriptor;
    const name = this.names.get(digest);
    this.log.push(`begin ${name}`);
    this.most = Math.max(this.most, ++this.running);
    try {
      await this.hold(digest);
      await buffer(layer.bytes);
      layer.onProgress(size);
    } finally {
      this.running--;
    }
    this.log.push(`imported ${name}`);
    return {
      entries: 1,
      devicesLeftOut: 1,
      publish: async () => {
        await this.publishing(digest);
        this.present.set(digest, { diffId: layer.diffId });
        this.log.push(`publish ${name}`);
      },
      discard: () => Promise.resolve(void this.log.push(`discard ${name}`)),
    };
  }
}

/** Why a promise is not kept, for one that is waited for later. */
function reasonOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'kept',
    (error: unknown) => messageOf(error),
  );
}

/** A promise that a test resolves or rejects. */
function gate(): { wait: Promise<void>; open: () => void; fail: (error: Error) => void } {
  let open = (): void => undefined;
  let fail = (_error: Error): void => undefined;
  const wait = new Promise<void>((resolve, reject) => {
    open = resolve;
    fail = reject;
  });
  return { wait, open, fail };
}

interface Setup {
  readonly image: BuiltImage;
  readonly source: FakeSource;
  readonly store: FakeStore;
  readonly events: ProgressEvent[];
  readonly run: (signal?: AbortSignal) => ReturnType<typeof importLayers>;
}

async function setUp(layers: readonly LayerSpec[]): Promise<Setup> {
  const image = buildImage({ layers });
  const resolved = await resolve(image);
  const [source, store, events] = [sourceOf(image), new FakeStore(image), [] as ProgressEvent[]];
  const run = (signal = never): ReturnType<typeof importLayers> =>
    importLayers(source, resolved, store, (event) => void events.push(event), signal);
  return { image, source, store, events, run };
}

describe('importLayers', () => {
  test('asks for room for what is missing, before the first byte', async () => {
    const { image, source, store, run } = await setUp(layersOf(3));
    const [first] = image.layers;
    if (first !== undefined) store.present.set(first.descriptor.digest, { diffId: first.diffId });
    store.room = Promise.reject(new AtomicError('disk-full', 'no room'));
    await expect(run()).rejects.toThrow('no room');
    expect([source.asked, store.log]).toEqual([[], ['room for 1 2']]);
    store.room = Promise.resolve();
    await run();
    expect(source.asked).toHaveLength(2);
    store.log.length = 0;
    await run();
    expect(store.log).toEqual([]);
  });

  test('brings in every layer once, some at a time, and tells what it did', async () => {
    const { image, source, store, events, run } = await setUp(layersOf(6));
    const outcome = await run();
    expect(outcome).toEqual({
      fetched: 6,
      fetchedBytes: image.layers.reduce((sum, { blob }) => sum + blob.length, 0),
      devicesLeftOut: 6,
    });
    expect(source.asked).toEqual(digestsOf(image));
    expect(store.most).toBe(PARALLEL_LAYERS);
    expect(store.log.filter((line) => line.startsWith('publish'))).toEqual(
      [0, 1, 2, 3, 4, 5].map((i) => `publish ${i}`),
    );
    for (const { descriptor } of image.layers) {
      const states = events.flatMap((event) =>
        event.event === 'layer' && event.digest === descriptor.digest
          ? [`${event.state} ${event.bytes}`]
          : [],
      );
      expect(states).toEqual(['started 0', `progress ${descriptor.size}`, `done ${descriptor.size}`]);
    }
  });

  test('makes layers visible in the order of the manifest, though the first one takes longest', async () => {
    const { image, store, run } = await setUp(layersOf(4));
    const first = gate();
    store.hold = (digest) => (digest === digestsOf(image)[0] ? first.wait : Promise.resolve());
    const done = run();
    while (!store.log.includes('imported 1')) await nextTurn();
    await nextTurn();
    expect(store.present.size).toBe(0);
    first.open();
    await done;
    expect(store.log.filter((line) => line.startsWith('publish'))).toEqual([
      'publish 0',
      'publish 1',
      'publish 2',
      'publish 3',
    ]);
  });

  test('fetches a layer that the image has twice once', async () => {
    const [a, b] = layersOf(2);
    const { image, source, run } = await setUp([a ?? {}, b ?? {}, a ?? {}]);
    expect((await run()).fetched).toBe(2);
    expect(source.asked).toEqual(digestsOf(image).slice(0, 2));
  });

  test('does not fetch what is there, and tells so', async () => {
    const { image, source, store, events, run } = await setUp(layersOf(3));
    const [first, second] = image.layers;
    if (first !== undefined) store.present.set(first.descriptor.digest, { diffId: first.diffId });
    // An older tool did not record it.
    if (second !== undefined) store.present.set(second.descriptor.digest, { diffId: undefined });
    expect((await run()).fetched).toBe(1);
    expect(source.asked).toEqual(digestsOf(image).slice(2));
    expect(events.filter((event) => event.event === 'layer' && event.state === 'present')).toHaveLength(2);
  });

  test('has nothing to do for an image without layers', async () => {
    const { run } = await setUp([]);
    expect(await run()).toEqual({ fetched: 0, fetchedBytes: 0, devicesLeftOut: 0 });
  });

  test('begins a layer again, with new bytes, when the store asks for another try', async () => {
    const { image, source, store, run } = await setUp(layersOf(1));
    let races = 2;
    store.hold = () =>
      races-- > 0 ? Promise.reject(new AtomicError('store-race', 'met another')) : Promise.resolve();
    await run();
    expect(source.asked).toEqual(Array.from({ length: 3 }, () => digestsOf(image)[0]));
    expect(store.log.filter((line) => line.startsWith('publish'))).toEqual(['publish 0']);
  });

  test('gives a layer up whose import never finds a good moment', async () => {
    const { source, store, run } = await setUp(layersOf(1));
    store.hold = () => Promise.reject(new AtomicError('store-race', 'met another'));
    await expect(run()).rejects.toMatchObject({ code: 'store-race' });
    expect(source.asked).toHaveLength(5);
  });

  test('refuses a layer that is there under another DiffID, before it fetches any', async () => {
    const { image, source, store, run } = await setUp(layersOf(2));
    const other = sha256(Buffer.from('x'));
    store.present.set(digestsOf(image)[1] ?? other, { diffId: other });
    const error = await failureOf(run());
    expect(error.code).toBe('digest-mismatch');
    expect(error.message).toContain(`layer 2 of 2 of test:image unpacks to ${other}`);
    expect(source.asked).toEqual([]);
  });

  test('refuses an image that names two DiffIDs for one layer', async () => {
    const [layer = {}] = layersOf(1);
    const once = buildImage({ layers: [layer] });
    const image = buildImage({
      layers: [layer, layer],
      configFields: { rootfs: { type: 'layers', diff_ids: [once.diffIds[0], sha256(Buffer.from('x'))] } },
    });
    const source = sourceOf(image);
    const failed = importLayers(source, await resolve(image), new FakeStore(image), () => undefined, never);
    expect((await failureOf(failed)).code).toBe('digest-mismatch');
    expect(source.asked).toEqual([]);
  });
});

describe('when a layer fails', () => {
  test('what is being fetched beside it is given up, and no more is begun', async () => {
    const { image, source, store, run } = await setUp(layersOf(6));
    const [first, second] = digestsOf(image);
    const [stream, broken] = [stuck(Buffer.from('x')), new AtomicError('registry-error', 'broken')];
    if (first !== undefined) source.instead.set(first, () => stream);
    store.hold = (digest) =>
      digest === second ? nextTurn().then(() => Promise.reject(broken)) : Promise.resolve();
    await expect(run()).rejects.toBe(broken);
    expect(stream.destroyed).toBe(true);
    expect(source.asked).toEqual([first, second]);
    expect(store.present.size).toBe(0);
  });

  test('those above it that were imported already are discarded, those below stay', async () => {
    const { image, store, run } = await setUp(layersOf(4));
    const [, second] = digestsOf(image);
    const broken = gate();
    store.hold = (digest) => (digest === second ? broken.wait : Promise.resolve());
    const failed = failureOf(run());
    while (!store.log.includes('imported 2')) await nextTurn();
    broken.fail(new AtomicError('registry-error', 'broken'));
    expect((await failed).message).toBe('broken');
    expect(store.log).toContain('publish 0');
    expect(store.log).toContain('discard 2');
    expect([...store.present.keys()]).toEqual(digestsOf(image).slice(0, 1));
  });

  test('in its publication, those above it are discarded', async () => {
    const { image, store, run } = await setUp(layersOf(3));
    store.publishing = (digest) =>
      digest === digestsOf(image)[0]
        ? Promise.reject(new AtomicError('disk-full', 'full'))
        : Promise.resolve();
    expect((await failureOf(run())).code).toBe('disk-full');
    expect(store.present.size).toBe(0);
  });

  test('the first error is thrown, not what followed from it', async () => {
    const { image, store, run } = await setUp(layersOf(2));
    const first = gate();
    store.hold = (digest) =>
      digest === digestsOf(image)[0]
        ? first.wait
        : Promise.reject(new AtomicError('registry-error', 'first'));
    const failed = failureOf(run());
    await nextTurn();
    first.fail(new Error('second'));
    expect((await failed).message).toBe('first');
  });

  test('because its source has no such blob, it is that error', async () => {
    const { image, source, run } = await setUp(layersOf(2));
    source.instead.set(digestsOf(image)[1] ?? image.digest, () =>
      Promise.reject(new AtomicError('image-not-found', 'no such blob')),
    );
    expect((await failureOf(run())).code).toBe('image-not-found');
  });
});

describe('when the store was met at a bad moment', () => {
  const race = (): Promise<never> => Promise.reject(new AtomicError('store-race', 'met'));

  test('the layer is fetched again, and only that', async () => {
    const { image, source, store, run } = await setUp(layersOf(2));
    const [first, second] = digestsOf(image);
    let races = 2;
    store.hold = (digest) => (digest === second && races-- > 0 ? race() : Promise.resolve());
    expect((await run()).fetched).toBe(2);
    expect(source.asked.filter((digest) => digest === first)).toHaveLength(1);
    expect(source.asked.filter((digest) => digest === second)).toHaveLength(3);
    expect(store.log.filter((line) => line.startsWith('publish'))).toEqual(['publish 0', 'publish 1']);
  });

  test('time after time, it is given up; and at once when another layer has failed', async () => {
    const { source, store, run } = await setUp(layersOf(1));
    store.hold = race;
    expect((await failureOf(run())).code).toBe('store-race');
    expect(source.asked).toHaveLength(5);
    const two = await setUp(layersOf(2));
    two.store.hold = (digest) =>
      digest === digestsOf(two.image)[0]
        ? Promise.reject(new AtomicError('disk-full', 'full'))
        : nextTurn().then(race);
    expect((await failureOf(two.run())).code).toBe('disk-full');
    expect(two.source.asked).toHaveLength(2);
  });
});

describe('an abort', () => {
  test('ends what is being fetched and is thrown as it was', async () => {
    const { image, source, run } = await setUp(layersOf(4));
    const streams = [stuck(), stuck(Buffer.from('x'))];
    for (const [i, stream] of streams.entries())
      source.instead.set(digestsOf(image)[i] ?? image.digest, () => stream);
    const controller = new AbortController();
    const failed = run(controller.signal);
    const reason = new AtomicError('interrupted', 'stop');
    setImmediate(() => controller.abort(reason));
    await expect(failed).rejects.toBe(reason);
    expect(streams.map((stream) => stream.destroyed)).toEqual([true, true]);
    expect(source.asked).toHaveLength(2);
  });

  test('while the source is still asked ends that stream when it comes', async () => {
    const { image, source, run } = await setUp(layersOf(1));
    const asked = gate();
    const stream = stuck();
    source.instead.set(digestsOf(image)[0] ?? image.digest, () => asked.wait.then(() => stream));
    const controller = new AbortController();
    const failed = run(controller.signal);
    while (source.asked.length === 0) await nextTurn();
    controller.abort(new AtomicError('interrupted', 'stop'));
    asked.open();
    await expect(failed).rejects.toMatchObject({ code: 'interrupted' });
    expect(stream.destroyed).toBe(true);
  });

  test('before it begins fetches nothing', async () => {
    const { source, run } = await setUp(layersOf(2));
    await expect(run(AbortSignal.abort(new AtomicError('interrupted', 'stop')))).rejects.toThrow('stop');
    expect(source.asked).toEqual([]);
  });

  test('that never comes leaves no listener on the signal', async () => {
    const { run } = await setUp(layersOf(8));
    const controller = new AbortController();
    await run(controller.signal);
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
  });
});

describe('importLayers beside other processes', () => {
  const folder = useTempFolder();
  let locks: FakeLocks;
  const notices: string[] = [];
  const claims = (): BlobClaims =>
    createKeptClaims(
      { locks, report: (event) => void (event.event === 'notice' && notices.push(event.text)) },
      { folder: folder(), owner: userInfo().uid },
      (name) => name,
    );
  beforeEach(() => {
    locks = new FakeLocks();
    notices.length = 0;
  });

  /** Another process that fetches a layer. */
  async function elsewhere({ descriptor }: BuiltImage['layers'][number]): Promise<BlobClaim> {
    const claim = await claims().take(descriptor, 'none');
    if (claim === undefined) throw new Error('somebody has it');
    return claim;
  }

  test('leaves a layer to who is at it, and takes it from there when all others have come', async () => {
    const { image, source, store, events, run } = await setUp(layersOf(4));
    const [, second] = image.layers;
    if (second === undefined) throw new Error('no second layer');
    store.claims = claims();
    const other = await elsewhere(second);
    const running = run();
    await expect.poll(() => notices).toHaveLength(1);
    expect(notices[0]).toContain(second.descriptor.digest);
    expect(store.log.filter((line) => line.startsWith('publish'))).toEqual([
      'publish 0',
      'publish 2',
      'publish 3',
    ]);
    store.present.set(second.descriptor.digest, { diffId: second.diffId });
    await other.release();
    expect(await running).toMatchObject({ fetched: 3, devicesLeftOut: 3 });
    expect(source.asked).not.toContain(second.descriptor.digest);
    expect(
      events.flatMap((event) => (event.event === 'layer' && event.state === 'present' ? [event.digest] : [])),
    ).toEqual([second.descriptor.digest]);
    expect(locks.held.size).toBe(0);
  });

  test('fetches what the other one did not get', async () => {
    const { image, store, run } = await setUp(layersOf(3));
    const [first] = image.layers;
    if (first === undefined) throw new Error('no layer');
    store.claims = claims();
    const other = await elsewhere(first);
    const running = run();
    await expect.poll(() => notices).toHaveLength(1);
    await other.release();
    expect(await running).toMatchObject({ fetched: 3 });
    expect(store.log.filter((line) => line.startsWith('publish'))).toEqual([
      'publish 1',
      'publish 2',
      'publish 0',
    ]);
    expect(locks.held.size).toBe(0);
  });

  test('refuses what the other one brought under another DiffID', async () => {
    const { image, store, run } = await setUp(layersOf(1));
    const [layer] = image.layers;
    if (layer === undefined) throw new Error('no layer');
    store.claims = claims();
    const other = await elsewhere(layer);
    const failed = failureOf(run());
    await expect.poll(() => notices).toHaveLength(1);
    store.present.set(layer.descriptor.digest, { diffId: sha256(Buffer.from('else')) });
    await other.release();
    expect(await failed).toMatchObject({ code: 'digest-mismatch' });
    expect(locks.held.size).toBe(0);
  });

  test('ends its wait when another of its layers fails, or it is given up', async () => {
    const { image, store, run } = await setUp(layersOf(2));
    const [first] = image.layers;
    if (first === undefined) throw new Error('no layer');
    store.claims = claims();
    const other = await elsewhere(first);
    const held = gate();
    store.hold = () => held.wait;
    const failing = run();
    const failed = reasonOf(failing);
    await expect.poll(() => notices).toHaveLength(1);
    held.fail(new Error('broken'));
    expect(await failed).toBe('broken');
    store.hold = () => Promise.resolve();
    const stop = new AbortController();
    const givenUp = reasonOf(run(stop.signal));
    await expect.poll(() => notices).toHaveLength(2);
    stop.abort(new Error('stop'));
    expect(await givenUp).toBe('stop');
    await other.release();
    expect(locks.held.size).toBe(0);
  });

  test('never waits for ever: images that share layers in any order come both, each layer fetched once', async () => {
    const specs = layersOf(6);
    const shuffles = [
      [0, 1, 2, 3, 4, 5],
      [5, 4, 3, 2, 1, 0],
      [1, 0, 3, 2, 5, 4],
      [2, 3, 0, 5, 1, 4],
    ];
    const images = shuffles.map((order) =>
      buildImage({ layers: order.flatMap((i) => specs.slice(i, i + 1)) }),
    );
    const [first] = images;
    if (first === undefined) throw new Error('no image');
    const store = new FakeStore(first);
    store.claims = claims();
    store.hold = nextTurn;
    store.publishing = nextTurn;
    const sources = images.map((image) => sourceOf(image));
    const outcomes = await Promise.all(
      images.map(async (image, i) => {
        const source = sources[i] ?? sourceOf(image);
        const resolved = await resolve(image);
        return importLayers(source, resolved, store, () => undefined, never);
      }),
    );
    expect(outcomes.reduce((sum, { fetched }) => sum + fetched, 0)).toBe(6);
    expect(sources.flatMap(({ asked }) => asked).sort()).toEqual(digestsOf(first).sort());
    expect(locks.held.size).toBe(0);
  });
});
