/**
 * Containers whose root file system is elsewhere (`install --rootfs`): in another container's deployment, or in a folder
 * that somebody has unpacked. It is never written to, and it has to stay while somebody runs on it.
 */
import { createHash } from 'node:crypto';
import { join, relative, resolve } from 'node:path';
import type { Exports } from '../container/exports.ts';
import type { ContainerInfo } from '../container/info.ts';
import { parseContainerName, type ContainerName } from '../container/name.ts';
import { AtomicError, isAtomicError } from '../errors.ts';
import { listContainers, readOtherDeployment } from './containers.ts';
import type { App } from './context.ts';
import { deploymentPath } from './layout.ts';
import { lockOf } from './recover.ts';

/** What one of which makes a folder a root file system. */
const ROOT_FOLDERS = ['usr', 'bin', 'exports'];

/**
 * The root file system that --rootfs names, without links: the folder itself, or `rootfs` in a deployment.
 * @throws AtomicError `rootfs-missing`, in atomic's words; `usage` for a place that is the container's own, or ours
 */
export async function findRemoteRootfs(app: App, name: ContainerName, given: string): Promise<string> {
  const folder = resolve(given);
  if (!(await app.files.isDirectory(folder))) throw missing(folder);
  const real = await app.files.realpath(folder);
  for (const candidate of [real, join(real, 'rootfs')]) {
    if (!(await hasRoot(app, candidate))) continue;
    // The `rootfs` of a deployment may itself be such a link.
    const found = await app.files.realpath(candidate);
    await refuseOwn(app, name, found);
    return found;
  }
  throw new AtomicError(
    'rootfs-missing',
    '--remote was specified but the given location does not contain a rootfs',
    { hint: `${folder} has neither of ${ROOT_FOLDERS.join(', ')}, nor a folder rootfs with one of them.` },
  );
}

async function hasRoot(app: App, path: string): Promise<boolean> {
  for (const folder of ROOT_FOLDERS) if (await app.files.isDirectory(join(path, folder))) return true;
  return false;
}

function missing(path: string): AtomicError {
  return new AtomicError(
    'rootfs-missing',
    "The container's rootfs is set to remote, but the remote rootfs does not exist",
    { hint: `There is no folder ${path}.` },
  );
}

/** A deployment of the container itself goes with its next change, and what is ours with the next command. */
async function refuseOwn(app: App, name: ContainerName, rootfs: string): Promise<void> {
  const own = [
    deploymentPath(app, name, 0),
    deploymentPath(app, name, 1),
    join(app.paths.checkouts, '.atomic-ts'),
  ];
  if (!(await isInside(app, rootfs, own))) return;
  throw new AtomicError(
    'usage',
    `--rootfs cannot be ${rootfs}: the installation of ${name} would replace it`,
    {
      hint: 'Give a tree that stays where it is.',
    },
  );
}

/** @throws AtomicError `rootfs-missing` when a deployment's root file system is elsewhere, and gone */
export async function requireTree(
  app: App,
  { remote }: Partial<Pick<ContainerInfo, 'remote'>>,
): Promise<void> {
  if (remote !== undefined && !(await hasRoot(app, remote))) throw missing(remote);
}

/** In atomic's words. @throws AtomicError `rootfs-missing` */
export async function tellRemote(app: App, remote: string): Promise<void> {
  await requireTree(app, { remote });
  app.report({ event: 'step', text: `The remote rootfs for this container is set to be ${remote}` });
}

/** What an update compares, to see whether a foreign tree brings another configuration now. */
export function checksumExports(exports: Exports): string {
  return createHash('sha256').update(JSON.stringify(exports)).digest('hex');
}

/**
 * Keeps the container that a tree belongs to, if it is one's, from being changed while `work` makes somebody run on it.
 * @throws AtomicError `busy`
 */
export async function withTreeHeld<T>(
  app: App,
  rootfs: string | undefined,
  work: () => Promise<T>,
): Promise<T> {
  const owner = rootfs === undefined ? undefined : await ownerOf(app, rootfs);
  if (owner === undefined) return work();
  const request = lockOf(app, owner, `use the tree of the container ${owner}`);
  const lock = await app.locks.acquire({ ...request, mode: 'shared', waitMs: app.lockWaitMs });
  try {
    return await work();
  } finally {
    await lock.release();
  }
}

async function ownerOf(app: App, rootfs: string): Promise<ContainerName | undefined> {
  const checkouts = (await app.files.exists(app.paths.checkouts))
    ? await app.files.realpath(app.paths.checkouts)
    : app.paths.checkouts;
  const [, owner] = /^([^/]+)\.[01](?:\/|$)/.exec(relative(checkouts, rootfs)) ?? [];
  try {
    return owner === undefined ? undefined : parseContainerName(owner);
  } catch (error) {
    if (isAtomicError(error, 'name-invalid')) return undefined;
    throw error;
  }
}

/** A container that runs on a tree which is not its own, or would after a rollback. */
export interface Tenant {
  readonly name: ContainerName;
  readonly rootfs: string;
}

/** Who runs on a tree in one of the folders. */
export async function listTenants(app: App, folders: readonly string[]): Promise<Tenant[]> {
  const tenants = new Map<ContainerName, Tenant>();
  for (const container of folders.length === 0 ? [] : await listContainers(app)) {
    for (const deployment of [container.current, await readOtherDeployment(app, container)]) {
      const rootfs = deployment?.info.remote;
      if (rootfs === undefined || !(await isInside(app, rootfs, folders))) continue;
      tenants.set(container.name, { name: container.name, rootfs });
    }
  }
  return [...tenants.values()];
}

/**
 * Refuses a change that takes a tree away from under another container.
 * @param what `uninstall web`
 * @throws AtomicError `container-in-use`
 */
export async function refuseTenants(app: App, what: string, folders: readonly string[]): Promise<void> {
  const [first, ...others] = await listTenants(app, folders);
  if (first === undefined) return;
  const more = others.length === 0 ? '' : ` and ${others.length} more`;
  throw new AtomicError(
    'container-in-use',
    `Cannot ${what}: the container ${first.name}${more} has its root file system in ${first.rootfs}`,
    {
      hint: `Uninstall ${first.name} first; with --force the tree goes all the same, and ${first.name} cannot start any more.`,
    },
  );
}

async function isInside(app: App, path: string, folders: readonly string[]): Promise<boolean> {
  for (const folder of folders) {
    const real = (await app.files.exists(folder)) ? await app.files.realpath(folder) : folder;
    for (const place of [folder, real]) if (path === place || path.startsWith(`${place}/`)) return true;
  }
  return false;
}
