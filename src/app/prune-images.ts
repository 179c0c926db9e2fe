/** Makes room: deployments that belong to no container, layers and configs that belong to no image, halves of layers. */
import { join } from 'node:path';
import { isAtomicError } from '../errors.ts';
import { isContainerName, type ContainerName } from '../container/name.ts';
import type { Step } from '../transaction/plan.ts';
import { readReferredBlobs } from '../store/referred-blobs.ts';
import { isBlobRef } from '../store/names.ts';
import { carryOut, requireRoot, withContainerLock } from './change.ts';
import type { App } from './context.ts';
import { failedFolder, linkPath, trashPath, unitPath } from './layout.ts';
import { removeRef } from './change-refs.ts';
import { listPartialLayers } from './partial-layers.ts';
import { listTenants } from './remote-rootfs.ts';
import { withStoreAlone } from './store-lock.ts';

export interface PruneOutcome {
  /** Folders of deployments that went, or would. */
  readonly deployments: readonly string[];
  /** Refs of layers and configs that did. */
  readonly refs: readonly string[];
  /** Paths of layers that pulls which failed have left half. */
  readonly partial: readonly string[];
}

interface Dangling {
  readonly name: ContainerName;
  readonly path: string;
  /** How it is called in the trash. */
  readonly what: string;
}

/**
 * Prunes. What any image refers to stays, and what another process has just fetched: it shares the store until its image
 * is checked out.
 * @throws AtomicError `not-root`, `busy`; `store-invalid` for an image that cannot be read: its layers would be taken
 * for nobody's
 */
export async function pruneImages(app: App, dryRun: boolean): Promise<PruneOutcome> {
  requireRoot(app, 'prune the image store');
  const deployments: string[] = [];
  for (const dangling of await listDangling(app)) {
    if (dryRun || (await removeDangling(app, dangling))) deployments.push(dangling.path);
  }
  if (!(await app.store.repository.exists())) return { deployments, refs: [], partial: [] };
  return withStoreAlone(app, 'prune the image store', async () => ({
    deployments,
    refs: await pruneRefs(app, dryRun),
    partial: await prunePartialLayers(app, dryRun),
  }));
}

/** The caller holds the store alone, so nobody is at them. */
async function prunePartialLayers(app: App, dryRun: boolean): Promise<readonly string[]> {
  const paths = await listPartialLayers(app);
  for (const path of dryRun ? [] : paths) {
    app.report({ event: 'step', text: `Deleting ${path}` });
    await app.files.remove(path);
  }
  return paths;
}

/** The caller holds the store alone. */
async function pruneRefs(app: App, dryRun: boolean): Promise<readonly string[]> {
  const { repository } = app.store;
  const referred = await readReferredBlobs(repository);
  const refs = (await repository.listRefs()).filter((ref) => isBlobRef(ref) && !referred.has(ref));
  if (dryRun) return refs;
  const removals = refs.map((ref, i) => removeRef(app, ref, i));
  await carryOut(app, {
    action: 'prune of the image store',
    container: undefined,
    steps: [...removals, { kind: 'collect-garbage', repository: repository.path }],
  });
  return refs;
}

/** Deployments without the container's link, and failed ones that were kept of a container that is gone since. */
async function listDangling(app: App): Promise<Dangling[]> {
  const dangling: Dangling[] = [];
  const { checkouts } = app.paths;
  for (const entry of await app.files.list(checkouts)) {
    const [, name = '', slot] = /^(.+)\.([01])$/.exec(entry) ?? [];
    const path = join(checkouts, entry);
    if (!isContainerName(name) || !(await isDeployment(app, path))) continue;
    dangling.push({ name, path, what: `deployment-${slot}` });
  }
  for (const name of await app.files.list(failedFolder(app))) {
    if (isContainerName(name)) dangling.push({ name, path: join(failedFolder(app), name), what: 'failed' });
  }
  const ownerless: Dangling[] = [];
  for (const item of dangling) if (await isOwnerless(app, item)) ownerless.push(item);
  return ownerless;
}

/** A folder with a root file system or our record in it; `a.0` may also be the link of a container of that name. */
async function isDeployment(app: App, path: string): Promise<boolean> {
  if ((await app.files.readLink(path)) !== undefined) return false;
  return (await app.files.exists(join(path, 'info'))) || (await app.files.exists(join(path, 'rootfs')));
}

/** A unit may run what its link no longer leads to. */
async function isOwnerless(app: App, { name, path }: Dangling): Promise<boolean> {
  if (await app.files.exists(linkPath(app, name))) return false;
  const [tenant] = await listTenants(app, [path]);
  if (tenant !== undefined) {
    const text = `${path} stays: the container ${tenant.name} has its root file system there`;
    app.report({ event: 'notice', text });
    return false;
  }
  const unit = unitPath(app, name);
  if (!(await app.files.exists(unit))) return true;
  app.report({
    event: 'notice',
    text: `${path} stays: no container ${name} is installed, but ${unit} is there`,
  });
  return false;
}

/** @returns whether it is gone; it may have found an owner, or somebody may be at it */
async function removeDangling(app: App, dangling: Dangling): Promise<boolean> {
  const { name, path, what } = dangling;
  try {
    return await withContainerLock({ ...app, lockWaitMs: 0 }, name, async () => {
      if (!(await app.files.exists(path)) || !(await isOwnerless(app, dangling))) return false;
      app.report({ event: 'step', text: `Deleting ${path}` });
      const steps: Step[] = [{ kind: 'set-aside', path, to: trashPath(app, name, what) }];
      await carryOut(app, { action: 'prune', container: name, steps });
      return true;
    });
  } catch (error) {
    if (!isAtomicError(error, 'busy')) throw error;
    app.report({ event: 'notice', text: `${path} stays: ${error.message}` });
    return false;
  }
}
