import { mkdtemp, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { AtomicError, FREE_SPACE_HINT, isAtomicError, systemCodeOf } from '../errors.ts';

/**
 * Carries out a change of systemd's that makes links in a folder. When it fails and the folder takes nothing, the disk
 * is why: systemd says of a link that it could not make that its file does not exist.
 * @throws AtomicError `disk-full`; what `act` throws for any other reason
 */
export async function tellingFullDisk(folder: string, act: () => Promise<unknown>): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (!isAtomicError(error, 'command-failed') || !(await isFull(folder))) throw error;
    throw new AtomicError('disk-full', `systemctl found no space left on the disk of ${folder}`, {
      cause: error,
      details: error.message,
      hint: FREE_SPACE_HINT,
    });
  }
}

async function isFull(folder: string): Promise<boolean> {
  try {
    await rmdir(await mkdtemp(join(folder, '.atomic-ts-')));
    return false;
  } catch (error) {
    return ['ENOSPC', 'EDQUOT'].includes(systemCodeOf(error) ?? '');
  }
}
