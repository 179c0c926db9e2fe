/** What a copy changes on its way: layers' compression, formats; and what it refuses to change. */
import { readdirSync } from 'node:fs';
import { gunzipSync, gzipSync } from 'node:zlib';
import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { copyImage, type CopyOptions, type CopyOutcome, type CopyWishes } from '../../src/copy/copy.ts';
import { createExec } from '../../src/host/exec.ts';
import {
  DOCKER_CONFIG,
  DOCKER_MANIFEST,
  layerMediaType,
  OCI_CONFIG,
  OCI_INDEX,
  OCI_MANIFEST,
  type Compression,
} from '../../src/image/media-type.ts';
import { moveLimits } from '../../src/limits.ts';
import { buildImage, describe as describeBytes, sha256, type BuiltImage } from '../fixtures/image-builder.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';
import { failureOf } from '../stream/collect.ts';
import { bytesOf, copyOptions, FakeDestination, sourceOf, stuck, type FakeSource } from './fakes.ts';

interface Written {
  readonly mediaType: string;
  readonly config: { readonly mediaType: string; readonly digest: string };
  readonly layers: readonly { readonly mediaType: string; readonly digest: string; readonly size: number }[];
}

const folder = useTempFolder();
const exec = createExec();
const zstd = {
  decompress: () => exec.filter('zstd', ['-dcq']),
  compress: (level: number | undefined) =>
    exec.filter('zstd', ['-cq', ...(level === undefined ? [] : [`-${level}`])]),
};

const content = Buffer.alloc(20_000, 'a tar is not looked into ');
const imageOf = (compression: Compression, format: 'oci' | 'v2s2' = 'oci'): BuiltImage =>
  buildImage({ format, layers: [{ tar: content, compression }] });

function copy(
  source: FakeSource,
  destination: FakeDestination,
  wishes: CopyWishes = {},
  options: Partial<CopyOptions> = {},
): Promise<CopyOutcome> {
  return copyImage(source, destination, copyOptions({ wishes, zstd, tempFolder: folder(), ...options }));
}

function written(destination: FakeDestination, { digest }: CopyOutcome): Written {
  return JSON.parse(Buffer.from(destination.manifests.get(digest)?.bytes ?? '').toString()) as Written;
}

function unpack(blob: Buffer | undefined, compression: Compression): Buffer {
  if (blob === undefined) throw new Error('no blob');
  if (compression === 'gzip') return gunzipSync(blob);
  return compression === 'none' ? blob : spawnSync('zstd', ['-dcq'], { input: blob }).stdout;
}

