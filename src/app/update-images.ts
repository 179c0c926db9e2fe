/** Pulls what has become of images that the store has. */
import { AtomicError, isAtomicError } from '../errors.ts';
import type { Digest } from '../image/digest.ts';
import { formatReference } from '../image/reference.ts';
import type { StoredImage } from '../store/image-store.ts';
import type { App } from './context.ts';
import { sourceOf } from './newer-image.ts';
import { pullImage, type PulledImage, type RegistryAccess } from './pull-image.ts';
import { findStoredImage } from './stored-image.ts';

export interface UpdatedImage {
  /** With its tag. */
  readonly name: string;
  readonly before: Digest;
  readonly after: Digest;
  /** Why it could not be pulled. */
  readonly error: AtomicError | undefined;
}

/**
 * Pulls each image again from where it came from. Containers keep the deployments that they have.
 * @throws AtomicError `image-not-found` before anything is pulled; of the first pull that fails
 */
export async function updateImages(
  app: App,
  texts: readonly string[],
  access: RegistryAccess,
): Promise<(PulledImage & { readonly before: Digest })[]> {
  const images: StoredImage[] = [];
  for (const text of texts) {
    const image = await findStoredImage(app, text);
    if (image === undefined) {
      throw new AtomicError('image-not-found', `${text} not found locally.  Unable to update`, {
        hint: `Pull it: atomic-ts pull ${text}`,
      });
    }
    images.push(image);
  }
  const pulled: (PulledImage & { readonly before: Digest })[] = [];
  for (const image of images)
    pulled.push({ ...(await pullImage(app, textOf(image), access)), before: image.digest });
  return pulled;
}

/**
 * The same with all images that are from a registry; one that cannot be pulled keeps the others from nothing.
 * @throws AtomicError `interrupted`, `not-root`
 */
export async function updateAllImages(app: App, access: RegistryAccess): Promise<UpdatedImage[]> {
  const updated: UpdatedImage[] = [];
  const images = await app.store.list((error) => app.report({ event: 'warning', text: error.message }));
  for (const image of images.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    if (!isFromRegistry(image)) {
      app.report({ event: 'notice', text: `Image ${image.name} not fully qualified: skipping` });
      continue;
    }
    app.report({ event: 'step', text: `Checking image ${image.name}...` });
    updated.push(await updateOne(app, image, access));
  }
  return updated;
}

async function updateOne(app: App, image: StoredImage, access: RegistryAccess): Promise<UpdatedImage> {
  const { name, digest: before } = image;
  try {
    const { image: after } = await pullImage(app, textOf(image), access);
    return { name, before, after: after.digest, error: undefined };
  } catch (error) {
    if (!isAtomicError(error) || error.code === 'interrupted') throw error;
    return { name, before, after: before, error };
  }
}

/** Where it is known, or said by its name. */
function isFromRegistry(image: StoredImage): boolean {
  const reference = sourceOf(image);
  return reference?.transport === 'docker' && (image.source !== undefined || reference.image.qualified);
}

function textOf(image: StoredImage): string {
  const reference = sourceOf(image);
  return reference === undefined ? image.name : formatReference(reference);
}
