/** Puts right what was left half done: open journals first, then what dead processes have left lying about. */
import { isAtomicError, type AtomicError } from '../errors.ts';
import type { ContainerName } from '../container/name.ts';
import { listOstreeStaging, listUnfinishedIndexes } from '../store/collect-garbage.ts';
import { requireRoot } from './change.ts';
import { findContainer, notInstalled } from './containers.ts';
import type { App } from './context.ts';
import { stagingFolder, trashFolder } from './layout.ts';
import { refusePreinstalled } from './preinstalled.ts';
import { endDeadMounts } from './mount/dead-mounts.ts';
import { endImports } from './sync-imports.ts';
import { listExcess } from './partial-layers.ts';
import {
  listJournals,
  listOwnersOfLeftovers,
  recover,
  removeLeftovers,
  withFreeLock,
  type Recovered,
  type Subject,
} from './recover.ts';

export interface RepairOutcome {
  readonly repaired: readonly Recovered[];
  /** Refs of what an import wrote before this host lost its power: taken back, to be pulled again. */
  readonly lost: readonly string[];
  /** Paths of what is gone. */
  readonly removed: readonly string[];
  /** What a living process is at, with the sentence that names it. */
  readonly busy: readonly { readonly subject: Subject; readonly message: string }[];
  readonly failed: readonly { readonly subject: Subject; readonly error: AtomicError }[];
}

/** An outcome in the making. */
type Findings = { readonly [K in keyof RepairOutcome]: RepairOutcome[K][number][] };

/**
 * Repairs one container, or all of them and the image store. What cannot be repaired keeps nothing else from it.
 * @throws AtomicError `not-root`; `container-not-found` for a name of which there is nothing on this host
 */
export async function repair(app: App, only: ContainerName | undefined): Promise<RepairOutcome> {
  requireRoot(app, 'repair system containers');
  const found: Findings = { repaired: [], lost: [], removed: [], busy: [], failed: [] };
  const subjects = new Set([...(await listJournals(app)), ...(await listOwnersOfLeftovers(app))]);
  if (only !== undefined && !subjects.has(only) && (await findContainer(app, only)) === undefined) {
    await refusePreinstalled(app, 'repair', only);
    throw notInstalled(only);
  }
  for (const name of subjects) {
    if (name === undefined || (only !== undefined && name !== only)) continue;
    await repairLocked(app, found, name, () => repairContainer(app, name, found));
  }
  if (only === undefined && (subjects.has(undefined) || (await listStoreLeftovers(app)).length > 0)) {
    await repairLocked(app, found, undefined, () => repairStore(app, found));
  }
  if (only === undefined) await repairMounts(app, found);
  return found;
}

/** Mounts have a lock of their own, and belong to nobody's changes. */
async function repairMounts(app: App, found: Findings): Promise<void> {
  await gather(app, found, undefined, async () => {
    const { removed, failed } = await endDeadMounts(app, app.lockWaitMs);
    found.removed.push(...removed);
    found.failed.push(...failed.map((error) => ({ subject: undefined, error })));
  });
}

/** Repairs what no living process is at; an error is one of the findings. */
function repairLocked(app: App, found: Findings, subject: Subject, work: () => Promise<void>): Promise<void> {
  return gather(app, found, subject, () => withFreeLock(app, subject, work, app.lockWaitMs));
}

async function gather(app: App, found: Findings, subject: Subject, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!isAtomicError(error) || app.signal.aborted) throw error;
    if (error.code === 'busy') found.busy.push({ subject, message: error.message });
    else found.failed.push({ subject, error });
  }
}

/**
 * The caller holds the container's lock. Once nothing of it is open any more, and nothing lies about, is the time to
 * judge whether the container is as it was recorded.
 */
async function repairContainer(app: App, name: ContainerName, found: Findings): Promise<void> {
  const recovered = await recover(app, name);
  if (recovered !== undefined) found.repaired.push(recovered);
  for (const folder of [stagingFolder(app), trashFolder(app)]) {
    found.removed.push(...(await removeLeftovers(app, name, folder)));
  }
}

/** The caller holds the store alone, so no import of ours goes on, nor a program of one that died. */
async function repairStore(app: App, found: Findings): Promise<void> {
  const recovered = await recover(app, undefined);
  if (recovered !== undefined) found.repaired.push(recovered);
  found.lost.push(...(await endImports(app)));
  for (const leftover of await listStoreLeftovers(app)) {
    for (const path of leftover) await app.files.removeTree(path);
    found.removed.push(...leftover.slice(0, 1));
  }
}

/**
 * What imports that died have left in the repo, and halves of layers that are kept no longer: paths that go together. Programs that are not ours may be at it as well;
 * what one of them has open stays, and a repo that is not below the checkouts (the system's, as a rule) is left to
 * libostree, which does the same in time.
 */
async function listStoreLeftovers(app: App): Promise<string[][]> {
  const { repository, checkouts } = app.paths;
  const leftovers = (await listUnfinishedIndexes(repository)).map((path) => [path]);
  leftovers.push(...(await listExcess(app)).map(({ path }) => [path]));
  if (!repository.startsWith(`${checkouts}/`)) return leftovers;
  for (const { folder, lock } of await listOstreeStaging(repository)) {
    if (!(await app.files.isOpen(lock))) leftovers.push([folder, lock]);
  }
  return leftovers;
}
