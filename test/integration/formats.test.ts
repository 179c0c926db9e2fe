/** Conversions of manifests and indexes, with skopeo as the judge: the same image has the same bytes in both. */
import { execFile } from 'node:child_process';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import type { Descriptor } from '../../src/image/descriptor.ts';
import type { Digest } from '../../src/image/digest.ts';
import { editIndex } from '../../src/image/edit-index.ts';
import { editManifest } from '../../src/image/edit-manifest.ts';
import type { RawManifest } from '../../src/image/manifest.ts';
import { layerMediaType, type ManifestFormat } from '../../src/image/media-type.ts';
import {
  buildImage,
  buildIndex,
  describe as describeBlob,
  writeDirTransport,
  type BuiltImage,
  type LayerSpec,
} from '../fixtures/image-builder.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';

const folder = useTempFolder();
const dir = (name: string): string => `dir:${join(folder(), name)}`;

async function skopeo(...args: string[]): Promise<string> {
  return (await promisify(execFile)('skopeo', ['--insecure-policy', ...args])).stdout;
}

interface Written {
  readonly config: { readonly digest: Digest };
  readonly layers: readonly object[];
  readonly manifests: readonly object[];
}

const manifestIn = (name: string): string => readFileSync(join(folder(), name, 'manifest.json'), 'utf8');
const documentIn = (name: string): Written => JSON.parse(manifestIn(name)) as Written;
const textOf = ({ bytes }: RawManifest): string => Buffer.from(bytes).toString();
const rawOf = ({ manifest, mediaType }: BuiltImage): RawManifest => ({ bytes: manifest, mediaType });

/** An image with a layer of each compression that both formats have, ordinary and foreign ones. */
function imageWithAll(format: ManifestFormat): BuiltImage {
  const layers = (['gzip', 'none'] as const).flatMap((compression) =>
    [false, true].map((foreign): LayerSpec => ({
      entries: [{ path: `${compression}-${foreign}` }],
      compression,
      mediaType: layerMediaType(format, compression, foreign),
    })),
  );
  return buildImage({ format, layers, config: { Env: ['A=<&>'] } });
}

/** The image in a `dir:` of its own, under a manifest that we made of its own one. */
function writeEdited(name: string, image: BuiltImage, edited: RawManifest): void {
  writeDirTransport(join(folder(), name), image);
  writeFileSync(join(folder(), name, 'manifest.json'), edited.bytes);
}

test('makes the very manifest that skopeo makes, from OCI’s format to Docker’s', async () => {
  const image = imageWithAll('oci');
  writeDirTransport(join(folder(), 'source'), image);
  await skopeo('copy', '--format', 'v2s2', dir('source'), dir('theirs'));
  const edited = editManifest(rawOf(image), { format: 'v2s2' }, 'it');
  expect(textOf(edited)).toBe(manifestIn('theirs'));
});

test('makes the layers that skopeo makes, from Docker’s format to OCI’s, and keeps the config’s bytes', async () => {
  const image = imageWithAll('v2s2');
  writeDirTransport(join(folder(), 'source'), image);
  await skopeo('copy', '--format', 'oci', dir('source'), dir('theirs'));
  writeEdited('ours', image, editManifest(rawOf(image), { format: 'oci' }, 'it'));
  expect(documentIn('ours').layers).toEqual(documentIn('theirs').layers);
  // skopeo writes the config anew, and loses what OCI does not know, such as a health check.
  expect(documentIn('ours').config.digest).toBe(image.configDigest);
  const [ours, theirs] = await Promise.all(
    ['ours', 'theirs'].map(
      async (name) => JSON.parse(await skopeo('inspect', dir(name))) as Record<string, unknown>,
    ),
  );
  expect({ ...ours, Name: '', Digest: '' }).toEqual({ ...theirs, Name: '', Digest: '' });
  await skopeo('copy', dir('ours'), `oci:${join(folder(), 'layout')}:1`);
});

test('refuses zstd in Docker’s format, as skopeo does', async () => {
  const image = buildImage({ layers: [{ entries: [{ path: 'a' }], compression: 'zstd' }] });
  writeDirTransport(join(folder(), 'source'), image);
  await expect(skopeo('copy', '--format', 'v2s2', dir('source'), dir('theirs'))).rejects.toThrow(/zstd/);
  expect(() => editManifest(rawOf(image), { format: 'v2s2' }, 'it')).toThrow(/zstd/);
});

test('makes the very manifest list that skopeo makes of an index, and an index that it takes', async () => {
  const images = [
    buildImage({
      layers: [{ entries: [{ path: 'a' }] }],
      platform: { architecture: 'amd64', os: 'linux' },
    }),
    buildImage({
      layers: [{ entries: [{ path: 'b' }] }],
      platform: { architecture: 'arm64', os: 'linux', variant: 'v8' },
    }),
  ];
  const index = buildIndex(images);
  writeDirTransport(join(folder(), 'source'), index);
  await skopeo('copy', '--all', '--format', 'v2s2', dir('source'), dir('list'));
  const replaced = new Map<Digest, Descriptor>(
    images.map((image) => {
      const { bytes, mediaType } = editManifest(rawOf(image), { format: 'v2s2' }, 'it');
      return [image.digest, describeBlob(bytes, mediaType)];
    }),
  );
  const raw = { bytes: index.manifest, mediaType: index.mediaType };
  const list = editIndex(raw, { format: 'v2s2', replaced }, 'it');
  expect(textOf(list)).toBe(manifestIn('list'));

  const back = new Map<Digest, Descriptor>(
    [...replaced].map(([digest, { digest: docker }]) => {
      const { mediaType, size } = index.images.find((image) => image.digest === digest)?.descriptor ?? {
        mediaType: '',
        size: 0,
      };
      return [docker, { mediaType, digest, size }];
    }),
  );
  cpSync(join(folder(), 'source'), join(folder(), 'ours'), { recursive: true });
  const again = editIndex(list, { format: 'oci', replaced: back }, 'it');
  writeFileSync(join(folder(), 'ours/manifest.json'), again.bytes);
  expect(documentIn('ours').manifests).toEqual(documentIn('source').manifests);
  await skopeo('copy', '--all', '--preserve-digests', dir('ours'), dir('copied'));
});
