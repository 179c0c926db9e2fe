/**
 * Compares a tree on the disk with the one that it was made as. Both are checkouts of hard links, so that two paths
 * with one inode are one file; whether that file is still what its object's name says is for verify-objects.ts.
 *
 * Paths are byte strings (see object-checksum.ts), relative to the tree's root, which is the empty string.
 */
import { lstatSync, readdirSync, readlinkSync, type Stats } from 'node:fs';
import { setImmediate as breathe } from 'node:timers/promises';
import { systemCodeOf } from '../errors.ts';
import { pathBytes } from './object-checksum.ts';

export interface TreeDifference {
  readonly path: string;
  readonly kind: 'added' | 'removed' | 'changed';
  /** Continues the path in a sentence: `mode 0777, was 0755`. */
  readonly found: string;
}

export interface ComparedTrees {
  readonly differences: readonly TreeDifference[];
  /** Files that are two inodes with the same looks: their contents have to be compared. */
  readonly separate: readonly string[];
}

/** Whether an entry that the image does not have is of the runtime's making. */
export type IsExpected = (path: string, stats: Stats, target: string | undefined) => boolean;

/** Folders between two looks for a signal. */
const FOLDERS_AT_ONCE = 200;

/**
 * Goes through both trees; what is below a folder that is added or removed is not told of by itself.
 * @param expected absolute path of the tree as it should be, a byte string
 * @throws system errors; the signal's reason
 */
export async function compareTrees(
  expected: string,
  actual: string,
  isExpected: IsExpected,
  signal: AbortSignal,
): Promise<ComparedTrees> {
  const differences: TreeDifference[] = [];
  const separate: string[] = [];
  const root = compareEntries(lstat(expected), lstat(actual), expected, actual);
  if (root.length > 0) differences.push({ path: '', kind: 'changed', found: root.join('; ') });
  const folders = [''];
  for (let visited = 1; ; visited++) {
    const folder = folders.pop();
    if (folder === undefined) return { differences, separate };
    if (visited % FOLDERS_AT_ONCE === 0) await breathe();
    signal.throwIfAborted();
    const names = new Set([...list(`${expected}/${folder}`), ...list(`${actual}/${folder}`)]);
    for (const name of [...names].sort()) {
      const path = folder === '' ? name : `${folder}/${name}`;
      const was = lstat(`${expected}/${path}`);
      const is = lstat(`${actual}/${path}`);
      if (was === undefined) {
        if (is === undefined) continue;
        const target = is.isSymbolicLink() ? readLink(`${actual}/${path}`) : undefined;
        if (!isExpected(path, is, target)) {
          differences.push({
            path,
            kind: 'added',
            found: `${describeKind(is)} that the image does not have`,
          });
        } else if (is.isDirectory()) folders.push(path);
        continue;
      }
      if (is === undefined) {
        differences.push({ path, kind: 'removed', found: `${describeKind(was)} that is gone` });
        continue;
      }
      const changes = compareEntries(was, is, `${expected}/${path}`, `${actual}/${path}`);
      if (changes.length > 0) differences.push({ path, kind: 'changed', found: changes.join('; ') });
      else if (was.isFile() && !isSameFile(was, is) && was.size > 0) separate.push(path);
      if (was.isDirectory() && is.isDirectory()) folders.push(path);
    }
  }
}

function compareEntries(
  was: Stats | undefined,
  is: Stats | undefined,
  expected: string,
  actual: string,
): string[] {
  return was === undefined || is === undefined
    ? []
    : compareLooks(was, is, expected, actual).map(({ found }) => found);
}

/** One thing that the looks of two entries differ in. */
export interface LooksDifference {
  /** mtree(5)'s words for it. */
  readonly keywords: readonly ('type' | 'uid' | 'gid' | 'link' | 'mode' | 'size')[];
  readonly found: string;
}

/** What the looks of two entries differ in; those of two kinds in nothing else. Paths are absolute byte strings. */
export function compareLooks(was: Stats, is: Stats, expected: string, actual: string): LooksDifference[] {
  if (isSameFile(was, is)) return [];
  if (kindOf(was) !== kindOf(is))
    return [{ keywords: ['type'], found: `${describeKind(is)}, was ${describeKind(was)}` }];
  const changes: LooksDifference[] = [];
  const owners = (['uid', 'gid'] as const).filter((key) => was[key] !== is[key]);
  if (owners.length > 0)
    changes.push({ keywords: owners, found: `owner ${is.uid}:${is.gid}, was ${was.uid}:${was.gid}` });
  if (was.isSymbolicLink()) {
    const [before, now] = [readLink(expected), readLink(actual)];
    if (before !== now)
      changes.push({ keywords: ['link'], found: `points at ${showBytes(now)}, was ${showBytes(before)}` });
  } else if (was.mode !== is.mode)
    changes.push({ keywords: ['mode'], found: `mode ${octal(is)}, was ${octal(was)}` });
  if (was.isFile() && was.size !== is.size)
    changes.push({ keywords: ['size'], found: `${is.size} bytes, was ${was.size}` });
  return changes;
}

/** A byte string as text; bytes that are no UTF-8 as `\xNN`. */
export function showBytes(bytes: string): string {
  const text = pathBytes(bytes).toString('utf8');
  if (!text.includes('\ufffd')) return text;
  return bytes.replace(
    /[\u0080-\u00ff]/g,
    (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}

export function isSameFile(a: Stats, b: Stats): boolean {
  return a.ino === b.ino && a.dev === b.dev;
}

type Kind = 'file' | 'folder' | 'link' | 'special';

function kindOf(stats: Stats): Kind {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'folder';
  return stats.isSymbolicLink() ? 'link' : 'special';
}

function describeKind(stats: Stats): string {
  const words = { file: 'a file', folder: 'a folder', link: 'a symbolic link', special: 'a special file' };
  return words[kindOf(stats)];
}

function octal({ mode }: Stats): string {
  return (mode & 0o7777).toString(8).padStart(4, '0');
}

/** What stands at a path now: a container may be writing to its tree. */
export function lstat(path: string): Stats | undefined {
  return unlessGone(() => lstatSync(pathBytes(path)));
}

function readLink(path: string): string {
  return unlessGone(() => readlinkSync(pathBytes(path), 'latin1')) ?? '';
}

/** Names in a folder; none where there is no folder. */
export function list(path: string): string[] {
  return unlessGone(() => readdirSync(pathBytes(path), 'latin1')) ?? [];
}

function unlessGone<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EINVAL', 'ENAMETOOLONG'].includes(systemCodeOf(error) ?? '')) return undefined;
    throw error;
  }
}
