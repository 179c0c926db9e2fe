/**
 * Names that ostree cannot hold. Its trees are UTF-8 text; a name on Linux is bytes. Such a name is stored under another
 * one that tells its bytes, and gets them back when the whole image is checked out: see store/restore-names.ts.
 *
 * The stored name is PREFIX and the bytes, each as the character of its number (Latin-1), in UTF-8. A name that itself
 * begins with PREFIX is stored that way as well, so that no image can pass one of its own names off as another.
 * What follows `.wh.` is a name of its own: a whiteout's file is told by its first four characters.
 *
 * Text is latin1, one character a byte, as in header.ts.
 */
import { isUtf8 } from 'node:buffer';

const PREFIX = '.atomic-ts-name.';
const WHITEOUT = '.wh.';

/** Whether every name in a path can be stored as it is. */
export function isStorable(path: string): boolean {
  return !(/[\x80-\xff]/.test(path) && !isUtf8(Buffer.from(path, 'latin1'))) && !path.includes(PREFIX);
}

/** Whether a stored path or target may have a name in it that stands for another one. */
export function hasStoredName(stored: string): boolean {
  return stored.includes(PREFIX);
}

/** The name under which one component of a path is stored. */
export function storedName(name: string): string {
  if (name.startsWith(WHITEOUT)) return WHITEOUT + storedName(name.slice(WHITEOUT.length));
  if (!name.startsWith(PREFIX) && isUtf8(Buffer.from(name, 'latin1'))) return name;
  return PREFIX + Buffer.from(name, 'utf8').toString('latin1');
}

/** A path or a symlink's target with all of its components as they are stored. */
export function storedPath(path: string): string {
  return isStorable(path) ? path : path.split('/').map(storedName).join('/');
}

/** The name that a stored one stands for; what `storedName` does not make stands for itself. */
export function rawName(stored: string): string {
  if (stored.startsWith(WHITEOUT)) return WHITEOUT + rawName(stored.slice(WHITEOUT.length));
  if (!stored.startsWith(PREFIX)) return stored;
  const name = Buffer.from(stored.slice(PREFIX.length), 'latin1').toString('utf8');
  return /^[\u0001-\u002e\u0030-\u00ff]*$/.test(name) && storedName(name) === stored ? name : stored;
}

/** A stored path or symlink's target with the names that its components stand for. */
export function rawPath(stored: string): string {
  return hasStoredName(stored) ? stored.split('/').map(rawName).join('/') : stored;
}
