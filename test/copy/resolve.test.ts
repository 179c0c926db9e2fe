import { PassThrough } from 'node:stream';
import { describe, expect, test, onTestFinished } from 'vitest';
import { readBlob, readImage, resolveManifest } from '../../src/copy/resolve.ts';
import type { Platform } from '../../src/image/platform.ts';
import { limitOf, moveLimits } from '../../src/limits.ts';
import {
  buildImage,
  buildIndex,
  sha256,
  type BuiltImage,
  type BuiltIndex,
} from '../fixtures/image-builder.ts';
import { failureOf } from '../stream/collect.ts';
import { bytesOf, sourceOf, stuck, type FakeSource } from './fakes.ts';

const AMD64: Platform = { os: 'linux', architecture: 'amd64' };
const ARM64: Platform = { os: 'linux', architecture: 'arm64', variant: 'v8' };

const imageFor = (platform: Platform, content = 'x'): BuiltImage =>
  buildImage({ layers: [{ entries: [{ path: 'x', content }] }], platform });

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

/** A source whose reference is these bytes. */
function sourceOfBytes(bytes: Buffer): FakeSource {
  const source = sourceOf(imageFor(AMD64));
  return { ...source, getManifest: () => Promise.resolve({ bytes, mediaType: '' }) };
}

/** Indexes around an image, each with the next one as its only entry. */
function nested(image: BuiltImage, depth: number): { source: FakeSource; root: BuiltIndex } {
  let root = buildIndex([image]);
  const source = sourceOf(root);
  for (let i = 1; i < depth; i++) {
    const manifest = json({
      schemaVersion: 2,
      mediaType: root.mediaType,
      manifests: [{ ...root.descriptor, platform: AMD64 }],
    });
    const digest = sha256(manifest);
    root = { ...root, manifest, digest, descriptor: { ...root.descriptor, digest, size: manifest.length } };
    source.manifests.set(root.digest, { bytes: manifest, mediaType: root.mediaType });
  }
  return { source, root };
}

describe('resolveManifest', () => {
  test('gives a single image as it is, with the digest of its bytes', async () => {
    const image = imageFor(AMD64);
    const resolved = await resolveManifest(sourceOf(image), ARM64, undefined);
    expect(resolved).toMatchObject({
      digest: image.digest,
      manifest: { layers: [image.layers[0]?.descriptor] },
    });
    expect(resolved.raw.bytes).toEqual(image.manifest);
  });

  test.each(['oci', 'v2s2'] as const)('chooses the platform’s own of an index (%s)', async (format) => {
    const [amd, arm] = [imageFor(AMD64), imageFor(ARM64)];
    const source = sourceOf(buildIndex([amd, arm], format));
    expect((await resolveManifest(source, AMD64, undefined)).digest).toBe(amd.digest);
    expect((await resolveManifest(source, ARM64, undefined)).digest).toBe(arm.digest);
  });

  test('takes the first of several that fit alike', async () => {
    const [first, second] = [imageFor(AMD64, '1'), imageFor(AMD64, '2')];
    expect((await resolveManifest(sourceOf(buildIndex([first, second])), AMD64, undefined)).digest).toBe(
      first.digest,
    );
  });

  test('names the platforms that there are when its own is missing', async () => {
    const error = await failureOf(resolveManifest(sourceOf(buildIndex([imageFor(ARM64)])), AMD64, undefined));
    expect(error.code).toBe('platform-missing');
    expect(error.message).toBe('test:image has no image for linux/amd64; it has linux/arm64/v8');
    const empty = sourceOf(buildIndex([]));
    expect((await failureOf(resolveManifest(empty, AMD64, undefined))).message).toContain(
      'none that names a platform',
    );
    // A hostile index has more and longer names than anybody wants to read.
    const many = Array.from({ length: 50 }, (_, i) =>
      imageFor({ os: 'x'.repeat(9000), architecture: `${i}` }),
    );
    const { message } = await failureOf(resolveManifest(sourceOf(buildIndex(many)), AMD64, undefined));
    expect(message).toMatch(/ and 30 more$/);
    expect(message.length).toBeLessThan(5000);
  });

  test('follows indexes in indexes, but not for ever', async () => {
    const image = imageFor(AMD64);
    const deep = nested(image, limitOf('index-depth'));
    expect((await resolveManifest(deep.source, AMD64, deep.root.digest)).digest).toBe(image.digest);
    const deeper = nested(image, limitOf('index-depth') + 1);
    expect(await failureOf(resolveManifest(deeper.source, AMD64, deeper.root.digest))).toMatchObject({
      code: 'limit-exceeded',
      hint: expect.stringContaining('--limit index-depth=6 '),
    });
    onTestFinished(moveLimits({ 'index-depth': 4 }));
    expect((await resolveManifest(deeper.source, AMD64, deeper.root.digest)).digest).toBe(image.digest);
  });

  test('compares what it is given with the digest that was asked for', async () => {
    const image = imageFor(AMD64);
    const other = sha256(Buffer.from('x'));
    const source = sourceOf(image);
    source.manifests.set(other, { bytes: image.manifest, mediaType: '' });
    const error = await failureOf(resolveManifest(source, AMD64, other));
    expect(error.code).toBe('digest-mismatch');
    expect(error.message).toContain(`expected ${other}, got ${image.digest}`);
  });

  test('compares an index’s entry with its digest as well', async () => {
    const index = buildIndex([imageFor(AMD64)]);
    const source = sourceOf(index);
    const entry = index.images[0]?.digest ?? index.digest;
    source.manifests.set(entry, { bytes: imageFor(AMD64, 'other').manifest, mediaType: '' });
    expect((await failureOf(resolveManifest(source, AMD64, undefined))).code).toBe('digest-mismatch');
  });

  test('refuses a manifest that is too large, has too many layers, or is none', async () => {
    const large = sourceOfBytes(Buffer.alloc(limitOf('manifest-size') + 1, ' '));
    expect((await failureOf(resolveManifest(large, AMD64, undefined))).code).toBe('limit-exceeded');
    const { manifest } = imageFor(AMD64);
    const parsed = JSON.parse(manifest.toString()) as { layers: unknown[] };
    const many = sourceOfBytes(
      json({ ...parsed, layers: Array.from({ length: limitOf('layers') + 1 }, () => parsed.layers[0]) }),
    );
    expect((await failureOf(resolveManifest(many, AMD64, undefined))).message).toContain(
      `${limitOf('layers') + 1} layers`,
    );
    const html = sourceOfBytes(Buffer.from('<html>'));
    expect((await failureOf(resolveManifest(html, AMD64, undefined))).code).toBe('manifest-invalid');
  });
});

