/** A second name for an image of the store: a ref of the same commit. */
import { AtomicError } from '../errors.ts';
import type { StoredImage } from '../store/image-store.ts';
import { imageRef, withTag } from '../store/names.ts';
import { carryOut, requireRoot } from './change.ts';
import { setRef } from './change-refs.ts';
import type { App } from './context.ts';
import { readReference } from './pull-image.ts';
import { withStoreAlone } from './store-lock.ts';
import { getStoredImage } from './stored-image.ts';

export interface TaggedImage {
  /** With their tags. */
  readonly source: string;
  readonly name: string;
  readonly image: StoredImage;
  /** Whether the name stood for another image, or for none, before. */
  readonly changed: boolean;
}

/**
 * Gives an image another name, whatever that stood for before. Only root's, one at a time, and whole or not at all.
 * @throws AtomicError `image-not-found`, `reference-invalid` for a name that no image can have, `busy`
 */
export async function tagImage(app: App, text: string, target: string): Promise<TaggedImage> {
  requireRoot(app, 'tag an image');
  const name = readTarget(target);
  return withStoreAlone(app, 'tag an image', async () => {
    const image = await getStoredImage(app, text);
    const ref = imageRef(name);
    const changed = (await app.store.repository.resolveRef(ref)) !== image.commit;
    if (changed) {
      const steps = [setRef(app, ref, image.commit, 0)];
      await carryOut(app, { action: 'tagging of an image', container: undefined, steps });
    }
    return { source: image.name, name, image, changed };
  });
}

/** The name as the store knows it. */
function readTarget(text: string): string {
  const reference = readReference(text);
  if (reference.transport === 'docker' && reference.image.digest === undefined)
    return withTag(reference.image.given);
  throw new AtomicError('reference-invalid', `"${text}" is no name that can be given to an image`, {
    hint: 'A name is written [HOST[:PORT]/]NAME[:TAG], without a digest and without a path.',
  });
}
