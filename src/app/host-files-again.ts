/** Host files of a deployment that is there already, made once more: for a rollback to it, and for its repair. */
import { join } from 'node:path';
import { readExports } from '../container/exports.ts';
import type { ContainerInfo } from '../container/info.ts';
import type { ContainerName } from '../container/name.ts';
import type { HostFile } from '../host/ports.ts';
import type { App } from './context.ts';
import { stageTree } from './drift/stage-again.ts';
import { ownedBy, planTree, tellTaken } from './host-files.ts';
import { readKeptHostFiles, type PlacedDeployment } from './kept-host-files.ts';

export interface HostFilesAgain {
  /**
   * The files to make, and what is told of those whose place is taken.
   * @param leaving paths that what stands there now is to leave
   */
  plan(leaving: readonly string[]): Promise<{ files: readonly HostFile[]; messages: readonly string[] }>;
  /** Called when they are made. */
  discard(): Promise<void>;
}

/**
 * A deployment's host files as they were: those that it keeps, else made from its tree and its values; the tree of a
 * container of atomic's that has only host files is gone, and is checked out of its image once more for that.
 * @throws AtomicError `image-not-found` when the image is needed and gone
 */
export async function openHostFiles(
  app: App,
  name: ContainerName,
  deployment: PlacedDeployment & { readonly info: ContainerInfo },
): Promise<HostFilesAgain> {
  const { path, place, info } = deployment;
  const discard = (): Promise<void> => Promise.resolve();
  if (info.installedFiles.length === 0)
    return { plan: () => Promise.resolve({ files: [], messages: [] }), discard };
  const kept = await readKeptHostFiles(app, deployment, info);
  if (kept !== undefined) return { plan: (leaving) => leaveOutTaken(app, kept, leaving), discard };
  const own = info.remote ?? join(path, 'rootfs');
  if (await app.files.isDirectory(own)) {
    const tree = { rootfs: own, place: info.remote ?? join(place, 'rootfs') };
    return { plan: (leaving) => planOwned(app, tree, info, leaving), discard };
  }
  const staged = await stageTree(app, name, info);
  const rootfs = join(staged.path, 'rootfs');
  return {
    plan: (leaving) => planOwned(app, { rootfs, place: rootfs }, info, leaving),
    discard: () => staged.discard(),
  };
}

async function leaveOutTaken(
  app: App,
  kept: readonly HostFile[],
  leaving: readonly string[],
): ReturnType<HostFilesAgain['plan']> {
  const files: HostFile[] = [];
  const messages: string[] = [];
  for (const file of kept) {
    if (leaving.includes(file.path) || !(await app.files.exists(file.path))) files.push(file);
    else if (file.kind !== 'directory') messages.push(tellTaken(file.path));
  }
  return { files, messages };
}

async function planOwned(
  app: App,
  { rootfs, place }: { readonly rootfs: string; readonly place: string },
  info: ContainerInfo,
  leaving: readonly string[],
): ReturnType<HostFilesAgain['plan']> {
  const tree = { rootfs, place, exports: await readExports(rootfs), values: info.values };
  const { files, skipped } = await planTree(app, tree, leaving);
  const isOwned = ownedBy(info);
  return {
    files: files.filter(isOwned),
    messages: skipped.filter(isOwned).map(({ path }) => tellTaken(path)),
  };
}
