import { expect, test } from 'vitest';
import { nameGivenLayers } from '../../src/copy/given-layers.ts';
import { resolveManifest } from '../../src/copy/resolve.ts';
import { DOCKER_LAYER } from '../../src/image/media-type.ts';
import { buildImage } from '../fixtures/image-builder.ts';
import { sourceOf } from './fakes.ts';

const PLATFORM = { os: 'linux', architecture: 'amd64' };
const image = buildImage({ format: 'v2s2', layers: [{ entries: [{ path: 'a', content: 'b' }] }] });
const [layer] = image.layers;
const plain = {
  mediaType: DOCKER_LAYER,
  digest: layer?.diffId ?? image.digest,
  size: layer?.tar.length ?? 0,
};

test('a source that gives other layers than its manifest names has a manifest that names them', async () => {
  const source = nameGivenLayers({ ...sourceOf(image), layersForCopy: async () => [plain] });
  const resolved = await resolveManifest(source, PLATFORM, image.digest);
  expect(resolved.manifest.layers).toEqual([plain]);
  expect(resolved.manifest.config.digest).toBe(image.configDigest);
  expect(resolved.digest).not.toBe(image.digest);
  expect((await resolveManifest(source, PLATFORM, undefined)).digest).toBe(resolved.digest);
});

test('the digest that was asked for is that of the manifest as it is stored', async () => {
  const stored = { bytes: image.manifest, mediaType: image.mediaType };
  const source = nameGivenLayers({
    ...sourceOf(image),
    getManifest: async () => stored,
    layersForCopy: async () => [plain],
  });
  await expect(resolveManifest(source, PLATFORM, image.configDigest)).rejects.toThrow(
    'does not have the digest',
  );
});

test('other sources stay what they are', async () => {
  const source = sourceOf(image);
  expect(nameGivenLayers(source)).toBe(source);
  const same = nameGivenLayers({ ...source, layersForCopy: async ({ layers }) => layers });
  expect((await resolveManifest(same, PLATFORM, undefined)).digest).toBe(image.digest);
});
