/** The containers that are installed: what their deployments say of themselves. */
import { basename, join } from 'node:path';
import { AtomicError } from '../errors.ts';
import { parseInfo, type ContainerInfo } from '../container/info.ts';
import { parseContainerName, type ContainerName } from '../container/name.ts';
import { OWN_JSON_BYTES } from '../limits.ts';
import type { App } from './context.ts';
import { refusePreinstalled } from './preinstalled.ts';
import { deploymentPath, linkPath, otherSlot, type Slot } from './layout.ts';

export interface Deployment {
  readonly slot: Slot;
  readonly path: string;
  readonly info: ContainerInfo;
}

export interface Container {
  readonly name: ContainerName;
  /** The one that its link points at. */
  readonly current: Deployment;
}

/** Reads an installed container; undefined when there is none of that name. */
export async function findContainer(app: App, name: ContainerName): Promise<Container | undefined> {
  const target = await app.files.readLink(linkPath(app, name));
  if (target === undefined) return undefined;
  // On a host that is booted from ostree, atomic's links go through /ostree/deploy: only the last part is ours to read.
  const slot = ([0, 1] as const).find((candidate) => basename(target) === `${name}.${candidate}`);
  if (slot === undefined) return undefined;
  const current = await readDeployment(app, name, slot);
  return current === undefined ? undefined : { name, current };
}

/**
 * The container that is to be changed.
 * @param what for the refusal of one that is the operating system's: `update`
 * @throws AtomicError `container-not-found`, `container-preinstalled`
 */
export async function getContainer(app: App, name: ContainerName, what = 'change'): Promise<Container> {
  const container = await findContainer(app, name);
  if (container !== undefined) return container;
  await refusePreinstalled(app, what, name);
  throw notInstalled(name);
}

export function notInstalled(name: ContainerName): AtomicError {
  return new AtomicError('container-not-found', `System container '${name}' is not installed`, {
    hint: 'atomic-ts containers list --all shows those that are.',
  });
}

/** atomic's words, of commands that look in all of its storages. */
export function unableToFind(name: string): AtomicError {
  return new AtomicError(
    'container-not-found',
    `Unable to find '${name}' in the following backends: ostree`,
    {
      hint: 'atomic-ts containers list --all shows what is installed.',
    },
  );
}

/** The deployment in one of a container's two places; undefined when that is empty. */
async function readDeployment(app: App, name: ContainerName, slot: Slot): Promise<Deployment | undefined> {
  const path = deploymentPath(app, name, slot);
  const file = join(path, 'info');
  const text = await app.files.readIfExists(file, OWN_JSON_BYTES);
  return text === undefined ? undefined : { slot, path, info: parseInfo(text.toString('utf8'), file) };
}

export async function readOtherDeployment(app: App, container: Container): Promise<Deployment | undefined> {
  return readDeployment(app, container.name, otherSlot(container.current.slot));
}

/** All containers, by name; one whose info cannot be read is told of and left out. */
export async function listContainers(app: App): Promise<Container[]> {
  const containers: Container[] = [];
  for (const entry of await app.files.list(app.paths.checkouts)) {
    if (entry.startsWith('.')) continue;
    try {
      const container = await findContainer(app, parseContainerName(entry));
      if (container !== undefined) containers.push(container);
    } catch (error) {
      if (!(error instanceof AtomicError)) throw error;
      if (error.code !== 'name-invalid') app.report({ event: 'warning', text: error.message });
    }
  }
  return containers;
}

/**
 * Deployments of a container that stand in its places, the one in use or not. `a.1` may also be the link of a container
 * of that name: that is no deployment of `a`.
 */
export async function findDeployments(app: App, name: ContainerName): Promise<string[]> {
  const found: string[] = [];
  for (const slot of [0, 1] as const) {
    const path = deploymentPath(app, name, slot);
    if ((await app.files.exists(path)) && (await app.files.readLink(path)) === undefined) found.push(path);
  }
  return found;
}

/** @throws AtomicError `file-exists` when the place of a deployment is the name of another container */
export async function requirePlace(app: App, name: ContainerName, slot: Slot): Promise<void> {
  const path = deploymentPath(app, name, slot);
  if ((await app.files.readLink(path)) === undefined) return;
  throw new AtomicError('file-exists', `The file ${path} already exists.`, {
    hint: `A container is called ${name}.${slot}, which is where a deployment of ${name} belongs: choose another --name.`,
  });
}