describe('a layer', () => {
  const ways = (['none', 'gzip', 'zstd'] as const).flatMap((from) =>
    (['none', 'gzip', 'zstd'] as const).map((to) => [from, to] as const),
  );

  test.each(ways.filter(([from, to]) => from !== to))('of %s becomes %s', async (from, to) => {
    const image = imageOf(from);
    const destination = new FakeDestination();
    const outcome = await copy(sourceOf(image), destination, { layers: to });
    expect(outcome).toMatchObject({ sourceDigest: image.digest, converted: 1, copied: 2 });
    const { layers, config } = written(destination, outcome);
    const blob = destination.blobs.get(layers[0]?.digest as never);
    expect(unpack(blob, to)).toEqual(content);
    expect(layers).toEqual([describeBytes(blob ?? Buffer.alloc(0), layerMediaType('oci', to))]);
    expect(config.digest).toBe(image.configDigest);
    expect(readdirSync(folder())).toEqual([]);
  });

  test.each(ways.filter(([from, to]) => from === to))('of %s that is to be %s stays', async (from, to) => {
    const image = imageOf(from);
    const outcome = await copy(sourceOf(image), new FakeDestination(), { layers: to, preserveDigests: true });
    expect(outcome).toMatchObject({ digest: image.digest, converted: 0 });
  });

  test('is judged by its bytes: one that is gzip whatever its type says stays as it is', async () => {
    const mediaType = layerMediaType('oci', 'none');
    const image = buildImage({ layers: [{ tar: content, compression: 'gzip', mediaType }] });
    const outcome = await copy(sourceOf(image), new FakeDestination(), { layers: 'compressed' });
    expect(outcome).toMatchObject({ digest: image.digest, converted: 0 });
  });

  test('unpacks to what the config says, also where that is the digest of the packed bytes', async () => {
    const [layer] = imageOf('gzip').layers;
    const rootfs = { type: 'layers', diff_ids: [layer?.descriptor.digest] };
    const image = buildImage({
      layers: [{ tar: content, compression: 'gzip' }],
      configFields: { rootfs },
    });
    const destination = new FakeDestination();
    const failed = await failureOf(copy(sourceOf(image), destination, { layers: 'none' }));
    expect(failed).toMatchObject({
      code: 'digest-mismatch',
      message: expect.stringContaining(`got ${sha256(content)}`) as string,
    });
    expect(destination.manifests.size).toBe(0);
  });

  test('that stands twice is changed once', async () => {
    const layer = { tar: content, compression: 'none' } as const;
    const image = buildImage({ layers: [layer, layer] });
    const destination = new FakeDestination();
    const outcome = await copy(sourceOf(image), destination, { layers: 'gzip' });
    expect(outcome).toMatchObject({ converted: 1, copied: 2 });
    const [one, two] = written(destination, outcome).layers;
    expect(one).toEqual(two);
  });

  test('that the destination has in its new form is not put again', async () => {
    const destination = new FakeDestination();
    destination.blobs.set(sha256(content), content);
    const outcome = await copy(sourceOf(imageOf('gzip')), destination, { layers: 'none' });
    expect(outcome).toMatchObject({ converted: 1, present: 1, copied: 1 });
  });

  test('is compressed at the level that was asked for, which has to exist', async () => {
    const sizes = await Promise.all(
      [1, 9].map(async (level) => {
        const destination = new FakeDestination();
        const outcome = await copy(sourceOf(imageOf('none')), destination, { layers: 'gzip', level });
        return written(destination, outcome).layers[0]?.size ?? 0;
      }),
    );
    expect(sizes[1]).toBeLessThan(sizes[0] ?? 0);
    const source = sourceOf(imageOf('none'));
    const failed = await failureOf(copy(source, new FakeDestination(), { layers: 'gzip', level: 12 }));
    expect(failed.code).toBe('usage');
    expect(source.asked).toEqual([]);
  });

  test('of a made manifest is compressed where compressed ones are wanted', async () => {
    const source = { ...sourceOf(imageOf('none', 'v2s2')), madeManifest: true };
    expect(await copy(source, new FakeDestination({ layers: 'compressed' }))).toMatchObject({ converted: 1 });
    expect(await copy(source, new FakeDestination())).toMatchObject({ converted: 0 });
  });

  test('that the source has in other bytes is no larger than an unpacked layer may be', async () => {
    const given = { ...describeBytes(content, layerMediaType('oci', 'none')), size: 2 ** 40 };
    const source = { ...sourceOf(imageOf('gzip')), layersForCopy: () => Promise.resolve([given]) };
    const destination = new FakeDestination();
    expect(await failureOf(copy(source, destination))).toMatchObject({
      code: 'limit-exceeded',
      hint: expect.stringContaining('--limit layer-unpacked-size=') as string,
    });
    expect(destination.blobs.size).toBe(0);
  });

  test('that the source has in other bytes than its manifest says takes their digest', async () => {
    const image = imageOf('gzip', 'v2s2');
    const given = describeBytes(content, layerMediaType('v2s2', 'none'));
    const plain = sourceOf(image);
    plain.instead.set(given.digest, () => bytesOf(content));
    const source = { ...plain, layersForCopy: () => Promise.resolve([given]) };
    const kept = new FakeDestination();
    expect(written(kept, await copy(source, kept)).layers).toEqual([given]);
    const compressed = new FakeDestination({ layers: 'compressed' });
    const outcome = await copy(source, compressed);
    const [layer] = written(compressed, outcome).layers;
    expect(unpack(compressed.blobs.get(layer?.digest as never), 'gzip')).toEqual(content);
  });

  test.each<[string, BuiltImage, Buffer, string]>([
    ['other bytes than its digest says', imageOf('gzip'), gzipSync(Buffer.alloc(20_000, 'x')), 'mismatch'],
    [
      'a stream that is no gzip',
      ...damaged(Buffer.concat([Buffer.from('1f8b', 'hex'), content])),
      'stream-broken',
    ],
    [
      'bytes behind its end',
      ...damaged(Buffer.concat([gzipSync(content), Buffer.from('more')])),
      'stream-broken',
    ],
  ])('of %s is refused, and nothing is left', async (_name, image, blob, code) => {
    const source = sourceOf(image);
    for (const { descriptor } of image.layers) source.instead.set(descriptor.digest, () => bytesOf(blob));
    const destination = new FakeDestination();
    const failed = await failureOf(copy(source, destination, { layers: 'none' }));
    expect(failed.code).toContain(code);
    expect(destination.manifests.size).toBe(0);
    expect(readdirSync(folder())).toEqual([]);
  });

  test('whose content is not what the config says is refused', async () => {
    const image = buildImage({
      layers: [{ tar: content }],
      configFields: { rootfs: { type: 'layers', diff_ids: [sha256(Buffer.from('other'))] } },
    });
    const failed = await failureOf(copy(sourceOf(image), new FakeDestination(), { layers: 'zstd' }));
    expect(failed).toMatchObject({ code: 'digest-mismatch', message: expect.stringContaining('unpacked') });
  });

  test('that unpacks to more than is allowed is refused', async () => {
    const restore = moveLimits({ 'layer-unpacked-size': content.length - 1 });
    const copying = copy(sourceOf(imageOf('gzip')), new FakeDestination(), { layers: 'none' });
    expect((await failureOf(copying).finally(restore)).code).toBe('limit-exceeded');
  });

  test('on its way is given up by an abort', async () => {
    const image = imageOf('gzip');
    const source = sourceOf(image);
    const [layer] = image.layers;
    if (layer !== undefined)
      source.instead.set(layer.descriptor.digest, () => stuck(layer.blob.subarray(0, 100)));
    const controller = new AbortController();
    const report: CopyOptions['report'] = (event) => {
      if (event.event === 'layer' && event.state === 'progress') controller.abort(new Error('stop'));
    };
    const { signal } = controller;
    const copying = copy(source, new FakeDestination(), { layers: 'none' }, { report, signal });
    await expect(copying).rejects.toThrow('stop');
    expect([...source.streams.values()].every((stream) => stream.destroyed)).toBe(true);
  });

  test('cannot be changed where digests are kept', async () => {
    const copying = copy(sourceOf(imageOf('none')), new FakeDestination(), {
      layers: 'compressed',
      preserveDigests: true,
    });
    expect(await failureOf(copying)).toMatchObject({
      code: 'digest-changes',
      message: expect.stringContaining('layer 1 of 1 of test:image has to be gzip'),
    });
  });
});

