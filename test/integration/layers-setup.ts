/** What the tests of the import share: a repo in a temp folder, an image's layers brought into it, two ways to unpack. */
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { expect } from 'vitest';
import { isAtomicError } from '../../src/errors.ts';
import { createExec } from '../../src/host/exec.ts';
import { checkoutLayers } from '../../src/store/checkout.ts';
import type { ImportedLayer } from '../../src/store/import-layer.ts';
import { ImageStore } from '../../src/store/image-store.ts';
import { blobRef, METADATA } from '../../src/store/names.ts';
import { openLayerTar } from '../../src/store/ostree-transport/layer-tar.ts';
import {
  buildImage,
  writeOciLayout,
  type BuiltImage,
  type BuiltLayer,
  type LayerSpec,
  type RawEntry,
  type TarEntry,
} from '../fixtures/image-builder.ts';

export type Entries = readonly (TarEntry | RawEntry)[];

export const exec = createExec();

/** An image of layers that are given by their entries. */
export function imageOf(layers: readonly (Entries | LayerSpec)[]): BuiltImage {
  return buildImage({
    layers: layers.map((layer) =>
      Array.isArray(layer) ? { entries: layer as Entries } : (layer as LayerSpec),
    ),
  });
}

/** A repo `repo` in a folder. */
export async function makeStore(folder: string): Promise<ImageStore> {
  const store = new ImageStore(join(folder, 'repo'), exec);
  await store.repository.ensure();
  return store;
}

export function importBlob(
  store: ImageStore,
  layer: BuiltLayer,
  changes: Partial<Parameters<ImageStore['importLayer']>[0]> = {},
): Promise<ImportedLayer> {
  return store.importLayer({
    descriptor: layer.descriptor,
    diffId: layer.diffId,
    bytes: Readable.from([layer.blob], { objectMode: false }),
    what: 'the layer',
    onProgress: () => undefined,
    ...changes,
  });
}

/** Brings in what is missing; whatever a layer is made of, its archive can be made again from the repo. */
export async function importAll(store: ImageStore, image: BuiltImage): Promise<void> {
  for (const layer of image.layers) {
    if ((await store.findLayer(layer.descriptor.digest)) !== undefined) continue;
    await (await importBlob(store, layer)).publish();
    await expectTarBack(store, layer);
  }
}

/** A tree has a path once: an archive that has a file twice may lose the first one, and then says so. */
async function expectTarBack(store: ImageStore, { descriptor, tar }: BuiltLayer): Promise<void> {
  const commit = await store.repository.readRef(blobRef(descriptor.digest));
  if (commit === undefined) throw new Error(`${descriptor.digest} has no ref`);
  try {
    const back = await buffer(await openLayerTar(store.repository, commit, 'the layer'));
    expect(back.equals(tar), `the archive of ${descriptor.digest} came back byte for byte`).toBe(true);
  } catch (error) {
    if (!commit.metadata.has(METADATA.filesReplaced) || !isAtomicError(error, 'unsupported')) throw error;
  }
}

/** The image as a tree at `FOLDER/tree`, by way of the repo. */
export async function unpackByUs(folder: string, image: BuiltImage): Promise<string> {
  const store = await makeStore(folder);
  await importAll(store, image);
  return checkOut(folder, store, image);
}

export async function checkOut(
  folder: string,
  store: ImageStore,
  image: BuiltImage,
  name = 'tree',
): Promise<string> {
  const tree = join(folder, name);
  const scratch = join(folder, 'scratch');
  mkdirSync(scratch, { recursive: true });
  const layers = image.layers.map(({ descriptor }) => descriptor.digest);
  await checkoutLayers(exec, store.repository, layers, tree, { scratch });
  return tree;
}

/** umoci does not take an image, with its reason. */
export class UmociRefuses extends Error {}

/** The image as umoci unpacks it. @throws UmociRefuses */
export function unpackByUmoci(folder: string, image: BuiltImage): string {
  writeOciLayout(join(folder, 'layout'), [{ image, tag: 'v1' }]);
  const bundle = join(folder, 'bundle');
  const { error, status, stderr } = spawnSync('umoci', ['unpack', '--image', `${folder}/layout:v1`, bundle], {
    encoding: 'utf8',
    env: { ...process.env, GOMAXPROCS: '2' },
  });
  if (error !== undefined) throw error;
  // What happens to umoci itself is no refusal.
  if (status !== 0 && (!stderr.includes('unpack entry') || stderr.includes('no space left')))
    throw new Error(`umoci: status ${status}, ${stderr.trim()}`);
  if (status !== 0) throw new UmociRefuses(stderr.trim());
  return join(bundle, 'rootfs');
}
