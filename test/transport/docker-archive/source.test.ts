import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { hexOf } from '../../../src/image/digest.ts';
import { parseManifest } from '../../../src/image/manifest.ts';
import { DOCKER_CONFIG, DOCKER_LAYER, DOCKER_MANIFEST } from '../../../src/image/media-type.ts';
import { openDockerArchiveSource } from '../../../src/transport/docker-archive/source.ts';
import {
  buildImage,
  sha256,
  writeDockerArchive,
  writeTar,
  type DockerArchiveOptions,
  type TarEntry,
} from '../../fixtures/image-builder.ts';
import { useTempFolder } from '../../fixtures/temp-folder.ts';
import { messageOfFailure, readImage, smallImage } from '../images.ts';

const folder = useTempFolder();
const path = (): string => join(folder(), 'saved.tar');
const PLAIN = smallImage('plain', 'v2s2');

describe.each<[string, DockerArchiveOptions]>([
  ['the old layout', { layout: 'legacy' }],
  ['the old layout, gzip', { layout: 'legacy', gzip: true }],
  ['the layout since Docker 25', { layout: 'oci' }],
])('%s', (_, options) => {
  test('is read with its plain layers and a manifest that is the same each time', async () => {
    writeDockerArchive(path(), [{ image: PLAIN, names: ['small:1'] }], options);
    const source = await openDockerArchiveSource(path());
    const { blobs, manifest } = await readImage(source);
    expect(blobs).toEqual([PLAIN.configDigest, ...PLAIN.diffIds]);
    expect(source.imageName).toBe('small:1');
    const raw = await source.getManifest(manifest);
    expect(raw.mediaType).toBe(DOCKER_MANIFEST);
    expect(parseManifest(raw, 'x')).toMatchObject({
      mediaType: DOCKER_MANIFEST,
      config: { mediaType: DOCKER_CONFIG },
      layers: PLAIN.layers.map(({ tar }) => ({ mediaType: DOCKER_LAYER, size: tar.length })),
    });
    await source.close();
    const again = await openDockerArchiveSource(path(), 'small:1');
    expect(Buffer.from((await again.getManifest()).bytes)).toEqual(raw.bytes);
    expect(again.name).toBe(`docker-archive:${path()}:small:1`);
    await again.close();
  });
});

test.each(['legacy', 'oci'] as const)('compressed layers keep their bytes (%s)', async (layout) => {
  const image = buildImage({
    format: 'v2s2',
    layers: [
      { entries: [{ path: 'a' }], compression: 'gzip' },
      { entries: [{ path: 'b' }], compression: 'zstd' },
      { entries: [{ path: 'c' }], compression: 'none' },
    ],
  });
  writeDockerArchive(path(), [{ image }], { layout, storedLayers: true });
  const source = await openDockerArchiveSource(path());
  const manifest = parseManifest(await source.getManifest(), 'x');
  expect(manifest).toMatchObject({ layers: image.layers.map(({ descriptor }) => descriptor) });
  await readImage(source);
  expect(source.imageName).toBeUndefined();
  await source.close();
});

test('one image of several is chosen by its name, and equal layers are found through their links', async () => {
  const twice = { entries: [{ path: 'same' }] };
  const image = buildImage({ format: 'v2s2', layers: [twice, { entries: [{ path: 'other' }] }, twice] });
  writeDockerArchive(path(), [
    { image: PLAIN, names: ['small:1'] },
    { image, names: ['twice'] },
  ]);
  const source = await openDockerArchiveSource(path(), 'twice');
  expect((await readImage(source)).blobs).toEqual([image.configDigest, ...image.diffIds]);
  await source.close();
  expect(await messageOfFailure(openDockerArchiveSource(path()), 'image-not-found')).toContain(
    'it has small:1, twice',
  );
});

test('a compressed layer named by its digest is not hashed: a lie is for the caller to find', async () => {
  const claimed = sha256(Buffer.from('something else'));
  const name = `blobs/sha256/${hexOf(claimed)}`;
  const config = JSON.stringify({ rootfs: { type: 'layers', diff_ids: [claimed] } });
  const manifest = JSON.stringify([{ Config: 'config', RepoTags: null, Layers: [name] }]);
  writeFileSync(
    path(),
    writeTar([
      { path: 'config', content: config },
      { path: name, content: gzipSync('layer') },
      { path: 'manifest.json', content: manifest },
    ]),
  );
  const source = await openDockerArchiveSource(path());
  expect(parseManifest(await source.getManifest(), 'x')).toMatchObject({ layers: [{ digest: claimed }] });
  await source.close();
});

