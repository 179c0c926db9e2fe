import { PassThrough } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { copyImage } from '../../src/copy/copy.ts';
import { AtomicError, isAtomicError } from '../../src/errors.ts';
import type { ProgressEvent } from '../../src/events.ts';
import type { Descriptor } from '../../src/image/descriptor.ts';
import { limitOf, REQUEST_TRIES } from '../../src/limits.ts';
import { buildImage, buildIndex, sha256, type BuiltImage } from '../fixtures/image-builder.ts';
import { failureOf } from '../stream/collect.ts';
import { bytesOf, copyOptions, FakeDestination, sourceOf, stuck, type FakeSource } from './fakes.ts';

const never = new AbortController().signal;

const imageOf = (count: number): BuiltImage =>
  buildImage({ layers: Array.from({ length: count }, (_, i) => ({ entries: [{ path: `file${i}` }] })) });

function copy(
  source: FakeSource,
  destination: FakeDestination,
  signal = never,
  events: ProgressEvent[] = [],
): ReturnType<typeof copyImage> {
  const report = (event: ProgressEvent): void => void events.push(event);
  return copyImage(source, destination, copyOptions({ report, signal }));
}

describe('copyImage', () => {
  test('copies blobs, then the manifest byte for byte, then commits', async () => {
    const image = imageOf(3);
    const destination = new FakeDestination();
    const events: ProgressEvent[] = [];
    expect(await copy(sourceOf(image), destination, never, events)).toEqual({
      digest: image.digest,
      sourceDigest: image.digest,
      mediaType: image.mediaType,
      copied: 4,
      present: 0,
      converted: 0,
      manifests: 1,
    });
    expect(destination.blobs).toEqual(image.blobs);
    expect(destination.log.slice(-2)).toEqual([
      `reference ${image.digest} ${image.mediaType} ${image.manifest.length}`,
      'commit',
    ]);
    expect(events[0]).toEqual({ event: 'resolved', image: 'test:image', digest: image.digest, layers: 3 });
    const done = events.filter((event) => event.event === 'layer' && event.state === 'done');
    expect(done).toHaveLength(4);
  });

  test('copies the one image of an index that fits', async () => {
    const [one, other] = [
      imageOf(1),
      buildImage({ layers: [], platform: { os: 'linux', architecture: 'arm64' } }),
    ];
    const destination = new FakeDestination();
    expect((await copy(sourceOf(buildIndex([other, one])), destination)).digest).toBe(one.digest);
    expect([...destination.blobs.keys()].sort()).toEqual([...one.blobs.keys()].sort());
  });

  test('leaves out what the destination has, and takes a blob that stands twice once', async () => {
    const layer = { entries: [{ path: 'x' }] };
    const image = buildImage({ layers: [layer, layer] });
    const source = sourceOf(image);
    const destination = new FakeDestination();
    destination.blobs.set(image.configDigest, image.config);
    expect(await copy(source, destination)).toMatchObject({ copied: 1, present: 1 });
    expect(source.asked).toEqual([image.configDigest, image.layers[0]?.descriptor.digest]);
  });

  test.each([
    [1, undefined],
    [REQUEST_TRIES, 'upload-broken'],
  ])('reads a blob again whose upload broke %i times', async (times, code) => {
    const image = imageOf(1);
    const layer = image.layers[0]?.descriptor.digest;
    const source = sourceOf(image);
    const destination = new FakeDestination();
    const put = destination.putBlob.bind(destination);
    let broken = 0;
    destination.putBlob = async (descriptor, bytes) => {
      if (descriptor.digest !== layer || broken === times) return put(descriptor, bytes);
      broken += 1;
      throw new AtomicError('upload-broken', 'the line broke');
    };
    const outcome = await copy(source, destination).catch((error: unknown) => error);
    expect(isAtomicError(outcome) ? outcome.code : undefined).toBe(code);
    expect(source.asked.filter((digest) => digest === layer)).toHaveLength(
      Math.min(times + 1, REQUEST_TRIES),
    );
    expect(destination.blobs.has(image.configDigest) && destination.manifests.size === 1).toBe(
      code === undefined,
    );
  });

  test('asks for room for what a folder lacks, before the first byte', async () => {
    const image = imageOf(2);
    const source = sourceOf(image);
    const destination = Object.assign(new FakeDestination(), { folder: '/out' });
    destination.blobs.set(image.configDigest, image.config);
    const asked: Descriptor[][] = [];
    const refuse = (missing: readonly Descriptor[]): Promise<void> => {
      asked.push([...missing]);
      return Promise.reject(new AtomicError('disk-full', 'no room'));
    };
    const copying = copyImage(source, destination, copyOptions({ requireRoom: refuse }));
    expect((await failureOf(copying)).message).toBe('no room');
    expect(asked).toEqual([image.layers.map(({ descriptor }) => expect.objectContaining(descriptor))]);
    expect(source.asked).toEqual([image.configDigest]);
    await copyImage(source, new FakeDestination(), copyOptions({ requireRoom: refuse }));
    expect(asked).toHaveLength(1);
  });

  test('refuses a config that is too large, before any blob', async () => {
    const image = imageOf(1);
    const text = image.manifest
      .toString()
      .replace(`"size":${image.config.length}`, `"size":${limitOf('config-size') + 1}`);
    const source = {
      ...sourceOf(image),
      getManifest: () => Promise.resolve({ bytes: Buffer.from(text), mediaType: '' }),
    };
    expect((await failureOf(copy(source, new FakeDestination()))).code).toBe('limit-exceeded');
    expect(source.asked).toEqual([]);
  });

  test.each([
    ['other bytes', 'digest-mismatch', (blob: Buffer) => bytesOf(Buffer.from(blob).fill(0, 0, 1))],
    ['too many bytes', 'size-mismatch', (blob: Buffer) => bytesOf(blob, blob)],
    ['too few bytes', 'size-mismatch', (blob: Buffer) => bytesOf(blob.subarray(1))],
  ] as const)('a blob of %s is an error, and the manifest is not put', async (_name, code, bytes) => {
    const image = imageOf(3);
    const source = sourceOf(image);
    const [, bad] = image.layers;
    if (bad !== undefined) source.instead.set(bad.descriptor.digest, () => bytes(bad.blob));
    const destination = new FakeDestination();
    expect((await failureOf(copy(source, destination))).code).toBe(code);
    expect(destination.log.filter((line) => !line.startsWith('blob'))).toEqual([]);
    expect(bad !== undefined && destination.blobs.has(bad.descriptor.digest)).toBe(false);
  });

  test('a stream that breaks, or is closed without a word, is an error and no endless wait', async () => {
    for (const error of [new AtomicError('stream-broken', 'line broke'), undefined]) {
      const image = imageOf(1);
      const source = sourceOf(image);
      source.instead.set(image.configDigest, () => {
        const stream = new PassThrough();
        stream.write(image.config.subarray(0, 5));
        setImmediate(() => stream.destroy(error));
        return stream;
      });
      await expect(copy(source, new FakeDestination())).rejects.toThrow(error?.message);
    }
  });

  test('a destination that refuses a blob ends the others and their connections', async () => {
    const image = imageOf(20);
    const source = sourceOf(image);
    for (const { descriptor } of image.layers) {
      source.instead.set(descriptor.digest, () => stuck(Buffer.from('x')));
    }
    const destination = new FakeDestination();
    destination.refuse = new AtomicError('denied', 'no');
    expect((await failureOf(copy(source, destination))).code).toBe('denied');
    expect([...source.streams.values()].every((stream) => stream.destroyed)).toBe(true);
    expect(source.asked.length).toBeLessThan(10);
  });

  test.each(['config', 'layers'] as const)(
    'an abort ends the %s being copied and is thrown as it was, whatever it was',
    async (which) => {
      for (const reason of [new AtomicError('interrupted', 'stop'), 'a text']) {
        const image = imageOf(2);
        const source = sourceOf(image);
        const controller = new AbortController();
        const digests =
          which === 'config' ? [image.configDigest] : image.layers.map(({ descriptor }) => descriptor.digest);
        for (const digest of digests) {
          source.instead.set(digest, () => {
            setImmediate(() => controller.abort(reason));
            return stuck(Buffer.from('x'));
          });
        }
        const destination = new FakeDestination();
        const failed = copy(source, destination, controller.signal).catch((error: unknown) => error);
        expect(await failed).toBe(reason);
        expect([...source.streams.values()].every((stream) => stream.destroyed)).toBe(true);
        expect(destination.manifests.size).toBe(0);
      }
    },
  );

  test('an abort before the end leaves the name as it was', async () => {
    const controller = new AbortController();
    const destination = new FakeDestination();
    const put = destination.putManifest.bind(destination);
    destination.putManifest = async (...manifest) => {
      await put(...manifest);
      controller.abort(new AtomicError('interrupted', 'stop'));
    };
    const failed = await failureOf(copy(sourceOf(imageOf(1)), destination, controller.signal));
    expect(failed.code).toBe('interrupted');
    expect(destination.log).not.toContain('commit');
  });

  test('a foreign layer is not asked for where it may stay, and is where it may not', async () => {
    const image = imageOf(2);
    const document = JSON.parse(image.manifest.toString()) as { layers: object[] };
    document.layers = document.layers.map((layer, i) =>
      i === 0 ? { ...layer, urls: ['https://x/y'] } : layer,
    );
    const manifest = Buffer.from(JSON.stringify(document));
    const foreign = { ...image, manifest, digest: sha256(manifest) };
    const layers = image.layers.map(({ descriptor }) => descriptor.digest);
    for (const foreignLayers of [true, false]) {
      const source = sourceOf(foreign);
      const destination = new FakeDestination({ foreignLayers });
      expect((await copy(source, destination)).digest).toBe(foreign.digest);
      expect(layers.filter((digest) => !source.asked.includes(digest))).toEqual(
        foreignLayers ? layers.slice(0, 1) : [],
      );
    }
  });

  test('the digest that was asked for is the one that is copied', async () => {
    const image = imageOf(1);
    const other = sha256(Buffer.from('x'));
    const source = sourceOf(image);
    source.manifests.set(other, { bytes: image.manifest, mediaType: '' });
    const failed = copyImage(source, new FakeDestination(), copyOptions({ expected: other }));
    expect((await failureOf(failed)).code).toBe('digest-mismatch');
  });
});
