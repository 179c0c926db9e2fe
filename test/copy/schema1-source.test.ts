import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { describe, expect, onTestFinished, test } from 'vitest';
import { resolveManifest } from '../../src/copy/resolve.ts';
import { acceptSchema1 } from '../../src/copy/schema1-source.ts';
import { UNKNOWN_SIZE } from '../../src/image/descriptor.ts';
import type { Digest } from '../../src/image/digest.ts';
import { parseManifest, type ImageManifest } from '../../src/image/manifest.ts';
import { layerMediaType } from '../../src/image/media-type.ts';
import { moveLimits, RATIO_FLOOR_BYTES } from '../../src/limits.ts';
import { digestOf } from '../../src/stream/verify.ts';
import type { ImageSource } from '../../src/transport/transport.ts';
import { buildImage, compress, sha256 } from '../fixtures/image-builder.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';
import { oldManifest, signOld, type OldLayer } from '../image/old-manifest.ts';
import { failureOf } from '../stream/collect.ts';
import { bytesOf, sourceOf, stuck, type FakeSource } from './fakes.ts';

const PLATFORM = { os: 'linux', architecture: 'amd64' };
const TARS = [Buffer.from('one tar'.repeat(100)), Buffer.from('another tar'.repeat(100))];
const BLOBS = TARS.map((tar) => gzipSync(tar));
const [ONE, OTHER] = BLOBS as [Buffer, Buffer];
const spool = useTempFolder();

interface Old {
  readonly fake: FakeSource;
  readonly source: ImageSource;
  /** Of the schema 1 manifest. */
  readonly digest: Digest;
  /** Of the blobs that were asked for, as their descriptors told. */
  readonly sizes: readonly number[];
}

/** A source whose image is of schema 1. */
function oldSource(
  blobs: readonly (Buffer | 'throwaway')[],
  { signal = new AbortController().signal, tempFolder = spool(), signed = true } = {},
): Old {
  const layers = blobs.map((blob): OldLayer =>
    blob === 'throwaway'
      ? { blobSum: sha256(Buffer.from('never asked for')), fields: { throwaway: true } }
      : { blobSum: sha256(blob) },
  );
  const document = oldManifest(layers);
  const fake = sourceOf(buildImage({ layers: [] }));
  const unsigned = Buffer.from(JSON.stringify(document, undefined, 3));
  const digest = sha256(unsigned);
  const bytes = signed ? signOld(document) : unsigned;
  fake.manifests.set(digest, { bytes, mediaType: '' });
  for (const blob of blobs) {
    if (blob !== 'throwaway') fake.instead.set(sha256(blob), () => bytesOf(blob));
  }
  const getManifest = (wanted = digest): ReturnType<ImageSource['getManifest']> => fake.getManifest(wanted);
  const sizes: number[] = [];
  const getBlob: ImageSource['getBlob'] = (descriptor) => {
    sizes.push(descriptor.size);
    return fake.getBlob(descriptor);
  };
  const source = acceptSchema1({ ...fake, getManifest, getBlob }, { tempFolder, signal });
  return { fake, digest, sizes, source };
}

async function readManifest({ source }: Old): Promise<ImageManifest> {
  const manifest = parseManifest(await source.getManifest(), 'it');
  if (manifest.kind === 'index') throw new Error('it is an index');
  return manifest;
}

