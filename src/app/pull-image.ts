import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { AtomicError } from '../errors.ts';
import { readRegistriesConf } from '../config/registries-conf/index.ts';
import { importLayers } from '../copy/import.ts';
import { readImage, resolveManifest, type ResolvedManifest } from '../copy/resolve.ts';
import type { Descriptor } from '../image/descriptor.ts';
import { formatReference, parseReference, type ImageReference } from '../image/reference.ts';
import type { Platform } from '../image/platform.ts';
import { withTag } from '../store/names.ts';
import type { StoredImage } from '../store/image-store.ts';
import type { OpenOptions } from '../transport/open.ts';
import type { App, TransferApp } from './context.ts';
import { openImageToPull } from './open-image.ts';
import { openPartialLayers } from './partial-layers.ts';
import { openFirst, readCandidates } from './short-name.ts';
import { requireStoreRoom } from './require-room.ts';
import { shareStore } from './store-lock.ts';
import { importMarked } from './sync-imports.ts';

/** How a registry is spoken to, as options of a command give it. */
export interface RegistryAccess {
  readonly tlsVerify?: boolean;
  /** `USER[:PASSWORD]` */
  readonly credentials?: { readonly username: string; readonly password: string };
  readonly authFile?: string;
  readonly certDir?: string;
  /** Uses no credentials, though there may be some. */
  readonly anonymous?: boolean;
  /** Tries of one request, the first included. */
  readonly tries?: number;
  /** Where the Docker engine listens. */
  readonly daemonHost?: string;
}

export interface PulledImage {
  readonly image: StoredImage;
  /** Whether the store has another image under this name than before. */
  readonly changed: boolean;
  readonly layersFetched: number;
  /** Device nodes and FIFOs of all of its layers, which ostree does not store. */
  readonly devicesLeftOut: number;
}

/** Reads an image as it was typed; a path becomes absolute, since it is kept for later updates. */
export function readReference(text: string): ImageReference {
  const reference = parseReference(
    text,
    (path) => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false,
  );
  return 'path' in reference ? { ...reference, path: resolve(reference.path) } : reference;
}

export function platformOf(app: Pick<TransferApp, 'identity'>): Platform {
  const { architecture, variant } = app.identity;
  return { os: 'linux', architecture, ...(variant === undefined ? {} : { variant }) };
}

/** This machine's platform but for what is asked for; another architecture has no variant of ours. */
export function wantedPlatform(app: Pick<TransferApp, 'identity'>, asked: Partial<Platform>): Platform {
  const own = platformOf(app);
  const { os = own.os, architecture = own.architecture } = asked;
  const variant = asked.variant ?? (architecture === own.architecture ? own.variant : undefined);
  return { os, architecture, ...(variant === undefined ? {} : { variant }) };
}

export function openOptions(app: TransferApp, access: RegistryAccess): OpenOptions {
  return {
    ...access,
    exec: app.exec,
    userAgent: app.userAgent,
    report: app.report,
    signal: app.signal,
    locks: app.locks,
    environment: app.environment,
    registries: () => readRegistriesConf(app.environment),
  };
}

/**
 * Brings an image into the store, or finds that it is there: then only its manifest was asked for.
 * @throws AtomicError of the transport, the engine and the store; `busy` while another process takes something out of it
 */
export async function pullImage(app: App, text: string, access: RegistryAccess): Promise<PulledImage> {
  const lock = await shareStore(app, `pull ${text}`);
  try {
    return await importImage(app, text, access);
  } finally {
    await lock.release();
  }
}

/** An image that stays in the store until it is released: nobody prunes or deletes meanwhile. */
export interface HeldImage {
  readonly image: StoredImage;
  /** May be called again. */
  readonly release: () => Promise<void>;
}

