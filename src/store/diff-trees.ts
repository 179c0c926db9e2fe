/**
 * What two trees differ in, entry by entry. Where both are checkouts of one repo, files that are the same are one inode,
 * and only the others are read.
 *
 * Times and link counts are not compared: ostree keeps no times, and how many names a file has is the store's business.
 */
import { closeSync, constants, openSync, readSync, type Stats } from 'node:fs';
import { setImmediate as breathe } from 'node:timers/promises';
import { systemCodeOf } from '../errors.ts';
import type { Exec } from '../host/ports.ts';
import { compareLooks, isSameFile, list, lstat, showBytes } from './compare-trees.ts';
import { pathBytes } from './object-checksum.ts';
import { haveSameXattrs } from './verify-objects.ts';

/** mtree(5)'s words, as far as they can be told. */
export type Keyword = 'link' | 'mode' | 'type' | 'uid' | 'gid' | 'size' | 'sha256digest' | 'xattr';

/** Paths are byte strings (see object-checksum.ts) relative to the root, which is the empty string; in order of a walk. */
export interface TreeDiff {
  /** With everything below folders that only one of them has. */
  readonly onlyInFirst: readonly string[];
  readonly onlyInSecond: readonly string[];
  readonly changed: readonly { readonly path: string; readonly keywords: readonly Keyword[] }[];
}

type Findings = {
  -readonly [K in keyof TreeDiff]: TreeDiff[K][number][];
};

/** Entries between two looks for a signal. */
const ENTRIES_AT_ONCE = 500;
const CHUNK = 256 * 1024;
/** Up to so many pairs of files, two programs for each are quicker than one that reads both trees. */
const ASKED_ONE_BY_ONE = 20;

/**
 * @param repository absolute path of a repo; nothing is read of it, but `ostree diff` wants one
 * @param first absolute path of a tree, a byte string
 * @throws AtomicError of the `ostree` program; system errors; the signal's reason
 */
export async function diffTrees(
  exec: Exec,
  repository: string,
  first: string,
  second: string,
  signal: AbortSignal,
): Promise<TreeDiff> {
  const found: Findings = { onlyInFirst: [], onlyInSecond: [], changed: [] };
  /** Alike in looks and content, and two files: their extended attributes may differ. */
  const alike: string[] = [];
  let visited = 0;
  // The next one is the last of the list: a walk in order.
  const open = [''];
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    visited += 1;
    if (visited % ENTRIES_AT_ONCE === 0) await breathe();
    signal.throwIfAborted();
    const [one, other] = [lstat(`${first}/${path}`), lstat(`${second}/${path}`)];
    if (one === undefined) found.onlyInSecond.push(path);
    else if (other === undefined) found.onlyInFirst.push(path);
    else {
      const keywords = await compareEntries(one, other, `${first}/${path}`, `${second}/${path}`);
      if (keywords.length > 0) found.changed.push({ path, keywords });
      else if (mayDifferInXattrs(one, other)) alike.push(path);
    }
    open.push(...listBoth(first, second, path, one, other));
  }
  for (const path of await findSuspects(exec, repository, first, second, alike, signal)) {
    signal.throwIfAborted();
    if (await haveSameXattrs(exec, `${first}/${path}`, `${second}/${path}`)) continue;
    found.changed.push({ path, keywords: ['xattr'] });
  }
  return { ...found, changed: inWalkOrder(found.changed) };
}

/**
 * Of files that are alike in all else those whose extended attributes may differ. `ostree diff` reads both trees, and
 * attributes as well; its lines say of a path whatever its bytes are, so what they say is a suspicion only.
 */
async function findSuspects(
  exec: Exec,
  repository: string,
  first: string,
  second: string,
  alike: readonly string[],
  signal: AbortSignal,
): Promise<readonly string[]> {
  if (alike.length <= ASKED_ONE_BY_ONE) return alike;
  const told = new Set<string>();
  const output = exec.filter('ostree', [`--repo=${repository}`, 'diff', showBytes(first), showBytes(second)]);
  output.end();
  let rest = '';
  for await (const chunk of output.setEncoding('latin1') as AsyncIterable<string>) {
    signal.throwIfAborted();
    const lines = `${rest}${chunk}`.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const path = /^M +(.*)$/.exec(line)?.[1];
      if (path !== undefined) told.add(path);
    }
  }
  return alike.filter((path) => told.has(path) || path.includes('\n'));
}

/** What is in a folder of either tree, last one first. A folder in the place of something else is listed as well. */
function listBoth(
  first: string,
  second: string,
  path: string,
  one: Stats | undefined,
  other: Stats | undefined,
): string[] {
  const names = new Set([
    ...(one?.isDirectory() === true ? list(`${first}/${path}`) : []),
    ...(other?.isDirectory() === true ? list(`${second}/${path}`) : []),
  ]);
  return [...names]
    .sort()
    .reverse()
    .map((name) => (path === '' ? name : `${path}/${name}`));
}

async function compareEntries(
  one: Stats,
  other: Stats,
  first: string,
  second: string,
): Promise<readonly Keyword[]> {
  const keywords: Keyword[] = compareLooks(one, other, first, second).flatMap((looks) => looks.keywords);
  const areFiles = one.isFile() && other.isFile() && !isSameFile(one, other);
  if (areFiles && (one.size !== other.size || !(await haveSameContent(first, second))))
    keywords.push('sha256digest');
  return keywords;
}

/** ostree links no empty files: all of those are two, and hardly any has attributes. */
function mayDifferInXattrs(one: Stats, other: Stats): boolean {
  return one.isFile() && one.size > 0 && !isSameFile(one, other);
}

/** Two files of one size. One that has gone meanwhile, or is written to, differs. */
async function haveSameContent(first: string, second: string): Promise<boolean> {
  const a = openFile(first);
  const b = openFile(second);
  try {
    if (a === undefined || b === undefined) return a === b;
    const [one, other] = [Buffer.allocUnsafe(CHUNK), Buffer.allocUnsafe(CHUNK)];
    for (;;) {
      const length = readSync(a, one);
      if (readSync(b, other) !== length) return false;
      if (length === 0) return true;
      if (!one.subarray(0, length).equals(other.subarray(0, length))) return false;
      if (length === CHUNK) await breathe();
    }
  } finally {
    for (const file of [a, b]) if (file !== undefined) closeSync(file);
  }
}

/** Not a link or a pipe that has come into the file's place since it was looked at. */
function openFile(path: string): number | undefined {
  try {
    return openSync(pathBytes(path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(systemCodeOf(error) ?? '')) return undefined;
    throw error;
  }
}

/** A folder before what is in it, and `a/b` before `a.b`: component by component. */
function inWalkOrder(changed: Findings['changed']): Findings['changed'] {
  const key = (path: string): string => path.replaceAll('/', '\0');
  return changed.toSorted((a, b) => (key(a.path) < key(b.path) ? -1 : 1));
}
