import { AtomicError } from '../../errors.ts';
import { NAME_BYTES, PATH_BYTES } from '../../limits.ts';
import { isStorable, storedPath } from './stored-name.ts';

const WHITEOUT = '.wh.';
const KERNEL_LIMIT =
  'That is the limit of Linux itself, which no option raises: shorten the name in the image.';
/** An empty, `.` or `..` component anywhere, or a leading or trailing slash. */
const UNCLEAN = /(?:^|\/)\.{0,2}(?:\/|$)/;

/**
 * A layer's path as a clean relative one: no leading slash, no `.`, no `..` (which stops at the root, as in a chroot).
 * The root itself is the empty string. Latin1 in, latin1 out; names that are not UTF-8 come out as they are stored.
 * @throws AtomicError `layer-invalid`, `limit-exceeded`; `unsupported` for a name whose stored form is too long
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
  return isStorable(clean) ? clean : storeOrRefuse(clean, what);
}

function storeOrRefuse(path: string, what: string): string {
  const stored = storedPath(path);
  if (!hasLongName(stored)) return stored;
  throw new AtomicError(
    'unsupported',
    `${what} has the file name ${JSON.stringify(path)}, which is not UTF-8 and too long to be stored`,
    { hint: 'ostree stores UTF-8 names only: rename the file in the image, or shorten its name.' },
  );
}

function resolveDots(path: string): string {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts.join('/');
}

/** What a whiteout takes away may have as long a name as any file. */
function hasLongName(path: string): boolean {
  const parts = path.split('/');
  const base = parts.pop() ?? '';
  const name = base.startsWith(WHITEOUT) ? base.slice(WHITEOUT.length) : base;
  return [...parts, name].some((part) => part.length > NAME_BYTES);
}

function checkBytes(path: string, what: string): void {
  if (path.length > NAME_BYTES && hasLongName(path)) {
    throw new AtomicError('layer-invalid', `${what} has a file name of more than ${NAME_BYTES} bytes`, {
      hint: KERNEL_LIMIT,
    });
  }
  if (path.includes('\0')) throw new AtomicError('layer-invalid', `${what} has a path with a NUL byte`);
}

/** The parent of a clean path; the root's is the root. */
export function parentOf(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash === -1 ? '' : path.slice(0, slash);
}

export function baseOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** The path of an entry of a folder; both clean. */
export function joinPath(directory: string, name: string): string {
  return directory === '' ? name : `${directory}/${name}`;
}