/** An image with a layer that does not unpack. */
function damaged(blob: Buffer): [BuiltImage, Buffer] {
  const tar = { tar: blob, compression: 'none', mediaType: layerMediaType('oci', 'gzip') } as const;
  return [buildImage({ layers: [tar] }), blob];
}

describe('the format', () => {
  test.each([
    ['oci', 'v2s2', DOCKER_MANIFEST, DOCKER_CONFIG],
    ['v2s2', 'oci', OCI_MANIFEST, OCI_CONFIG],
  ] as const)('%s becomes %s when that is asked for', async (from, to, mediaType, config) => {
    const image = imageOf('gzip', from);
    const destination = new FakeDestination();
    const outcome = await copy(sourceOf(image), destination, { format: to });
    expect(outcome).toMatchObject({ sourceDigest: image.digest, mediaType, converted: 0 });
    expect(written(destination, outcome)).toMatchObject({
      mediaType,
      config: { mediaType: config, digest: image.configDigest },
      layers: [{ mediaType: layerMediaType(to, 'gzip'), digest: image.layers[0]?.descriptor.digest }],
    });
  });

  test('is the destination’s where it takes one alone', async () => {
    const destination = new FakeDestination({ manifestTypes: [OCI_MANIFEST, OCI_INDEX] });
    const outcome = await copy(sourceOf(imageOf('gzip', 'v2s2')), destination);
    expect(outcome.mediaType).toBe(OCI_MANIFEST);
  });

  test('is the other one where the first is refused, unless it may not change', async () => {
    const image = imageOf('gzip');
    const destination = new FakeDestination();
    destination.refusedTypes.add(OCI_MANIFEST);
    expect((await copy(sourceOf(image), destination)).mediaType).toBe(DOCKER_MANIFEST);
    for (const wishes of [{ preserveDigests: true }, { format: 'oci' as const }]) {
      const failed = await failureOf(copy(sourceOf(image), destination, wishes));
      expect(failed.code).toBe('manifest-refused');
    }
    destination.refusedTypes.add(DOCKER_MANIFEST);
    expect(await failureOf(copy(sourceOf(image), destination))).toMatchObject({
      message: `no ${OCI_MANIFEST} here`,
      trouble: [`no ${DOCKER_MANIFEST} here`],
    });
  });

  test('of zstd layers is OCI’s', async () => {
    const outcome = await copy(sourceOf(imageOf('gzip', 'v2s2')), new FakeDestination(), { layers: 'zstd' });
    expect(outcome.mediaType).toBe(OCI_MANIFEST);
  });
});

