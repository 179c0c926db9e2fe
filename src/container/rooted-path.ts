/**
 * Reading inside a foreign root file system without ever leaving it: every symlink is followed as a process that was
 * chrooted into it would follow it. The root must not change meanwhile; a checkout of ours does not.
 */
import { constants } from 'node:fs';
import { lstat, open } from 'node:fs/promises';
import { join } from 'node:path';
import { AtomicError, type ErrorCode } from '../errors.ts';
import { limitExceeded, limitOf, type Cap } from '../limits.ts';
import { findInTree } from '../tree/resolve.ts';

/**
 * The host's path of what `path` is inside `root`, free of symlinks below `root`; undefined when nothing is there, a link
 * dangles or loops. `..` stops at the root, absolute targets start there.
 */
export function resolveInRoot(root: string, path: string): string | undefined {
  const inside = findInTree(root, path);
  return inside === undefined ? undefined : join(root, inside);
}

/**
 * A regular file's bytes inside `root`; undefined when there is none.
 * @param code of the error when it is something else than a regular file.
 * @throws AtomicError with `code`, or `limit-exceeded`
 */
export async function readInRoot(
  root: string,
  path: string,
  cap: Cap,
  code: ErrorCode,
): Promise<Uint8Array | undefined> {
  const real = resolveInRoot(root, path);
  if (real === undefined) return undefined;
  // Opening a device can have effects and opening a FIFO waits: look first, and never follow a link that came since.
  if (!(await lstat(real)).isFile()) {
    throw new AtomicError(code, `${path} in the image is not a regular file`);
  }
  const file = await open(real, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const { size } = await file.stat();
    const limit = limitOf(cap);
    if (size > limit) {
      throw limitExceeded(cap, `${path} in the image has ${size} bytes; the limit is ${limit} bytes`, size);
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
