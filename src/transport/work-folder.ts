import { lstat, mkdtemp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describeDiskFull } from '../errors.ts';
import type { Locks } from '../host/ports.ts';
import { isPrivateFolder } from './private-folder.ts';

const PREFIX = '.partial-';
const LOCK = '.lock';
/** Of those whose maker takes their lock at once. */
const LOCKED = '.partial-locked-';

/** A private folder (mode 0700) for what is not finished, in the folder that it goes to: a rename crosses no file system. */
export interface WorkFolder {
  readonly path: string;
  remove(): Promise<void>;
}

/**
 * Makes one, and removes those that dead processes of the same user have left there. Who lives is told by a lock inside,
 * which dies with its process; without locks nothing is removed, nor is the folder by others.
 * @throws AtomicError `disk-full`; the system's error when the folder cannot be written in
 */
export async function makeWorkFolder(parent: string, locks: Locks | undefined): Promise<WorkFolder> {
  const locked = locks && (await makeLocked(parent, locks));
  if (locked !== undefined) return locked;
  const path = await makeUnique(parent, PREFIX);
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

function makeUnique(parent: string, prefix: string): Promise<string> {
  return mkdtemp(join(parent, prefix)).catch((error: unknown) => {
    throw describeDiskFull(error, parent);
  });
}

/** Undefined where there are no locks. */
async function makeLocked(parent: string, locks: Locks): Promise<WorkFolder | undefined> {
  const path = await makeUnique(parent, LOCKED);
  const owner = (await lstat(path).catch(() => undefined))?.uid;
  const lock = await locks.acquire(lockOf(path)).catch(() => undefined);
  // Whoever cleaned up before we had the lock has taken it for abandoned; the lock then made another one.
  if (lock === undefined || owner === undefined || !(await isPrivateFolder(path, owner))) {
    await lock?.release();
    await rm(path, { recursive: true, force: true });
    return undefined;
  }
  await removeAbandoned(parent, owner, locks, path);
  return {
    path,
    async remove() {
      // Somebody may try the lock when it is gone already, and so make it once more.
      await rm(path, { recursive: true, force: true, maxRetries: 5 });
      await lock.release();
    },
  };
}

async function removeAbandoned(parent: string, owner: number, locks: Locks, own: string): Promise<void> {
  const names = await readdir(parent).catch(() => []);
  for (const name of names) {
    const path = join(parent, name);
    if (!name.startsWith(LOCKED) || path === own) continue;
    // What somebody else has put there is not opened.
    if (!(await isPrivateFolder(path, owner))) continue;
    const lock = await locks.acquire(lockOf(path)).catch(() => undefined);
    if (lock === undefined) continue;
    await rm(path, { recursive: true, force: true }).catch(() => undefined);
    await lock.release();
  }
}

function lockOf(folder: string) {
  return {
    path: join(folder, LOCK),
    mode: 'exclusive',
    purpose: `write in ${folder}`,
    waitMs: 0,
    passing: true,
  } as const;
}
