/**
 * Shows an image or a container as a tree at a folder of the host.
 *
 * An image is checked out as install does it, so that what is seen is what would run: layers stacked by overlay would
 * follow other rules for whiteouts, links and opaque folders. The tree is then mounted by bind, at first in a folder that
 * only root can enter and there read-only, so that nobody sees it without its options for a moment.
 */
import { resolve } from 'node:path';
import { AtomicError, isAtomicError, messageOf } from '../../errors.ts';
import { checkoutLayers } from '../../store/checkout.ts';
import { requireRoot } from '../change.ts';
import type { App } from '../context.ts';
import { findNamedTree, type ContainerTree, type NamedTree } from '../named-tree.ts';
import { lockOf } from '../recover.ts';
import { shareStore } from '../store-lock.ts';
import { takeBack, withMountsLock } from './dead-mounts.ts';
import { requireLive, mountVolumes } from './live.ts';
import { beginMount, holdOf, listMountFolders, topMount, writeMount, type Mount } from './mount-record.ts';

export interface MountRequest {
  /** An image or a container, as it was typed. */
  readonly name: string;
  readonly directory: string;
  readonly options: readonly string[];
  /** With a label that all containers may read, where SELinux is on. */
  readonly shared: boolean;
  /** A container that runs, with what of the host is mounted in it. */
  readonly live: boolean;
}

export interface MountedTree {
  readonly kind: NamedTree['kind'];
  readonly name: string;
  /** An image's; undefined for a container that was made from none. */
  readonly digest: string | undefined;
  readonly directory: string;
  readonly options: readonly string[];
}

/**
 * @throws AtomicError `image-not-found`; `host-file`, `file-exists`, `busy` for a folder that nothing can be mounted on;
 * on any other nothing is mounted, and nothing is left
 */
export async function mountTree(app: App, request: MountRequest): Promise<MountedTree> {
  requireRoot(app, `mount ${request.name}`);
  return withMountsLock(app, `mount ${request.name}`, async () => {
    const directory = await requireMountable(app, request);
    const label = request.shared ? await app.selinux.sharedLabel() : undefined;
    const store = await shareStore(app, `mount ${request.name}`);
    try {
      const tree = await findNamedTree(app, request.name);
      if (request.live) await requireLive(app, tree);
      if (tree.kind === 'image' || !isOfCheckouts(app, tree))
        return await mountFound(app, request, directory, tree, label);
      const purpose = `mount the container ${tree.name}`;
      const lock = await app.locks.acquire({ ...lockOf(app, tree.name, purpose), waitMs: app.lockWaitMs });
      try {
        // It may have another deployment by now.
        const found = await findNamedTree(app, request.name);
        return await mountFound(app, request, directory, found, label);
      } finally {
        await lock.release();
      }
    } finally {
      await store.release();
    }
  });
}

function isOfCheckouts({ paths }: App, { deployment }: ContainerTree): boolean {
  return deployment.startsWith(`${paths.checkouts}/`);
}

/** @returns the folder's path without links */
async function requireMountable(app: App, { name, directory }: MountRequest): Promise<string> {
  const { files, paths } = app;
  const path = resolve(directory);
  const refuse = (code: 'host-file' | 'file-exists' | 'busy', found: string, hint: string): AtomicError =>
    new AtomicError(code, `Cannot mount ${name} on ${path}: ${found}`, { hint });
  if ((await files.readLink(path)) !== undefined)
    throw refuse('host-file', 'it is a symbolic link', 'Name the folder itself.');
  if (!(await files.exists(path)))
    throw refuse('host-file', 'there is no such folder', `Make it first: mkdir ${path}`);
  if (!(await files.isDirectory(path))) throw refuse('host-file', 'it is no folder', 'Name an empty folder.');
  const real = await files.realpath(path);
  for (const ours of [paths.checkouts, paths.repository]) {
    const place = (await files.exists(ours)) ? await files.realpath(ours) : ours;
    if (real === place || real.startsWith(`${place}/`))
      throw refuse('host-file', `it is in ${ours}, which holds the containers`, 'Name a folder elsewhere.');
  }
  if (topMount(await files.mounts(), real) !== undefined)
    throw refuse('busy', 'something is mounted there already', `Unmount it first, or name another folder.`);
  if ((await files.list(real)).length > 0)
    throw refuse('file-exists', 'The destination path is not empty.', 'Name an empty folder.');
  return real;
}

