import { lstat, mkdir } from 'node:fs/promises';
import { systemCodeOf } from '../errors.ts';

/** Makes a folder that only we may look into; false when something else is there, or somebody else's. */
export async function makePrivateFolder(path: string, owner: number): Promise<boolean> {
  try {
    await mkdir(path, 0o700);
    return true;
  } catch (error) {
    return systemCodeOf(error) === 'EEXIST' && isPrivateFolder(path, owner);
  }
}

/** Whether a folder, and no link to one, is there, and nobody else can put anything into it. */
export async function isPrivateFolder(path: string, owner: number): Promise<boolean> {
  const stats = await lstat(path).catch(() => undefined);
  return stats?.isDirectory() === true && stats.uid === owner && (stats.mode & 0o077) === 0;
}
