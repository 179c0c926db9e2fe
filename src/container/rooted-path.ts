/**
 * Reading inside a foreign root file system without ever leaving it: every symlink is followed as a process that was
 * chrooted into it would follow it. The root must not change meanwhile; a checkout of ours does not.
 */
import { constants, type Stats } from 'node:fs';
import { lstat, open, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { AtomicError, systemCodeOf, type ErrorCode } from '../errors.ts';
import { PATH_BYTES } from '../limits.ts';

/** As many as Linux follows for one path. */
const LINKS = 40;
const ABSENT: ReadonlySet<string | undefined> = new Set(['ENOENT', 'ENOTDIR', 'ENAMETOOLONG', 'EINVAL']);

/**
 * The host's path of what `path` is inside `root`, free of symlinks below `root`; undefined when nothing is there, a link
 * dangles or loops. `..` stops at the root, absolute targets start there.
 */
export async function resolveInRoot(root: string, path: string): Promise<string | undefined> {
  const pending = path.split('/').reverse();
  const found: string[] = [];
  let links = 0;
  while (pending.length > 0) {
    const part = pending.pop() ?? '';
    if (part === '..') found.pop();
    if (part === '' || part === '.' || part === '..') continue;
    const here = join(root, ...found, part);
    const stats = await lstatOrAbsent(here);
    if (stats === undefined) return undefined;
    if (!stats.isSymbolicLink()) {
      if (!stats.isDirectory() && pending.length > 0) return undefined;
      found.push(part);
      continue;
    }
    const target = await readlink(here);
    links += 1;
    if (links > LINKS || target.length > PATH_BYTES) return undefined;
    if (target.startsWith('/')) found.length = 0;
    pending.push(...target.split('/').reverse());
  }
  return join(root, ...found);
}

/**
 * A regular file's bytes inside `root`; undefined when there is none.
 * @param limit bytes; a larger file is refused.
 * @param code of the error when it is something else than a regular file.
 * @throws AtomicError with `code`, or `limit-exceeded`
 */
export async function readInRoot(
  root: string,
  path: string,
  limit: number,
  code: ErrorCode,
): Promise<Uint8Array | undefined> {
  const real = await resolveInRoot(root, path);
  if (real === undefined) return undefined;
  // Opening a device can have effects and opening a FIFO waits: look first, and never follow a link that came since.
  if (!(await lstat(real)).isFile()) {
    throw new AtomicError(code, `${path} in the image is not a regular file`);
  }
  const file = await open(real, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const { size } = await file.stat();
    if (size > limit) {
      throw new AtomicError(
        'limit-exceeded',
        `${path} in the image has ${size} bytes; the limit is ${limit} bytes`,
      );
    }
    const bytes = Buffer.alloc(size);
    let length = 0;
    while (length < size) {
      const { bytesRead } = await file.read(bytes, length, size - length, length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    return bytes.subarray(0, length);
  } finally {
    await file.close();
  }
}

async function lstatOrAbsent(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (ABSENT.has(systemCodeOf(error))) return undefined;
    throw error;
  }
}
