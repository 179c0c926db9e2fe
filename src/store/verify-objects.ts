/**
 * Whether the file objects that a tree of hard links is made of still are what their names say. A file that is written
 * to in a deployment is written to in the repo as well: it is one file, and every later checkout has it.
 *
 * A checksum without xattrs comes first: it is computed here, and right for nearly every file. For the others one
 * with the file's SELinux label, then one by the `ostree` program, which reads all xattrs.
 */
import type { Stats } from 'node:fs';
import { setImmediate as breathe } from 'node:timers/promises';
import type { Exec } from '../host/ports.ts';
import { list, lstat, isSameFile, showBytes } from './compare-trees.ts';
import { bytePath, fileObjectChecksum, pathBytes } from './object-checksum.ts';

export interface DamagedObject {
  /** The name that its content no longer has. */
  readonly checksum: string;
  /** Absolute, in the repo. */
  readonly path: string;
  /** Where a tree has it, a byte string; undefined for one that no path of the tree leads to any more. */
  readonly inTree: string | undefined;
}

export interface VerifyOptions {
  /** Also looks for objects that were emptied: ostree does not link empty files, so no tree leads to them. */
  readonly emptied: boolean;
  readonly signal: AbortSignal;
}

/** Files between two looks for a signal. */
const FILES_AT_ONCE = 200;
/**
 * After so many damaged ones (`chown -R` on a tree damages thousands) the next suspects count as damaged unasked: to
 * replace one that is whole by its like does no harm, and to ask for each takes minutes.
 */
const DAMAGED_ASKED = 100;
/** Paths that one program gets. */
const PATHS_AT_ONCE = 500;

interface Suspect {
  readonly path: string;
  readonly stats: Stats;
}

/**
 * Reads every file of trees that is linked to an object of the repo, each inode once.
 * @param repository absolute path
 * @param trees absolute paths
 * @throws AtomicError of the `ostree` program; system errors; the signal's reason
 */
export async function findDamagedObjects(
  exec: Exec,
  repository: string,
  trees: readonly string[],
  { emptied, signal }: VerifyOptions,
): Promise<DamagedObject[]> {
  const objects = `${bytePath(repository)}/objects`;
  const suspects = new Map<string, Suspect>();
  const seen = new Set<string>();
  for (const tree of trees) {
    for await (const suspect of listSuspects(objects, bytePath(tree), seen, signal))
      suspects.set(keyOf(suspect.stats), suspect);
  }
  if (suspects.size === 0 && !emptied) return [];
  const found = await findObjects(objects, suspects, emptied, signal);
  return judgeObjects(exec, found, { asked: DAMAGED_ASKED, signal });
}

/**
 * Which of these objects are not what their names say, whatever their xattrs are.
 * @param options.asked after so many damaged ones, those that look damaged count as such without asking `ostree`
 * @throws AtomicError of the programs; system errors; the signal's reason
 */
export async function judgeObjects(
  exec: Exec,
  found: readonly FoundObject[],
  { asked, signal }: { readonly asked: number; readonly signal: AbortSignal },
): Promise<DamagedObject[]> {
  const labels = await readLabels(
    exec,
    found.map(({ path }) => path),
  );
  const damaged: DamagedObject[] = [];
  for (const object of found) {
    signal.throwIfAborted();
    const ask = damaged.length < asked;
    if (!(await isIntact(exec, object, labels.get(object.path), ask))) {
      const { checksum, path, inTree } = object;
      damaged.push({ checksum, path: pathBytes(path).toString('utf8'), inTree });
    }
  }
  return damaged;
}

/** What two files of the same looks differ in; undefined when it is nothing. Paths are absolute byte strings. */
export async function compareContents(
  exec: Exec,
  expected: string,
  actual: string,
): Promise<string | undefined> {
  const [was, is] = [lstat(expected), lstat(actual)];
  if (was === undefined || is === undefined) return undefined;
  if ((await fileObjectChecksum(expected, was)) !== (await fileObjectChecksum(actual, is)))
    return 'another content';
  return (await haveSameXattrs(exec, expected, actual)) ? undefined : 'other extended attributes';
}

/** Whether two files that are alike in all else have the same extended attributes; paths as above. */
export async function haveSameXattrs(exec: Exec, one: string, other: string): Promise<boolean> {
  const paths = [one, other].map(showBytes);
  // A name that is no text cannot be given to a program.
  if (paths.some((path, i) => bytePath(path) !== [one, other][i])) return true;
  const sums: string[] = [];
  for (const path of paths) sums.push(await askOstree(exec, path));
  return sums[0] === sums[1];
}

