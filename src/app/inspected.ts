/** What a name on the command line stands for where it may be an image or a container. */
import { isContainerName, parseContainerName } from '../container/name.ts';
import type { StoredImage } from '../store/image-store.ts';
import { notInstalled } from './containers.ts';
import type { App } from './context.ts';
import { findImage } from './drift/judge-rootfs.ts';
import { findInstalled, type FoundContainer } from './find-installed.ts';
import { findStoredImage, notStored } from './stored-image.ts';

/** An image; a container, with the image that it was made from unless the store has it no more. */
export type Inspected =
  | { readonly image: StoredImage; readonly container: FoundContainer | undefined }
  | { readonly image: undefined; readonly container: FoundContainer };

/** What may be the beginning of an image's id. */
const IMAGE_ID = /^[0-9a-f]{7,128}$/;

/** `any` takes an image's name for the image, as atomic did, then a container's name, then the beginning of an image's id. */
export type InspectedKind = 'image' | 'container' | 'any';

/** @throws AtomicError `image-not-found`, `container-not-found`, `name-invalid` */
export async function findInspected(app: App, text: string, kind: InspectedKind): Promise<Inspected> {
  if (kind === 'container') return withImage(app, await getInstalled(app, text));
  const byName = IMAGE_ID.test(text) ? undefined : await findStoredImage(app, text);
  if (byName !== undefined) return { image: byName, container: undefined };
  if (kind === 'any' && isContainerName(text)) {
    const container = await findInstalled(app, text);
    if (container !== undefined) return withImage(app, container);
  }
  const byId = IMAGE_ID.test(text) ? await findStoredImage(app, text) : undefined;
  if (byId !== undefined) return { image: byId, container: undefined };
  throw notStored(text);
}

async function withImage(app: App, container: FoundContainer): Promise<Inspected> {
  const image = await findImage(app, container);
  return image === undefined ? { image, container } : { image, container };
}

async function getInstalled(app: App, text: string): Promise<FoundContainer> {
  const name = parseContainerName(text);
  const found = await findInstalled(app, name);
  if (found === undefined) throw notInstalled(name);
  return found;
}
