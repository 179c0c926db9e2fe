/** Puts whole files in the place of damaged ones in the store: from where the image came from, by its digest. */
import { join } from 'node:path';
import { importLayers, type LayerStore } from '../../copy/import.ts';
import { readImage, resolveManifest } from '../../copy/resolve.ts';
import { AtomicError, isAtomicError } from '../../errors.ts';
import { isDigest, type Digest } from '../../image/digest.ts';
import { showBytes } from '../../store/compare-trees.ts';
import { ImageStore } from '../../store/image-store.ts';
import { blobRef } from '../../store/names.ts';
import type { DamagedObject } from '../../store/verify-objects.ts';
import { openSource } from '../../transport/open.ts';
import type { Deployment } from '../containers.ts';
import type { App } from '../context.ts';
import { openOptions, platformOf, readReference, type RegistryAccess } from '../pull-image.ts';
import { withStoreAlone } from '../store-lock.ts';
import { describeObject } from './judge-rootfs.ts';
import { withScratch } from './scratch.ts';

/** More damaged files than that, and all layers are fetched instead of looking for those that have them. */
const LOOKED_UP = 20;
/** Files that an error names. */
const NAMED = 20;

/**
 * Imports the image's layers into a repo of its own beside the store, and moves each whole object over its damaged
 * namesake, in one step for each. Deployments keep the damaged file until they are checked out again.
 * @throws AtomicError `store-invalid`, which names the damaged files: nothing is changed then; `busy`; `disk-full`
 */
export async function restoreObjects(
  app: App,
  deployment: Deployment,
  damaged: readonly DamagedObject[],
  access: RegistryAccess,
): Promise<void> {
  await withScratch(app, async (scratch) => {
    const store = new ImageStore(join(scratch, 'repo'), app.exec);
    try {
      await importAgain(app, deployment, store, damaged, access);
    } catch (error) {
      if (!isAtomicError(error) || error.code === 'interrupted' || error.code === 'disk-full') throw error;
      throw cannotRestore(deployment, damaged, error.message, error);
    }
    const pairs = damaged.map((object) => ({ object, whole: objectPath(store, object) }));
    for (const { object, whole } of pairs) {
      if (await app.files.exists(whole)) continue;
      const what = `${describeObject(object)} is not among what ${sourceOf(deployment)} gives`;
      throw cannotRestore(deployment, damaged, what);
    }
    await app.files.syncFilesystem(scratch);
    await withStoreAlone(app, 'replace damaged files of the image store', async () => {
      for (const { object, whole } of pairs) await app.files.rename(whole, object.path);
    });
  });
}

async function importAgain(
  app: App,
  { info }: Deployment,
  store: ImageStore,
  damaged: readonly DamagedObject[],
  access: RegistryAccess,
): Promise<void> {
  const digest = [info.manifestDigest, `sha256:${info.revision ?? ''}`].find(isDigest);
  if (digest === undefined) throw new AtomicError('store-invalid', 'no digest of its manifest is recorded');
  const { source } = await openSource(readReference(info.source ?? info.image), openOptions(app, access));
  try {
    const platform = platformOf(app);
    const resolved = await resolveManifest(source, platform, digest);
    const image = await readImage(source, resolved, platform);
    app.report({
      event: 'resolved',
      image: info.image,
      digest: resolved.digest,
      layers: resolved.manifest.layers.length,
    });
    await store.repository.ensure();
    const needed = await layersWith(app, resolved.manifest.layers, damaged);
    const some: LayerStore = {
      findLayer: (layer) => Promise.resolve(needed.has(layer) ? undefined : { diffId: undefined }),
      importLayer: (layer) => store.importLayer(layer),
    };
    await importLayers(source, image, some, app.report, app.signal);
    if (await hasAll(app, store, damaged)) return;
    await importLayers(source, image, store, app.report, app.signal);
  } finally {
    await source.close();
  }
}

/**
 * The layers that bring damaged files under the path where the tree has them. Not all: a layer may have put a file
 * elsewhere, behind a link of a lower one.
 */
async function layersWith(
  app: App,
  layers: readonly { readonly digest: Digest }[],
  damaged: readonly DamagedObject[],
): Promise<ReadonlySet<Digest>> {
  const { repository } = app.store;
  const found = new Set<Digest>();
  if (damaged.length > LOOKED_UP) return new Set(layers.map(({ digest }) => digest));
  for (const { digest } of layers) {
    const commit = await repository.resolveRef(blobRef(digest));
    for (const { inTree, checksum } of commit === undefined ? [] : damaged) {
      if (inTree === undefined || commit === undefined) continue;
      const args = [`--repo=${repository.path}`, 'ls', '-C', commit, `/${showBytes(inTree)}`];
      // Status 1: the layer does not have it.
      const { stdout } = await app.exec.run('ostree', args, { accept: [0, 1] });
      if (stdout.includes(checksum)) found.add(digest);
    }
  }
  return found;
}

async function hasAll(app: App, store: ImageStore, damaged: readonly DamagedObject[]): Promise<boolean> {
  for (const object of damaged) if (!(await app.files.exists(objectPath(store, object)))) return false;
  return true;
}

export function sourceOf({ info }: Deployment): string {
  return info.source ?? info.image;
}

function objectPath(store: ImageStore, { checksum }: DamagedObject): string {
  return join(store.repository.path, 'objects', checksum.slice(0, 2), `${checksum.slice(2)}.file`);
}

function cannotRestore(
  deployment: Deployment,
  damaged: readonly DamagedObject[],
  why: string,
  cause?: unknown,
): AtomicError {
  const more = damaged.length - NAMED;
  return new AtomicError(
    'store-invalid',
    `Cannot put ${damaged.length === 1 ? 'a damaged file' : `${damaged.length} damaged files`} of ${deployment.info.image} right: ${why}`,
    {
      details: [
        ...damaged.slice(0, NAMED).map((object) => `damaged: ${describeObject(object)}`),
        ...(more > 0 ? [`and ${more} more`] : []),
      ].join('\n'),
      hint: `Nothing was changed. Make ${sourceOf(deployment)} reachable and try again, or take the container to another image with update --rebase.`,
      ...(cause === undefined ? {} : { cause }),
    },
  );
}
