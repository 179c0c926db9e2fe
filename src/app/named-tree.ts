/** Trees by what people type for them: a container's, or that of an image in the local storage. */
import { join } from 'node:path';
import { isContainerName, type ContainerName } from '../container/name.ts';
import type { ContainerInfo } from '../container/info.ts';
import { AtomicError } from '../errors.ts';
import type { StoredImage } from '../store/image-store.ts';
import type { App } from './context.ts';
import { findInstalled } from './find-installed.ts';
import { findStoredImage } from './stored-image.ts';

export interface ContainerTree {
  readonly kind: 'container';
  readonly name: ContainerName;
  /** The deployment in use, or where the operating system has it. */
  readonly deployment: string;
  /** Absolute. */
  readonly rootfs: string;
  readonly info: ContainerInfo;
}

export interface ImageTree {
  readonly kind: 'image';
  readonly image: StoredImage;
}

export type NamedTree = ContainerTree | ImageTree;

/**
 * What a name stands for; a container goes before an image of that name, as with atomic.
 * @throws AtomicError `image-not-found` when it is neither; `host-file` for a container without a tree of its own
 */
export async function findNamedTree(app: App, text: string): Promise<NamedTree> {
  const container = isContainerName(text) ? await findContainerTree(app, text) : undefined;
  if (container !== undefined) return container;
  const image = (await app.store.repository.exists()) ? await findStoredImage(app, text) : undefined;
  if (image !== undefined) return { kind: 'image', image };
  throw new AtomicError('image-not-found', `Unable to associate '${text}' with an image or container`, {
    hint: 'atomic-ts images list and atomic-ts containers list --all show what is there.',
  });
}

async function findContainerTree(app: App, name: ContainerName): Promise<ContainerTree | undefined> {
  const found = await findInstalled(app, name);
  if (found === undefined) return undefined;
  const { path, info } = found;
  return { kind: 'container', name, deployment: path, rootfs: await findRootfs(app, name, path, info), info };
}

/** A container may have its tree elsewhere. */
async function findRootfs(
  app: App,
  name: ContainerName,
  deployment: string,
  { remote }: ContainerInfo,
): Promise<string> {
  const place = remote ?? join(deployment, 'rootfs');
  if ((await app.files.isDirectory(place)) && (await app.files.readLink(place)) === undefined) return place;
  throw new AtomicError('host-file', `The container ${name} has no tree: there is no folder ${place}`, {
    hint: 'Images that only bring host files have none; for any other, atomic-ts status tells more.',
  });
}
