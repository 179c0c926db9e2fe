import { randomBytes } from 'node:crypto';
import { link, open, rename, rm, symlink } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { AtomicError, systemCodeOf } from '../../errors.ts';
import type { WriteOptions } from '../ports.ts';
import { fileError } from './file-error.ts';

/** Makes a file beside `path` and renames it, so that readers see the old one or the new one. */
async function makeBeside(path: string, make: (temporary: string) => Promise<void>): Promise<void> {
  const name = `.${basename(path).slice(0, 32)}.${randomBytes(6).toString('hex')}.atomic-new`;
  const temporary = `${dirname(path)}/${name}`;
  try {
    await make(temporary);
    await rename(temporary, path);
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
  { fsync = true }: WriteOptions = {},
): Promise<void> {
  try {
    await makeBeside(path, (temporary) => writeNew(temporary, content, mode, fsync));
  } catch (error) {
    throw fileError(error, `write ${path}`);
  }
  if (fsync) await syncDirectory(dirname(path));
}

export async function createFile(path: string, content: string | Uint8Array, mode: number): Promise<void> {
  try {
    await writeNew(path, content, mode, true);
  } catch (error) {
    if (systemCodeOf(error) === 'EEXIST') throw alreadyExists(path, error);
    throw fileError(error, `write ${path}`);
  }
}

async function writeNew(
  path: string,
  content: string | Uint8Array,
  mode: number,
  fsync: boolean,
): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(content);
    await file.chmod(mode);
    if (fsync) await file.sync();
  } finally {
    await file.close();
  }
}

/** link(2) follows no link: the second name of a symbolic link is that link. */
export async function linkFile(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if (systemCodeOf(error) === 'EEXIST') throw alreadyExists(to, error);
    throw fileError(error, `link ${from} to ${to}`);
  }
}

export async function createSymlink(path: string, target: string): Promise<void> {
  try {
    await symlink(target, path);
  } catch (error) {
    if (systemCodeOf(error) === 'EEXIST') throw alreadyExists(path, error);
    throw fileError(error, `link ${path} to ${target}`);
  }
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
