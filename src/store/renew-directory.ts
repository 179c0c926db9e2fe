import { mkdtemp, readdir, rename, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Exec } from '../host/ports.ts';

export interface DirectoryToRenew {
  /** The layer that has the last word on the folder, and the folder's path in it. */
  readonly commit: string;
  readonly from: string;
  /** Absolute path in the tree that is checked out. */
  readonly place: string;
}

/**
 * Gives a folder of the tree the mode, owner and xattrs that a layer has for it, and no others. ostree leaves the xattrs
 * of a folder that is there as they are, and node cannot set any: a fresh checkout of the folder takes its place, with
 * what is in the tree's.
 * @param scratch a folder on the repo's file system
 * @throws AtomicError `disk-full`, `command-failed`
 */
export async function renewDirectory(
  exec: Exec,
  repository: string,
  { commit, from, place }: DirectoryToRenew,
  scratch: string,
): Promise<void> {
  const folder = await mkdtemp(join(scratch, 'folder-'));
  try {
    const fresh = join(folder, 'fresh');
    await exec.run('ostree', [
      `--repo=${repository}`,
      'checkout',
      '--require-hardlinks',
      '--fsync=false',
      `--subpath=/${from}`,
      commit,
      fresh,
    ]);
    for (const name of await readdir(fresh)) await rm(join(fresh, name), { recursive: true, force: true });
    for (const name of await readdir(place)) await rename(join(place, name), join(fresh, name));
    await rmdir(place);
    await rename(fresh, place);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
