/** Images of the local storage by what people type for them. */
import { AtomicError, isAtomicError } from '../errors.ts';
import type { ImageReference } from '../image/reference.ts';
import type { StoredImage } from '../store/image-store.ts';
import type { App } from './context.ts';
import { readReference } from './pull-image.ts';

/**
 * An image by its name, by its name with a registry's transport before it, or by the beginning of its id.
 * @throws AtomicError `image-not-found`, `reference-invalid` for an id that several have
 */
export async function getStoredImage(app: App, text: string): Promise<StoredImage> {
  const image = await findStoredImage(app, text);
  if (image !== undefined) return image;
  throw notStored(text);
}

export async function findStoredImage(app: App, text: string): Promise<StoredImage | undefined> {
  const byName = await app.store.find(text);
  if (byName !== undefined) return byName;
  const name = nameInRegistry(text);
  return name === undefined || name === text ? undefined : app.store.find(name);
}

/** `docker://NAME` is in the store as NAME; undefined for what names no registry. */
export function nameInRegistry(text: string): string | undefined {
  const reference = readIfReference(text);
  return reference?.transport === 'docker' ? reference.image.given : undefined;
}

/** A text as a reference; undefined where it is none, as a name in the store need not be. */
export function readIfReference(text: string): ImageReference | undefined {
  try {
    return readReference(text);
  } catch (error) {
    if (isAtomicError(error, 'reference-invalid')) return undefined;
    throw error;
  }
}

export function notStored(text: string): AtomicError {
  return new AtomicError('image-not-found', `Unable to find ${text} in the ostree backend`, {
    hint: 'atomic-ts images list shows the images that are there.',
  });
}