/** Files that stand under no object's name by their plain checksum, or that were emptied. */
async function* listSuspects(
  objects: string,
  tree: string,
  seen: Set<string>,
  signal: AbortSignal,
): AsyncGenerator<Suspect> {
  let visited = 0;
  for (const { path, stats } of walk(tree)) {
    visited += 1;
    if (visited % FILES_AT_ONCE === 0) {
      await breathe();
      signal.throwIfAborted();
    }
    // What has one name only is no object's.
    if (stats.nlink === 1 || !(stats.isFile() || stats.isSymbolicLink()) || seen.has(keyOf(stats))) continue;
    seen.add(keyOf(stats));
    if (stats.isFile() && stats.size === 0) yield { path, stats };
    else if (!(await hasObject(objects, `${tree}/${path}`, stats))) yield { path, stats };
  }
}

async function hasObject(objects: string, file: string, stats: Stats): Promise<boolean> {
  const checksum = await fileObjectChecksum(file, stats);
  const object = lstat(`${objects}/${checksum.slice(0, 2)}/${checksum.slice(2)}.file`);
  return object !== undefined && isSameFile(object, stats);
}

function* walk(tree: string): Generator<Suspect> {
  const folders = [''];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for (const name of list(`${tree}/${folder}`)) {
      const path = folder === '' ? name : `${folder}/${name}`;
      const stats = lstat(`${tree}/${path}`);
      if (stats === undefined) continue;
      yield { path, stats };
      if (stats.isDirectory()) folders.push(path);
    }
  }
}

/** A file object as it stands in the repo; paths are byte strings. */
export interface FoundObject {
  readonly checksum: string;
  readonly path: string;
  readonly stats: Stats;
  readonly inTree: string | undefined;
}

/** The objects that suspects are, and with `emptied` all objects without content. */
async function findObjects(
  objects: string,
  suspects: ReadonlyMap<string, Suspect>,
  emptied: boolean,
  signal: AbortSignal,
): Promise<FoundObject[]> {
  const found: FoundObject[] = [];
  for (const prefix of list(objects)) {
    await breathe();
    signal.throwIfAborted();
    for (const name of list(`${objects}/${prefix}`)) {
      const rest = /^([0-9a-f]{62})\.file$/.exec(name)?.[1];
      const path = `${objects}/${prefix}/${name}`;
      const stats = rest === undefined ? undefined : lstat(path);
      if (rest === undefined || stats === undefined) continue;
      const suspect = suspects.get(keyOf(stats));
      if (suspect !== undefined || (emptied && stats.isFile() && stats.size === 0))
        found.push({ checksum: `${prefix}${rest}`, path, stats, inTree: suspect?.path });
    }
  }
  return found;
}

async function isIntact(
  exec: Exec,
  { checksum, path, stats }: FoundObject,
  label: string | undefined,
  ask: boolean,
): Promise<boolean> {
  if ((await fileObjectChecksum(path, stats)) === checksum) return true;
  if (label !== undefined) {
    // The kernel keeps a label with the NUL at its end.
    const xattrs = [{ name: 'security.selinux', value: Buffer.from(`${label}\0`) }];
    if ((await fileObjectChecksum(path, stats, xattrs)) === checksum) return true;
  }
  return ask && (await askOstree(exec, showBytes(path))) === checksum;
}

async function askOstree(exec: Exec, path: string): Promise<string> {
  return (await exec.run('ostree', ['checksum', path])).stdout.trim();
}

/** SELinux labels by path, of files that have one: where a repo's files are labelled, a program for each takes minutes. */
async function readLabels(exec: Exec, paths: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const labels = new Map<string, string>();
  for (let at = 0; at < paths.length; at += PATHS_AT_ONCE) {
    const batch = paths.slice(at, at + PATHS_AT_ONCE);
    const args = ['--format=%C', '--', ...batch.map(showBytes)];
    // Status 1: one of them has none, or this system knows no labels; it prints a "?" then.
    const { stdout } = await exec.run('stat', args, { accept: [0, 1] });
    const lines = stdout.split('\n').slice(0, -1);
    if (lines.length !== batch.length) continue;
    for (const [i, path] of batch.entries()) if (lines[i] !== '?') labels.set(path, lines[i] ?? '');
  }
  return labels;
}

function keyOf({ dev, ino }: Stats): string {
  return `${dev}:${ino}`;
}
