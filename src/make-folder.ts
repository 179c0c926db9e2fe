import { lstat, mkdir, rmdir, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { describeDiskFull, systemCodeOf } from './errors.ts';

/**
 * Makes a folder and those above it that are missing; false when it was there. Not node's `recursive`: on a full disk
 * that tells ENOENT, because it looks for the folder that it could not make.
 * @throws AtomicError `disk-full`; the system's error for anything else
 */
export async function makeFolder(path: string, mode = 0o777): Promise<boolean> {
  try {
    return await makeOne(path, mode);
  } catch (error) {
    if (systemCodeOf(error) !== 'ENOENT' || dirname(path) === path) throw error;
  }
  await makeFolder(dirname(path), mode);
  // Once: /proc says the same of every name, whatever is above it.
  return makeOne(path, mode);
}

async function makeOne(path: string, mode: number): Promise<boolean> {
  try {
    await mkdir(path, mode);
    return true;
  } catch (error) {
    if (systemCodeOf(error) === 'EEXIST' && (await stat(path)).isDirectory()) return false;
    throw describeDiskFull(error, path);
  }
}

/** A folder that something is to come into. */
export interface NewFolder {
  /** Removes those that were made, as far as they are empty. */
  readonly removeIfEmpty: () => Promise<void>;
}

/**
 * The same for a folder that goes again, with those above it that were made, when nothing comes into it.
 * @param inner folders below it, which go before it when they are empty
 * @throws as `makeFolder`
 */
export async function makeFolderToFill(path: string, inner: readonly string[] = []): Promise<NewFolder> {
  const made: string[] = [];
  for (let at = resolve(path); !(await isThere(at)); at = dirname(at)) made.push(at);
  const removeIfEmpty = async (): Promise<void> => {
    const folders = made.length === 0 ? [] : [...inner.map((name) => join(path, name)), ...made];
    for (const folder of folders) await rmdir(folder).catch(() => undefined);
  };
  try {
    await makeFolder(path);
  } catch (error) {
    await removeIfEmpty();
    throw error;
  }
  return { removeIfEmpty };
}

async function isThere(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    (error: unknown) => systemCodeOf(error) !== 'ENOENT',
  );
}
