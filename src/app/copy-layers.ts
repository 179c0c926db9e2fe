import { mkdtemp, rm } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { AtomicError } from '../errors.ts';
import { copyImage } from '../copy/copy.ts';
import { resolveManifest } from '../copy/resolve.ts';
import { withManifest } from '../copy/top-manifest.ts';
import type { Descriptor } from '../image/descriptor.ts';
import { hexOf } from '../image/digest.ts';
import type { ImageManifest } from '../image/manifest.ts';
import type { Platform } from '../image/platform.ts';
import type { ImageReference } from '../image/reference.ts';
import { openDestination } from '../transport/open.ts';
import { tempFolderOf } from '../transport/temp-folder.ts';
import type { ImageDestination, ImageSource } from '../transport/transport.ts';
import type { TransferApp } from './context.ts';
import { zstdPrograms } from './copy-image.ts';
import { openImageSource } from './open-image.ts';
import { openOptions, platformOf, wantedPlatform, type RegistryAccess } from './pull-image.ts';
import { readPlace } from './read-place.ts';
import { requireFolderRoom } from './require-room.ts';
import { openFirst, readCandidates } from './short-name.ts';

export interface LayersRequest {
  readonly image: string;
  /** Digests, or their hex alone; all layers and the config when empty. */
  readonly digests: readonly string[];
  /** A new one in the current folder when not given. */
  readonly folder: string | undefined;
  readonly access: RegistryAccess;
  /** In place of this machine's. */
  readonly platform: Partial<Platform>;
}

export interface CopiedLayers {
  readonly folder: string;
  readonly digest: string;
  readonly blobs: readonly Descriptor[];
}

/**
 * Puts the layers and the manifest of an image into a folder, as `dir:` has them.
 * @throws AtomicError of the transport and the engine; `value-invalid` for a layer that the image does not have
 */
export async function copyImageLayers(app: TransferApp, request: LayersRequest): Promise<CopiedLayers> {
  const typed = readPlace(request.image);
  return openFirst(await readCandidates(app, request.image, typed, request.access), (reference) =>
    copyFrom(app, reference, request),
  );
}

async function copyFrom(
  app: TransferApp,
  reference: ImageReference,
  request: LayersRequest,
): Promise<CopiedLayers> {
  const { source } = await openImageSource(app, reference, request.access);
  try {
    const expected = reference.transport === 'docker' ? reference.image.digest : undefined;
    const image = await resolveManifest(source, wantedPlatform(app, request.platform), expected);
    const { digest, manifest } = image;
    // A source of trees has other ones than the manifest names.
    const layers = (await source.layersForCopy?.(manifest)) ?? manifest.layers;
    const blobs = chooseBlobs({ ...manifest, layers }, request.digests, source.name);
    // What the digests were chosen of is what is copied, whatever the tag stands for by then.
    const chosen = withManifest(source, async () => image.raw);
    return await intoFolder(reference, request.folder, async (folder) => {
      const destination = await openDestination({ transport: 'dir', path: folder }, openOptions(app, {}));
      try {
        await copyBlobs(app, chosen, destination, blobs);
      } finally {
        await destination.close();
      }
      return { folder, digest, blobs };
    });
  } finally {
    await source.close();
  }
}

/** A copy of the whole image to a place that seems to have all other blobs. */
async function copyBlobs(
  app: TransferApp,
  source: ImageSource,
  destination: ImageDestination,
  blobs: readonly Descriptor[],
): Promise<void> {
  const wanted = new Set(blobs.map(({ digest }) => digest));
  const choosy: ImageDestination = {
    ...destination,
    hasBlob: async (blob) => !wanted.has(blob.digest) || destination.hasBlob(blob),
  };
  await copyImage(source, choosy, {
    platform: platformOf(app),
    removeSignatures: true,
    zstd: zstdPrograms(app),
    tempFolder: tempFolderOf(app),
    report: (event) => {
      if (event.event !== 'layer' || wanted.has(event.digest)) app.report(event);
    },
    signal: app.signal,
    requireRoom: (missing) => requireFolderRoom(app, destination.folder ?? '', source.name, missing),
  });
}

/** A folder of our own making goes again when its image does not come. */
async function intoFolder<T>(
  reference: ImageReference,
  given: string | undefined,
  fill: (folder: string) => Promise<T>,
): Promise<T> {
  if (given !== undefined) return fill(resolve(given));
  const folder = await mkdtemp(resolve(`layers-${shortName(reference)}-`));
  try {
    return await fill(folder);
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

/** `busybox-latest`: what can be in the name of a folder. */
function shortName(reference: ImageReference): string {
  const name = 'path' in reference ? basename(reference.path) : nameAndTag(reference.image);
  return name.replace(/[^\w.-]+/g, '-').slice(0, 100);
}

function nameAndTag(image: Extract<ImageReference, { readonly image: unknown }>['image']): string {
  if (image === undefined || typeof image === 'string') return image ?? 'image';
  const { repository, tag, digest } = image;
  return `${repository.replace(/^library\//, '')}-${tag ?? (digest === undefined ? '' : hexOf(digest).slice(0, 12))}`;
}

/** Each once; the config comes along where nothing was chosen. */
function chooseBlobs(manifest: ImageManifest, wanted: readonly string[], name: string): Descriptor[] {
  const all = new Map([...manifest.layers, manifest.config].map((blob) => [blob.digest as string, blob]));
  if (wanted.length === 0) return [...all.values()];
  const chosen = wanted.map((text) => {
    const blob = all.get(text.includes(':') ? text : `sha256:${text}`);
    if (blob !== undefined) return blob;
    throw new AtomicError('value-invalid', `${name} has no layer ${text}`, {
      hint: `It has ${[...new Set(manifest.layers.map(({ digest }) => digest))].join(', ')}.`,
    });
  });
  return [...new Set(chosen)];
}