/** Shares the store from before an image is looked for, and what it lacks is pulled. */
export async function holdImage(app: App, find: () => Promise<StoredImage>): Promise<HeldImage> {
  const lock = await shareStore(app, 'read the image store');
  try {
    return { image: await find(), release: () => lock.release() };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

/** What `pullImage` does, for a caller that shares the store. */
export async function importImage(app: App, text: string, access: RegistryAccess): Promise<PulledImage> {
  const typed = readReference(text);
  tellReading(app, text, typed);
  // A short name stays the image's name, wherever it is from.
  const name = typed.transport === 'docker' ? typed.image.given : undefined;
  return openFirst(await readCandidates(app, text, typed, access), (reference) =>
    importFrom(app, reference, name, access),
  );
}

/** @param name under which it is stored; by default what its source calls it */
async function importFrom(
  app: App,
  reference: ImageReference,
  name: string | undefined,
  access: RegistryAccess,
): Promise<PulledImage> {
  const opened = await openImageToPull(app, reference, access);
  const { source } = opened;
  const imageName = name ?? opened.imageName;
  try {
    const platform = platformOf(app);
    const resolved = await resolveManifest(source, platform, digestOfReference(reference));
    const { digest, manifest } = resolved;
    const before = await app.store.find(imageName);
    app.report({ event: 'resolved', image: imageName, digest, layers: manifest.layers.length });
    if (before?.digest === digest && (await isComplete(app, resolved))) {
      const devicesLeftOut = await app.store.countDevicesLeftOut(manifest);
      return { image: before, changed: false, layersFetched: 0, devicesLeftOut };
    }
    const image = await readImage(source, resolved, platform);
    await app.store.repository.ensure();
    return await importMarked(app, withTag(imageName), async (store, beforeVisible) => {
      const partial = openPartialLayers(app, reference.transport === 'docker');
      const requireRoom = async (missing: readonly Descriptor[]): Promise<void> => {
        await requireStoreRoom(app, imageName, missing);
        await partial.makeRoom(missing);
      };
      const layers = { ...store, requireRoom, claims: partial.claims };
      const outcome = await importLayers(source, image, layers, app.report, app.signal);
      tellLeftOut(app, outcome.devicesLeftOut);
      await beforeVisible();
      const stored = await app.store.commitImage({
        name: withTag(imageName),
        source: formatReference(reference),
        digest,
        manifestBytes: resolved.raw.bytes,
        configDigest: manifest.config.digest,
        configBytes: image.configBytes,
      });
      const devicesLeftOut = await app.store.countDevicesLeftOut(manifest);
      return { image: stored, changed: true, layersFetched: outcome.fetched, devicesLeftOut };
    });
  } finally {
    await source.close();
  }
}

function tellLeftOut(app: App, devices: number): void {
  if (devices === 0) return;
  const text = `${devices} device nodes or FIFOs of the image are left out: ostree does not store them`;
  app.report({ event: 'warning', text });
}

/** Says how `oci:` was taken, which can be taken in two ways. */
function tellReading(app: App, text: string, reference: ImageReference): void {
  if (!/^oci:[^./]/.test(text)) return;
  const sentence =
    reference.transport === 'oci'
      ? `\`${text}\` is taken for the layout folder ${reference.path}`
      : `\`${text}\` is taken for an image in a registry: there is no such folder`;
  app.report({ event: 'notice', text: sentence });
}

function digestOfReference(reference: ImageReference): StoredImage['digest'] | undefined {
  return reference.transport === 'docker' ? reference.image.digest : undefined;
}

/** Whether the store has all layers of a manifest, and the config with the DiffIDs they were checked against. */
async function isComplete(app: App, { manifest }: ResolvedManifest): Promise<boolean> {
  for (const { digest } of [...manifest.layers, manifest.config]) {
    if ((await app.store.findLayer(digest)) === undefined) return false;
  }
  return true;
}

/**
 * The image for a container: from the store when it is there under that name, else pulled. A file or folder is always
 * read again, since it is at hand and may have changed. The caller shares the store.
 * @param always pull a registry's image even when the store has one of its name
 */
export async function findOrPull(
  app: App,
  text: string,
  access: RegistryAccess,
  always: boolean,
): Promise<StoredImage> {
  const stored = always ? undefined : await app.store.find(text);
  if (stored !== undefined) return stored;
  const reference = readReference(text);
  if (!always && reference.transport === 'docker') {
    const known = await app.store.find(reference.image.given);
    if (known !== undefined) return known;
  }
  return (await importImage(app, text, access)).image;
}

/** @throws AtomicError `image-not-found` */
export function imageNotInStore(name: string): AtomicError {
  return new AtomicError('image-not-found', `The image ${name} is not in the local storage`, {
    hint: `Pull it first: atomic-ts pull ${name}`,
  });
}
