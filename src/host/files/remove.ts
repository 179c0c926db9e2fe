import { realpath, rmdir, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { AtomicError, systemCodeOf } from '../../errors.ts';
import type { Exec } from '../ports.ts';
import { fileError } from './file-error.ts';
import { listMounts } from './mounts.ts';

/** Removes a file, a link or an empty folder. */
export async function removeEntry(path: string): Promise<boolean> {
  try {
    await unlink(path);
    return true;
  } catch (error) {
    const code = systemCodeOf(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return false;
    if (code !== 'EISDIR' && code !== 'EPERM') throw fileError(error, `remove ${path}`);
  }
  try {
    await rmdir(path);
    return true;
  } catch (error) {
    if (systemCodeOf(error) === 'ENOTEMPTY') return false;
    throw fileError(error, `remove ${path}`);
  }
}

/**
 * Removes a tree with rm(1), which walks by descriptors and so follows no link, not even one that is put there
 * meanwhile. A mount in the tree is refused first: rm would empty what is mounted.
 */
export async function removeTree(exec: Exec, path: string): Promise<void> {
  const mounted = await mountWithin(path);
  if (mounted !== undefined) {
    throw new AtomicError('busy', `Cannot remove ${path}: something is mounted on ${mounted}`, {
      hint: `Unmount it first: umount ${mounted}`,
    });
  }
  await exec.run('rm', ['-rf', '--one-file-system', '--', path]);
}

/** A mount point at or below a path. */
async function mountWithin(path: string): Promise<string | undefined> {
  const root = join(await realpath(dirname(path)).catch(() => dirname(path)), basename(path));
  const places = (await listMounts()).map(({ place }) => place);
  return places.find((place) => place === root || place.startsWith(`${root}/`));
}
