/** What a name on the command line stands for where it may be an image or a container. */
import { isContainerName, parseContainerName, type ContainerName } from '../container/name.ts';
import type { ContainerInfo } from '../container/info.ts';
import type { StoredImage } from '../store/image-store.ts';
import { findContainer, getContainer, type Container, type Deployment } from './containers.ts';
import type { App } from './context.ts';
import { findImage } from './drift/judge-rootfs.ts';
import { findPreinstalled } from './preinstalled.ts';
import { findStoredImage, notStored } from './stored-image.ts';

export interface InspectedContainer {
  readonly name: ContainerName;
  readonly path: string;
  readonly info: ContainerInfo;
  /** Undefined for one that the operating system brings. */
  readonly current: Deployment | undefined;
}

/** An image; a container, with the image that it was made from unless the store has it no more. */
export type Inspected =
  | { readonly image: StoredImage; readonly container: InspectedContainer | undefined }
  | { readonly image: undefined; readonly container: InspectedContainer };

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

async function withImage(app: App, container: InspectedContainer): Promise<Inspected> {
  const image = await findImage(app, container);
  return image === undefined ? { image, container } : { image, container };
}

async function getInstalled(app: App, text: string): Promise<InspectedContainer> {
  const name = parseContainerName(text);
  return (await findInstalled(app, name)) ?? asInspected(await getContainer(app, name));
}

/** A container of the checkouts, or one that the operating system brings. */
export async function findInstalled(app: App, name: ContainerName): Promise<InspectedContainer | undefined> {
  const installed = await findContainer(app, name);
  if (installed !== undefined) return asInspected(installed);
  const brought = await findPreinstalled(app, name);
  return brought === undefined ? undefined : { ...brought, current: undefined };
}

function asInspected({ name, current }: Container): InspectedContainer {
  return { name, path: current.path, info: current.info, current };
}
