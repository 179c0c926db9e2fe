/** The one door of the app to images, wherever they are: the transports, and the ostree repos of this host. */
import { resolve } from 'node:path';
import { nameGivenLayers } from '../copy/given-layers.ts';
import { acceptSchema1 } from '../copy/schema1-source.ts';
import { formatReference, type ImageReference } from '../image/reference.ts';
import { ImageStore } from '../store/image-store.ts';
import { withTag } from '../store/names.ts';
import { createOstreeDestination } from '../store/ostree-transport/destination.ts';
import { openOstreeSource } from '../store/ostree-transport/source.ts';
import { openDestination, openSource, requireRoomForTags, type OpenedSource } from '../transport/open.ts';
import { tempFolderOf } from '../transport/temp-folder.ts';
import type { ImageDestination, ImageSource } from '../transport/transport.ts';
import { adviseTransport } from '../transport/wrong-transport.ts';
import type { App, TransferApp } from './context.ts';
import { openOptions, type RegistryAccess } from './pull-image.ts';
import { shareStore } from './store-lock.ts';
import { beginImport } from './sync-imports.ts';

type OstreeReference = Extract<ImageReference, { transport: 'ostree' }>;

/** Opens an image that is to be pulled or copied: images of the old schema 1 look like any other from here on. */
export async function openImageSource(
  app: TransferApp,
  reference: ImageReference,
  access: RegistryAccess,
): Promise<OpenedSource> {
  const opened = await openForReading(app, reference, access);
  const options = { tempFolder: tempFolderOf(app), signal: app.signal };
  return { ...opened, source: acceptSchema1(opened.source, options) };
}

/**
 * The same of an image that is to be pulled, whose manifest is not changed on the way: one of another repo names the
 * layers that a repo can give, which are not compressed. One of the local storage is as it was pulled.
 */
export async function openImageToPull(
  app: TransferApp,
  reference: ImageReference,
  access: RegistryAccess,
): Promise<OpenedSource> {
  const opened = await openImageSource(app, reference, access);
  const isHere = reference.transport === 'ostree' && (await isLocalStorage(app, reference));
  return isHere ? opened : { ...opened, source: nameGivenLayers(opened.source) };
}

/**
 * Opens an image with its manifests as they are. One of the local storage keeps others from taking it out until it is
 * closed. One that is not where a path leads is looked for under other transports, for the hint.
 * @throws AtomicError of the transport; `image-not-found`, `busy`
 */
export async function openForReading(
  app: TransferApp,
  reference: ImageReference,
  access: RegistryAccess,
): Promise<OpenedSource> {
  if (reference.transport === 'ostree') {
    return { source: await openRepositorySource(app, reference), imageName: reference.image };
  }
  return openSource(reference, openOptions(app, access)).catch(async (error: unknown) => {
    throw await adviseTransport(reference, error, app);
  });
}

async function openRepositorySource(app: TransferApp, reference: OstreeReference): Promise<ImageSource> {
  const { image } = reference;
  const shown = formatReference(reference);
  const local = await localStorage(app, reference);
  if (local === undefined) {
    const store = openRepository(app, reference.repository ?? '');
    return openOstreeSource(store, image, shown, () => Promise.resolve());
  }
  const lock = await shareStore(local, `read ${shown}`);
  try {
    return await openOstreeSource(local.store, image, shown, () => lock.release());
  } catch (error) {
    await lock.release();
    throw error;
  }
}

export interface CopiedImage {
  readonly from: ImageReference;
  readonly additionalTags: readonly string[];
}

/**
 * Opens a place for an image. A copy into the local storage is a pull: it shares the store and is marked until it is on
 * the disk; any other repo is made where there is none.
 * @param copy what is copied: where it comes from, to be asked for a newer one, and its further names
 * @throws AtomicError of the transport; `busy`, `usage`
 */
export async function openImageDestination(
  app: TransferApp,
  reference: ImageReference,
  access: RegistryAccess,
  { from, additionalTags }: CopiedImage,
): Promise<ImageDestination> {
  const options = {
    ...openOptions(app, access),
    additionalTags,
    ...(from.transport === 'docker' && { mountFrom: from.image }),
  };
  if (reference.transport !== 'ostree') return openDestination(reference, options);
  requireRoomForTags(reference, options);
  const named = { name: reference.image, shown: formatReference(reference), source: formatReference(from) };
  const local = await localStorage(app, reference);
  if (local !== undefined) return openLocalDestination(local, named);
  const store = openRepository(app, reference.repository ?? '');
  await store.repository.ensure();
  return createOstreeDestination(store, {
    ...named,
    beforeVisible: () => Promise.resolve(),
    sync: async () => void (await app.exec.run('sync', ['-f', '--', store.repository.path])),
    release: () => Promise.resolve(),
  });
}

async function openLocalDestination(
  app: App,
  named: { readonly name: string; readonly shown: string; readonly source: string },
): Promise<ImageDestination> {
  const lock = await shareStore(app, `copy to ${named.shown}`);
  try {
    await app.store.repository.ensure();
    const marked = beginImport(app, withTag(named.name));
    return createOstreeDestination(app.store, {
      ...named,
      beforeVisible: () => marked.beforeVisible(),
      sync: () => marked.end(),
      release: async () => {
        try {
          await marked.end();
        } finally {
          await lock.release();
        }
      },
    });
  } catch (error) {
    await lock.release();
    throw error;
  }
}

/** The program's view of this host where the reference means its own storage. */
async function localStorage(app: TransferApp, reference: OstreeReference): Promise<App | undefined> {
  return (await isLocalStorage(app, reference)) ? app.openLocal() : undefined;
}

/** Whether a reference means this host's own storage, also by its path. */
async function isLocalStorage(app: TransferApp, { repository }: OstreeReference): Promise<boolean> {
  if (repository === undefined) return true;
  return app.identity.uid === 0 && resolve(repository) === (await app.findRepository());
}

/** Only root can give files to others, as `bare` keeps them. */
function openRepository(app: TransferApp, path: string): ImageStore {
  return new ImageStore(resolve(path), app.exec, { mode: app.identity.uid === 0 ? 'bare' : 'bare-user' });
}