test('a layer that is not what the config says is handed out under the DiffID, for the caller to find', async () => {
  const lie = sha256(Buffer.from('something else'));
  const image = buildImage({
    format: 'v2s2',
    layers: [{ entries: [{ path: 'a' }] }],
    configFields: { rootfs: { type: 'layers', diff_ids: [lie] } },
  });
  writeDockerArchive(path(), [{ image }]);
  const source = await openDockerArchiveSource(path());
  expect(parseManifest(await source.getManifest(), 'x')).toMatchObject({ layers: [{ digest: lie }] });
  await source.close();
});

describe('a hostile archive is refused:', () => {
  const save = (entries: readonly TarEntry[], layers: readonly string[] = ['l']): void => {
    const manifest = JSON.stringify([{ Config: 'config', RepoTags: ['x:1'], Layers: layers }]);
    writeFileSync(path(), writeTar([...entries, { path: 'manifest.json', content: manifest }]));
  };
  const diffIds = [sha256(Buffer.alloc(0))];
  const config = {
    path: 'config',
    content: JSON.stringify({ rootfs: { type: 'layers', diff_ids: diffIds } }),
  };

  test.each([
    ['an absolute link', '/etc/passwd', /has the link l out of the archive$/],
    ['a link upwards', '../l2', /has the link l out of the archive$/],
    ['a link to itself', 'l', /has links in a ring at "l"$/],
    ['a link to nothing', 'none', /has no member "none"$/],
  ])('%s as a layer', async (_, target, message) => {
    save([config, { path: 'l', type: 'symlink', target }]);
    expect(await messageOfFailure(openDockerArchiveSource(path()), 'archive-invalid')).toMatch(message);
  });

  test('a hard link as a layer', async () => {
    save([config, { path: 'l', type: 'hardlink', target: 'config' }]);
    expect(await messageOfFailure(openDockerArchiveSource(path()), 'archive-invalid')).toMatch(
      /has l, but not as a regular file$/,
    );
  });

  test('a layer that is not there, by a path of this machine', async () => {
    save([config], ['/etc/passwd']);
    expect(await messageOfFailure(openDockerArchiveSource(path()), 'archive-invalid')).toMatch(
      /has no member "\/etc\/passwd"$/,
    );
  });

  test('another number of layers than DiffIDs', async () => {
    save([config, { path: 'l' }], ['l', 'l']);
    expect(await messageOfFailure(openDockerArchiveSource(path()), 'archive-invalid')).toMatch(
      /lists 2 layers, but the image's config 1$/,
    );
  });

  test('a layer in a compression that layers cannot have', async () => {
    save([config, { path: 'l', content: Buffer.from('fd377a585a0000000000', 'hex') }]);
    expect(await messageOfFailure(openDockerArchiveSource(path()), 'compression-unsupported')).toMatch(
      /has the layer l in a compression/,
    );
  });

  test('no manifest.json, and a config that is none', async () => {
    writeFileSync(path(), writeTar([config]));
    expect(await messageOfFailure(openDockerArchiveSource(path()), 'archive-invalid')).toMatch(
      /is no docker save file: it has no manifest.json$/,
    );
    save([{ path: 'config', content: '{}' }, { path: 'l' }]);
    await messageOfFailure(openDockerArchiveSource(path()), 'config-invalid');
  });
});

test('a manifest or blob that the archive does not have is an error', async () => {
  writeDockerArchive(path(), [{ image: PLAIN }]);
  const source = await openDockerArchiveSource(path());
  const other = { mediaType: '', digest: sha256(Buffer.from('?')), size: 1 };
  expect(await messageOfFailure(source.getManifest(other.digest), 'manifest-unknown')).toContain(
    hexOf(other.digest),
  );
  expect(await messageOfFailure(source.getBlob(other), 'archive-invalid')).toContain(hexOf(other.digest));
  await source.close();
});