async function mountFound(
  app: App,
  request: MountRequest,
  directory: string,
  tree: NamedTree,
  label: string | undefined,
): Promise<MountedTree> {
  const mount = await beginMount(app, request.name, directory);
  try {
    const source = tree.kind === 'container' ? tree.rootfs : await checkOut(app, mount, tree);
    await show(app, await hold(app, mount, source, request.options), request, tree, label);
    const digest = tree.kind === 'image' ? tree.image.digest : tree.info.manifestDigest;
    return { kind: tree.kind, name: request.name, digest, directory, options: request.options };
  } catch (error) {
    await undo(app, mount, error);
    throw error;
  }
}

async function checkOut(
  app: App,
  { folder }: Mount,
  { image }: Extract<NamedTree, { kind: 'image' }>,
): Promise<string> {
  const layers = image.manifest.layers.map(({ digest }) => digest);
  const rootfs = `${folder}/rootfs`;
  await checkoutLayers(app.exec, app.store.repository, layers, rootfs, { scratch: folder });
  return rootfs;
}

/** Mounts the tree where only root gets, private: what is mounted in it later is not to show in the tree itself. */
async function hold(app: App, mount: Mount, source: string, options: readonly string[]): Promise<Mount> {
  app.signal.throwIfAborted();
  const args = ['--bind', '--make-private', '-o', options.join(','), '--', source, holdOf(mount)];
  await app.exec.run('mount', args);
  const held = topMount(await app.files.mounts(), holdOf(mount));
  const inode = await app.files.inode(holdOf(mount));
  if (held === undefined || inode === undefined)
    throw new AtomicError('internal', `mount(8) has mounted nothing on ${holdOf(mount)}`);
  return writeMount(app, mount, { device: held.device, inode });
}

/** A second mount of the tree has the options of the first. */
async function show(
  app: App,
  mount: Mount,
  request: MountRequest,
  tree: NamedTree,
  label: string | undefined,
): Promise<void> {
  if (request.live && tree.kind === 'container') await mountVolumes(app, tree, holdOf(mount));
  app.signal.throwIfAborted();
  const { folder, directory } = mount;
  if (label === undefined) {
    await app.exec.run('mount', ['--rbind', '--', holdOf(mount), directory]);
  } else {
    // A label of its own is for a file system of its own. One layer alone is none for overlay: the other is empty.
    await app.files.makeDirectory(`${folder}/empty`, 0o700);
    const options = [...request.options, `context="${label}"`, 'lowerdir=hold:empty'].join(',');
    // Relative paths: colons and commas in the name of our folder would have to be escaped twice.
    await app.exec.run('mount', ['-t', 'overlay', '-o', options, '--', folder, directory], { cwd: folder });
  }
  await app.exec.run('umount', ['--recursive', '--', holdOf(mount)]);
  await writeMount(app, mount, { state: 'mounted' });
}

/** The first error is the one that counts. */
async function undo(app: App, { folder, directory }: Mount, error: unknown): Promise<void> {
  try {
    const found = (await listMountFolders(app)).find((item) => item.folder === folder);
    await takeBack(app, folder, found?.mount);
  } catch (trouble) {
    const sentence = `What was begun at ${directory} could not be undone: ${messageOf(trouble)}`;
    if (isAtomicError(error)) error.addTrouble(`${sentence} (atomic-ts repair tries again)`);
  }
}
