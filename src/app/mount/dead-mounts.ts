/** The end of mounts that died with their process, or that somebody else has unmounted: what was kept for them goes. */
import { AtomicError, isAtomicError, messageOf } from '../../errors.ts';
import type { LockRequest } from '../../host/ports.ts';
import type { App } from '../context.ts';
import { mountsLockPath } from '../layout.ts';
import {
  isMountOf,
  isStillMounted,
  listMountFolders,
  topMount,
  type Mount,
  type MountFolder,
} from './mount-record.ts';

/** One at a time mounts, unmounts and cleans up: so whatever is half done under the lock is a dead process's. */
function lockOfMounts(app: App, purpose: string): Omit<LockRequest, 'waitMs'> {
  return { path: mountsLockPath(app), mode: 'exclusive', purpose, signal: app.signal };
}

/**
 * Holds the lock of all mounts while `work` runs, after the end of what died.
 * @throws AtomicError `busy`
 */
export async function withMountsLock<T>(app: App, purpose: string, work: () => Promise<T>): Promise<T> {
  const lock = await app.locks.acquire({ ...lockOfMounts(app, purpose), waitMs: app.lockWaitMs });
  try {
    tell(app, await endDead(app));
    return await work();
  } finally {
    await lock.release();
  }
}

export interface EndedMounts {
  /** Their folders, which are gone. */
  readonly removed: readonly string[];
  /** Why others are not. */
  readonly failed: readonly AtomicError[];
}

/**
 * Ends mounts that died, without waiting for anybody. Costs a look at the mount table where something is mounted, and
 * nothing where nothing is.
 * @param orphanWaitMs how long children are waited for that outlive a dead process
 * @throws AtomicError `busy` when a living process is at it
 */
export async function endDeadMounts(app: App, orphanWaitMs = 0): Promise<EndedMounts> {
  if ((await findDead(app)).length === 0) return { removed: [], failed: [] };
  const lock = await app.locks.acquire({ ...lockOfMounts(app, 'repair mounts'), waitMs: 0, orphanWaitMs });
  try {
    return await endDead(app);
  } finally {
    await lock.release();
  }
}

/** The same for a command that is about something else: what cannot be ended is told of and does not keep it. */
export async function endDeadMountsQuietly(app: App): Promise<void> {
  try {
    tell(app, await endDeadMounts(app));
  } catch (error) {
    if (!isAtomicError(error, 'busy')) throw error;
  }
}

function tell(app: App, { failed }: EndedMounts): void {
  for (const { message } of failed)
    app.report({ event: 'warning', text: `${message} (atomic-ts repair tells more)` });
}

/** The caller holds the lock. */
async function endDead(app: App): Promise<EndedMounts> {
  const removed: string[] = [];
  const failed: AtomicError[] = [];
  for (const { folder, mount, error } of await findDead(app)) {
    try {
      if (error !== undefined) throw error;
      await takeBack(app, folder, mount);
      removed.push(folder);
    } catch (trouble) {
      if (!isAtomicError(trouble) || app.signal.aborted) throw trouble;
      failed.push(trouble);
    }
  }
  return { removed, failed };
}

async function findDead(app: App): Promise<MountFolder[]> {
  const all = await listMountFolders(app);
  if (all.length === 0) return [];
  const table = await app.files.mounts();
  const dead: MountFolder[] = [];
  for (const item of all) {
    const { mount } = item;
    if (mount?.state !== 'mounted' || !(await isStillMounted(app, mount, table))) dead.push(item);
  }
  return dead;
}

/**
 * Unmounts what there is of a mount, and removes what was kept for it. May be cut off anywhere and called again.
 * @throws AtomicError `busy` when it is in use
 */
export async function takeBack(app: App, folder: string, mount: Mount | undefined): Promise<void> {
  const table = await app.files.mounts();
  if (mount !== undefined && (await isMountOf(app, mount, topMount(table, mount.directory))))
    await unmountAll(app, mount.directory);
  const inside = table.map(({ place }) => place).filter((place) => place.startsWith(`${folder}/`));
  // Those on top of others, and those in others, come later in the table.
  for (const place of inside.toReversed()) await app.exec.run('umount', ['--', place]);
  await app.files.removeTree(folder);
}

/**
 * Unmounts what is on top at a place, and what is mounted in it.
 * @throws AtomicError `busy` when it is in use, `command-failed`
 */
async function unmountAll(app: App, directory: string): Promise<void> {
  try {
    await app.exec.run('umount', ['--recursive', '--', directory]);
  } catch (error) {
    if (!isAtomicError(error, 'command-failed') || !/busy/.test(messageOf(error))) throw error;
    throw new AtomicError(
      'busy',
      `Cannot unmount ${directory}: a process is in it, or has a file of it open`,
      {
        cause: error,
        hint: `fuser -vm ${directory} tells which; end it, or have it leave, and try again.`,
      },
    );
  }
}