describe('acceptSchema1', () => {
  test('shows an image of schema 2, with sizes and DiffIDs', async () => {
    const old = oldSource([ONE, 'throwaway', OTHER]);
    const { layers, config } = await readManifest(old);
    const mediaType = layerMediaType('v2s2', 'gzip');
    expect(layers).toEqual(BLOBS.map((blob) => ({ mediaType, digest: sha256(blob), size: blob.length })));
    const bytes = await buffer(await old.source.getBlob(config));
    expect(bytes.length).toBe(config.size);
    expect(digestOf(bytes)).toBe(config.digest);
    expect(JSON.parse(bytes.toString())).toMatchObject({
      rootfs: { diff_ids: TARS.map(sha256) },
      history: [{}, { empty_layer: true }, {}],
    });
    await old.source.close();
  });

  test('fetches each layer once, and reads it again from its start or its middle', async () => {
    const old = oldSource([ONE, OTHER, ONE]);
    const { layers } = await readManifest(old);
    expect(await readManifest(old)).toEqual(await readManifest(old));
    for (const [i, blob] of [ONE, OTHER, ONE].entries()) {
      const layer = layers[i] ?? { mediaType: '', digest: sha256(ONE), size: 0 };
      expect(await buffer(await old.source.getBlob(layer))).toEqual(blob);
      expect(await buffer(await old.source.getBlob(layer, 10))).toEqual(blob.subarray(10));
    }
    expect(old.fake.asked).toEqual([sha256(ONE), sha256(OTHER)]);
    await old.source.close();
  });

  test('asks for layers without a size, since it does not know any', async () => {
    const old = oldSource([ONE, OTHER]);
    await old.source.getManifest();
    await old.source.close();
    expect(old.sizes).toEqual([UNKNOWN_SIZE, UNKNOWN_SIZE]);
  });

  test('is resolved by the digest of what was signed, and has one of its own', async () => {
    const { source, digest } = oldSource([ONE]);
    const byTag = await resolveManifest(source, PLATFORM, undefined);
    const byDigest = await resolveManifest(source, PLATFORM, digest);
    expect(byDigest).toEqual(byTag);
    expect(byTag.digest).toBe(digestOf(byTag.raw.bytes));
    expect(byTag.raw.madeFrom).toBe(digest);
    await source.close();
  });

  test('is the same image when nobody signed it', async () => {
    const [signed, unsigned] = [oldSource([ONE]), oldSource([ONE], { signed: false })];
    expect(await unsigned.source.getManifest(unsigned.digest)).toEqual(await signed.source.getManifest());
    await Promise.all([signed.source.close(), unsigned.source.close()]);
  });

  test('is not taken for another digest, neither by itself nor by who resolves it', async () => {
    const { fake, source } = oldSource([ONE]);
    const other = sha256(Buffer.from('x'));
    fake.manifests.set(
      other,
      fake.manifests.get([...fake.manifests.keys()].at(-1) ?? other) ?? { bytes: ONE, mediaType: '' },
    );
    expect((await failureOf(source.getManifest(other))).code).toBe('digest-mismatch');
    const lying = { ...source, getManifest: () => source.getManifest() };
    expect((await failureOf(resolveManifest(lying, PLATFORM, other))).code).toBe('digest-mismatch');
    expect(fake.asked).toEqual([sha256(ONE)]);
    await source.close();
  });

  test('lets everything else pass as it is', async () => {
    const image = buildImage({ layers: [{ entries: [{ path: 'x' }] }] });
    const fake = { ...sourceOf(image), seekable: true };
    const source = acceptSchema1(fake, { tempFolder: '/nonexistent', signal: new AbortController().signal });
    expect((await source.getManifest()).bytes).toBe(image.manifest);
    const [layer] = image.layers;
    expect(await buffer(await source.getBlob(layer?.descriptor ?? image.descriptor))).toEqual(layer?.blob);
    expect(source).toMatchObject({ name: fake.name, seekable: true });
    expect(source).not.toHaveProperty('layersForCopy');
    await source.close();
  });
});

describe('acceptSchema1 refuses', () => {
  const failing = async (old: Old): Promise<string> => {
    const { code } = await failureOf(old.source.getManifest());
    await old.source.close();
    expect(readdirSync(spool())).toEqual([]);
    expect([...old.fake.streams.values()].every(({ destroyed }) => destroyed)).toBe(true);
    return code;
  };

  test('other bytes than the layer’s', async () => {
    const old = oldSource([ONE]);
    old.fake.instead.set(sha256(ONE), () => bytesOf(OTHER));
    expect(await failing(old)).toBe('digest-mismatch');
  });

  test('bytes behind the layer', async () => {
    expect(await failing(oldSource([Buffer.concat([ONE, Buffer.alloc(512)])]))).toBe('stream-broken');
  });

  test('a layer that is cut off, or no gzip at all behind its first bytes', async () => {
    expect(await failing(oldSource([ONE.subarray(0, -9)]))).toBe('stream-broken');
    expect(await failing(oldSource([Buffer.from('1f8bffff00', 'hex')]))).toBe('stream-broken');
  });

  test('compressions that it never had', async () => {
    expect(await failing(oldSource([compress(Buffer.from('tar'), 'zstd')]))).toBe('compression-unsupported');
    expect(await failing(oldSource([Buffer.from('BZh91AY')]))).toBe('compression-unsupported');
  });

  test('a layer that is too large, before it is all there', async () => {
    onTestFinished(moveLimits({ 'layer-size': ONE.length - 1 }));
    expect(await failing(oldSource([ONE]))).toBe('limit-exceeded');
    const endless = oldSource([ONE]);
    endless.fake.instead.set(sha256(ONE), () => stuck(ONE));
    expect(await failing(endless)).toBe('limit-exceeded');
  });

  test('a layer that unpacks to too much, by its size and by its ratio', async () => {
    const bomb = gzipSync(Buffer.alloc(RATIO_FLOOR_BYTES + 1));
    const restore = moveLimits({ 'layer-unpacked-size': RATIO_FLOOR_BYTES });
    expect(await failing(oldSource([bomb])).finally(restore)).toBe('limit-exceeded');
    onTestFinished(moveLimits({ 'layer-ratio': 100 }));
    expect(await failing(oldSource([bomb]))).toBe('limit-exceeded');
  });

  test('to go on when it is told to stop', async () => {
    const stop = new AbortController();
    const old = oldSource([ONE], { signal: stop.signal });
    old.fake.instead.set(sha256(ONE), () => {
      setImmediate(() => stop.abort(new Error('enough')));
      return stuck(ONE.subarray(0, 20));
    });
    await expect(old.source.getManifest()).rejects.toThrow('enough');
    await old.source.close();
    expect(old.fake.streams.get(sha256(ONE))?.destroyed).toBe(true);
  });

  test('a folder that it cannot write to', async () => {
    const old = oldSource([ONE], { tempFolder: join(spool(), 'missing') });
    expect(await failureOf(old.source.getManifest())).toMatchObject({
      message: expect.stringContaining('missing'),
      hint: expect.stringContaining('TMPDIR'),
    });
    await old.source.close();
  });
});
