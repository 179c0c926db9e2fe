import { randomBytes } from 'node:crypto';
import { link, open, rename, rm, symlink } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { AtomicError, systemCodeOf } from '../../errors.ts';
import type { WriteOptions } from '../ports.ts';
import { fileError } from './file-error.ts';

/**
 * Makes something beside `path` and then puts it there in one step: `place` renames or links. systemd and tmpfiles.d
 * read neither dot files nor this ending; one that is left over (a kill between two calls) may be deleted.
 */
export async function makeBeside(
  path: string,
  make: (temporary: string) => Promise<void>,
  place: (temporary: string, path: string) => Promise<void>,
): Promise<void> {
  const name = `.${basename(path).slice(0, 32)}.${randomBytes(6).toString('hex')}.atomic-new`;
  const temporary = `${dirname(path)}/${name}`;
  try {
    await make(temporary);
    await place(temporary, path);
  } finally {
    await rm(temporary, { force: true });
  }
}

/** Of something that has to be the first at its path. */
export function alreadyExists(path: string, cause: unknown): AtomicError {
  return new AtomicError('file-exists', `The file ${path} already exists.`, { cause });
}

export async function writeFileAtomic(
  path: string,
  content: string | Uint8Array,
  mode: number,
  { exclusive = false, fsync = true }: WriteOptions = {},
): Promise<void> {
  const write = async (temporary: string): Promise<void> => {
    const file = await open(temporary, 'wx', 0o600);
    try {
      await file.writeFile(content);
      await file.chmod(mode);
      if (fsync) await file.sync();
    } finally {
      await file.close();
    }
  };
  try {
    await makeBeside(path, write, exclusive ? link : rename);
  } catch (error) {
    if (exclusive && systemCodeOf(error) === 'EEXIST') throw alreadyExists(path, error);
    throw fileError(error, `write ${path}`);
  }
  if (fsync) await syncDirectory(dirname(path));
}

export async function replaceSymlink(path: string, target: string): Promise<void> {
  try {
    await makeBeside(path, (temporary) => symlink(target, temporary), rename);
  } catch (error) {
    throw fileError(error, `link ${path} to ${target}`);
  }
  await syncDirectory(dirname(path));
}

export async function syncDirectory(path: string): Promise<void> {
  try {
    const folder = await open(path, 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  } catch (error) {
    throw fileError(error, `sync the folder ${path}`);
  }
}