describe('readImage', () => {
  const read = async (image: BuiltImage, source = sourceOf(image), platform = AMD64) =>
    readImage(source, await resolveManifest(source, platform, undefined), platform);

  test('gives the config, its bytes verified', async () => {
    const image = imageFor(AMD64);
    const read1 = await read(image);
    expect(read1.config.diffIds).toEqual(image.diffIds);
    expect(Buffer.from(read1.configBytes)).toEqual(image.config);
  });

  test('refuses a config that lists more or fewer DiffIDs than there are layers', async () => {
    for (const diff_ids of [[], [sha256(Buffer.alloc(0)), sha256(Buffer.alloc(1))]]) {
      const image = buildImage({
        layers: [{ entries: [{ path: 'x' }] }],
        configFields: { rootfs: { type: 'layers', diff_ids } },
      });
      const error = await failureOf(read(image));
      expect(error.code).toBe('config-invalid');
      expect(error.message).toContain(`lists ${diff_ids.length} DiffIDs for the 1 layers`);
    }
  });

  test('refuses an image that was built for another platform', async () => {
    const error = await failureOf(read(imageFor(ARM64)));
    expect(error.code).toBe('platform-missing');
    expect(error.message).toContain('it has linux/arm64');
    const windows = imageFor({ os: 'windows', architecture: 'amd64' });
    expect((await failureOf(read(windows))).code).toBe('platform-missing');
  });

  test('takes an image that does not say what it was built for', async () => {
    const image = buildImage({ layers: [], configFields: { architecture: '', os: '' } });
    expect((await read(image)).config.architecture).toBe('');
  });

  test('refuses layers that are none, and such as are too large, before it fetches anything', async () => {
    const artifact = buildImage({
      layers: [{ entries: [], mediaType: 'application/vnd.cncf.helm.chart.content.v1.tar+gzip' }],
    });
    const source = sourceOf(artifact);
    const error = await failureOf(read(artifact, source));
    expect(error.code).toBe('unsupported');
    expect(error.message).toContain('helm');
    expect(source.asked).toEqual([]);
    const { manifest } = imageFor(AMD64);
    const huge = manifest
      .toString()
      .replace(
        /("mediaType":"[^"]*tar\+gzip","digest":"[^"]*","size":)\d+/,
        `$1${limitOf('layer-size') + 1}`,
      );
    const hugeSource = sourceOfBytes(Buffer.from(huge));
    expect((await failureOf(read(imageFor(AMD64), hugeSource))).message).toContain(
      String(limitOf('layer-size') + 1),
    );
  });

  test('refuses a config whose bytes are others, more or fewer', async () => {
    const image = imageFor(AMD64);
    for (const [bytes, code] of [
      [Buffer.from(image.config).fill('x', 0, 1), 'digest-mismatch'],
      [image.config.subarray(1), 'size-mismatch'],
      [Buffer.concat([image.config, Buffer.from(' ')]), 'size-mismatch'],
    ] as const) {
      const source = sourceOf(image);
      source.instead.set(image.configDigest, () => bytesOf(bytes));
      expect((await failureOf(read(image, source))).code).toBe(code);
    }
  });
});

describe('readBlob', () => {
  const bytes = Buffer.from('the content');
  const descriptor = { mediaType: '', digest: sha256(bytes), size: bytes.length };
  const source = (stream: () => ReturnType<typeof bytesOf>): FakeSource => {
    const fake = sourceOf(imageFor(AMD64));
    fake.instead.set(descriptor.digest, stream);
    return fake;
  };

  test('does not ask for what is too large', async () => {
    const fake = source(() => bytesOf(bytes));
    const error = await failureOf(
      readBlob(fake, { ...descriptor, size: limitOf('config-size') + 1 }, limitOf('config-size'), 'it'),
    );
    expect(error.code).toBe('limit-exceeded');
    expect(fake.asked).toEqual([]);
  });

  test('fails when the stream does, and when it is closed without a word', async () => {
    const broken = source(() => {
      const stream = stuck(bytes.subarray(0, 3));
      setImmediate(() => stream.destroy(new Error('line broke')));
      return stream;
    });
    await expect(readBlob(broken, descriptor, 100, 'it')).rejects.toThrow('line broke');
    const closed = source(() => {
      const stream = new PassThrough();
      stream.write(bytes.subarray(0, 3));
      setImmediate(() => stream.destroy());
      return stream;
    });
    await expect(readBlob(closed, descriptor, 100, 'it')).rejects.toThrow('Premature close');
  });

  test('gives up the stream of which it has read too much', async () => {
    const fake = source(() => stuck(Buffer.concat([bytes, bytes])));
    expect((await failureOf(readBlob(fake, descriptor, 100, 'it'))).code).toBe('size-mismatch');
    expect(fake.streams.get(descriptor.digest)?.destroyed).toBe(true);
  });
});
