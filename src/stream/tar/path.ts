import { isUtf8 } from 'node:buffer';
import { AtomicError } from '../../errors.ts';
import { NAME_BYTES, PATH_BYTES } from '../../limits.ts';

const KERNEL_LIMIT =
  'That is the limit of Linux itself, which no option raises: shorten the name in the image.';
/** An empty, `.` or `..` component anywhere, or a leading or trailing slash. */
const UNCLEAN = /(?:^|\/)\.{0,2}(?:\/|$)/;

/**
 * A layer's path as a clean relative one: no leading slash, no `.`, no `..` (which stops at the root, as in a chroot).
 * The root itself is the empty string. Latin1 in, latin1 out.
 * @throws AtomicError `layer-invalid`, `limit-exceeded`
 */
export function cleanPath(path: string, what: string): string {
  if (path.length > PATH_BYTES) {
    throw new AtomicError(
      'limit-exceeded',
      `${what} has a path of ${path.length} bytes; Linux stops at ${PATH_BYTES}`,
      { hint: KERNEL_LIMIT },
    );
  }
  const trimmed = path.startsWith('./') ? path.slice(2) : path;
  const bare = trimmed.endsWith('/') ? trimmed.slice(0, -1) : trimmed;
  const clean = UNCLEAN.test(bare) ? resolveDots(bare) : bare;
  checkBytes(clean, what);
  return clean;
}

function resolveDots(path: string): string {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts.join('/');
}

function checkBytes(path: string, what: string): void {
  if (path.length > NAME_BYTES && path.split('/').some((part) => part.length > NAME_BYTES)) {
    throw new AtomicError('layer-invalid', `${what} has a file name of more than ${NAME_BYTES} bytes`, {
      hint: KERNEL_LIMIT,
    });
  }
  if (path.includes('\0')) throw new AtomicError('layer-invalid', `${what} has a path with a NUL byte`);
  if (/[\x80-\xff]/.test(path) && !isUtf8(Buffer.from(path, 'latin1'))) {
    throw new AtomicError(
      'unsupported',
      `${what} has the file name ${JSON.stringify(path)}, which is not UTF-8`,
      {
        hint: 'ostree stores UTF-8 names only: rename the file in the image.',
      },
    );
  }
}

/** The parent of a clean path; the root's is the root. */
export function parentOf(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash === -1 ? '' : path.slice(0, slash);
}

export function baseOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