describe('an artifact', () => {
  test('is copied as bytes that nobody looks into', async () => {
    const artifact = artifactOf(
      buildImage({ layers: [{ tar: content, compression: 'none', mediaType: 'text/x' }] }),
    );
    const destination = new FakeDestination();
    const outcome = await copy(sourceOf(artifact), destination, { layers: 'gzip' });
    expect(outcome).toMatchObject({ digest: artifact.digest, converted: 0, copied: 2 });
    expect(destination.blobs).toEqual(artifact.blobs);
  });

  function artifactOf(image: BuiltImage): BuiltImage {
    const manifest = Buffer.from(
      image.manifest.toString().replace(OCI_CONFIG, 'application/vnd.example.config+json'),
    );
    return { ...image, manifest, digest: sha256(manifest) };
  }
});

describe('signatures', () => {
  const signed = (image: BuiltImage): FakeSource => ({
    ...sourceOf(image),
    getSignatures: (digest) => Promise.resolve(digest === undefined ? [Buffer.from('signature')] : []),
  });

  test('come along where there is a place for them', async () => {
    const image = imageOf('gzip');
    const destination = new FakeDestination({ signatures: true });
    await copy(signed(image), destination);
    expect(destination.signatures.get(image.digest)).toEqual([Buffer.from('signature')]);
    expect(destination.log.slice(-2)).toEqual([`signatures reference ${image.digest}`, 'commit']);
  });

  test('keep the manifest from being changed, unless they are removed', async () => {
    const destination = new FakeDestination({ signatures: true });
    const source = signed(imageOf('gzip'));
    for (const wishes of [{ format: 'v2s2' }, { layers: 'none' }] as const) {
      const failed = await failureOf(copy(source, destination, wishes));
      expect(failed).toMatchObject({
        code: 'digest-changes',
        hint: expect.stringContaining('--remove-signatures'),
      });
      const outcome = await copy(source, destination, wishes, { removeSignatures: true });
      expect(destination.signatures.has(outcome.digest)).toBe(false);
    }
  });
});
