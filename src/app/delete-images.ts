/** Takes images out of the store: their names go, and what they were made of with the next prune. */
import { AtomicError, isAtomicError } from '../errors.ts';
import type { ContainerName } from '../container/name.ts';
import { decodeImageRef, imageRef, isBlobRef, METADATA, withTag } from '../store/names.ts';
import { carryOut, requireRoot } from './change.ts';
import type { App } from './context.ts';
import { readImageUse } from './image-use.ts';
import { removeRef } from './change-refs.ts';
import { withStoreAlone } from './store-lock.ts';
import { nameInRegistry, notStored } from './stored-image.ts';

export interface DeleteRequest {
  /** As they were typed: names, or beginnings of ids. */
  readonly images: readonly string[];
  /** All that there are, instead. */
  readonly all: boolean;
  /** Those too that a container was made from. */
  readonly force: boolean;
  readonly dryRun: boolean;
}

/** An image that is to go. */
export interface DoomedImage {
  /** With its tag. */
  readonly name: string;
  readonly ref: string;
}

/**
 * Deletes images. A container that was made from one runs on: its tree is its own.
 * @param confirm asked once it is clear which images go, before any does
 * @returns those that went, or would; undefined when `confirm` said no
 * @throws AtomicError `image-not-found`, `image-in-use`, `busy`; nothing is deleted then
 */
export async function deleteImages(
  app: App,
  request: DeleteRequest,
  confirm: (images: readonly DoomedImage[]) => Promise<boolean>,
): Promise<readonly DoomedImage[] | undefined> {
  requireRoot(app, 'delete images');
  const found = await findDoomed(app, request);
  if (request.dryRun || found.length === 0) return found;
  if (!(await confirm(found))) return undefined;
  return withStoreAlone(app, 'delete images', async () => {
    // A person may have thought about it for a while.
    const doomed = (await findDoomed(app, request)).filter(({ ref }) =>
      found.some((image) => image.ref === ref),
    );
    const steps = doomed.map(({ ref }, i) => removeRef(app, ref, i));
    // atomic does not speak of refs here.
    const report: App['report'] = (event) => (event.event === 'step' ? undefined : app.report(event));
    await carryOut({ ...app, report }, { action: 'deletion of images', container: undefined, steps });
    return doomed;
  });
}

async function findDoomed(app: App, request: DeleteRequest): Promise<DoomedImage[]> {
  const { images, all, force } = request;
  const names = all
    ? (await app.store.repository.listRefs()).filter((ref) => !isBlobRef(ref)).map(decodeImageRef)
    : images;
  const doomed = new Map<string, DoomedImage>();
  for (const text of names) {
    const image = await findImage(app, text);
    if (image !== undefined) doomed.set(image.ref, image);
    else if (!all) throw notStored(text);
  }
  if (!force) await refuseUsed(app, [...doomed.values()]);
  return [...doomed.values()];
}

/** By its ref first: one that cannot be read can be deleted all the same. */
async function findImage(app: App, text: string): Promise<DoomedImage | undefined> {
  for (const name of [text, nameInRegistry(text)]) {
    if (name === undefined) continue;
    const ref = imageRef(name);
    if ((await app.store.repository.resolveRef(ref)) !== undefined) return { name: withTag(name), ref };
  }
  const byId = await app.store.find(text);
  return byId === undefined ? undefined : { name: byId.name, ref: imageRef(byId.name) };
}

async function refuseUsed(app: App, images: readonly DoomedImage[]): Promise<void> {
  const use = await readImageUse(app);
  for (const { name, ref } of images) {
    const containers = [...(use.get(await readId(app, ref)) ?? [])];
    if (containers.length > 0) throw inUse(name, containers);
  }
}

/** Hex of the digest; empty for an image that cannot be read. */
async function readId(app: App, ref: string): Promise<string> {
  try {
    const digest = (await app.store.repository.readRef(ref))?.metadata.get(METADATA.digest) ?? '';
    return digest.slice(digest.indexOf(':') + 1);
  } catch (error) {
    if (isAtomicError(error, 'store-invalid')) return '';
    throw error;
  }
}

function inUse(name: string, containers: readonly ContainerName[]): AtomicError {
  const [first = '', ...others] = containers.toSorted();
  const more = others.length === 0 ? '' : ` and ${others.length} more`;
  return new AtomicError('image-in-use', `The image ${name} is in use by the container ${first}${more}`, {
    hint: 'Uninstall what uses it first; with --force it is deleted all the same, and the container runs on.',
  });
}
