import { mkdtemp, readdir, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { AtomicError, FREE_SPACE_HINT, isAtomicError, systemCodeOf } from '../errors.ts';

/**
 * Carries out a change of systemd's that makes links in a folder of units, and leaves no empty folder when it fails: one
 * that it made for a link is not removed by `systemctl disable` unless the link is there. Where the folder takes nothing
 * any more, the disk is why: systemd says of a link that it could not make that its file does not exist.
 * @throws AtomicError `disk-full`; what `act` throws for any other reason
 */
export async function makingLinks(folder: string, act: () => Promise<unknown>): Promise<void> {
  const before = await linkFolders(folder);
  try {
    await act();
  } catch (error) {
    const full = isAtomicError(error, 'command-failed') && (await isFull(folder));
    const made = (await linkFolders(folder)).filter((name) => !before.includes(name));
    // One that has something in it is somebody else's by now, and stays.
    for (const name of made) await rmdir(join(folder, name)).catch(() => undefined);
    if (!full) throw error;
    throw new AtomicError('disk-full', `systemctl found no space left on the disk of ${folder}`, {
      cause: error,
      details: error.message,
      hint: FREE_SPACE_HINT,
    });
  }
}

/** `multi-user.target.wants` and its like. */
async function linkFolders(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  return names.filter((name) => /\.(?:wants|requires|upholds)$/.test(name));
}

async function isFull(folder: string): Promise<boolean> {
  try {
    await rmdir(await mkdtemp(join(folder, '.atomic-ts-')));
    return false;
  } catch (error) {
    return ['ENOSPC', 'EDQUOT'].includes(systemCodeOf(error) ?? '');
  }
}
