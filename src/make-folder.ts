import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { describeDiskFull, systemCodeOf } from './errors.ts';

/**
 * Makes a folder and those above it that are missing; false when it was there. Not node's `recursive`: on a full disk
 * that tells ENOENT, because it looks for the folder that it could not make.
 * @throws AtomicError `disk-full`; the system's error for anything else
 */
export async function makeFolder(path: string, mode = 0o777): Promise<boolean> {
  try {
    await mkdir(path, mode);
    return true;
  } catch (error) {
    const code = systemCodeOf(error);
    if (code === 'EEXIST' && (await stat(path)).isDirectory()) return false;
    if (code !== 'ENOENT' || dirname(path) === path) throw describeDiskFull(error, path);
  }
  await makeFolder(dirname(path), mode);
  return makeFolder(path, mode);
}
