/**
 * Paths inside a foreign tree, resolved as a process with that root would: an absolute link starts at the tree's root,
 * `..` stops there. Nothing outside of the tree is ever looked at.
 *
 * Not a defence against someone who changes the tree at the same time: our trees are staged where only root can write.
 */
import { isUtf8 } from 'node:buffer';
import { lstatSync, readlinkSync, type Stats } from 'node:fs';
import { AtomicError, systemCodeOf } from '../errors.ts';
import { PATH_BYTES } from '../limits.ts';

/** As many as Linux follows in one look-up. */
const MAX_LINKS = 40;
const ABSENT: ReadonlySet<string | undefined> = new Set(['ENOENT', 'ENOTDIR', 'EINVAL']);

/**
 * The clean relative path that `path` leads to. Components that do not exist stay as they are written.
 * @param root absolute path of the tree
 * @param path relative to the root, or absolute inside it
 * @param followLast whether a link in the last component is followed as well
 * @param followed the places of the links that were followed are added
 * @throws AtomicError `layer-invalid` when links go round in circles; `unsupported` for a target that is not UTF-8
 */
export function resolveInTree(root: string, path: string, followLast = true, followed?: Set<string>): string {
  const found = follow(root, path, { followLast, mustExist: false, followed });
  if (found !== undefined) return found;
  throw new AtomicError(
    'layer-invalid',
    `the symbolic links at ${JSON.stringify(path)} lead round in circles`,
  );
}

/**
 * The clean relative path of what stands at `path`, all links followed; undefined when nothing does: a component is
 * absent or no folder, a link dangles or goes round in circles.
 */
export function findInTree(root: string, path: string): string | undefined {
  return follow(root, path, { followLast: true, mustExist: true });
}

interface FollowOptions {
  readonly followLast: boolean;
  readonly mustExist: boolean;
  readonly followed?: Set<string> | undefined;
}

function follow(
  root: string,
  path: string,
  { followLast, mustExist, followed }: FollowOptions,
): string | undefined {
  const done: string[] = [];
  const todo = path.split('/').reverse();
  for (let links = 0; todo.length > 0;) {
    const part = todo.pop() ?? '';
    if (part === '..') done.pop();
    if (part === '' || part === '.' || part === '..') continue;
    const here = [...done, part].join('/');
    const isLast = todo.every((rest) => rest === '' || rest === '.');
    const stats = isLast && !followLast ? undefined : lstatIfThere(`${root}/${here}`);
    if (stats?.isSymbolicLink() === true) {
      links += 1;
      if (links > MAX_LINKS) return undefined;
      followed?.add(here);
      const target = readTarget(root, here);
      if (target.startsWith('/')) done.length = 0;
      todo.push(...target.split('/').reverse());
      continue;
    }
    if (mustExist && (stats === undefined || (!stats.isDirectory() && todo.length > 0))) return undefined;
    done.push(part);
  }
  return done.join('/');
}

function readTarget(root: string, path: string): string {
  const target = readlinkSync(`${root}/${path}`, { encoding: 'buffer' });
  if (isUtf8(target)) return target.toString('utf8');
  throw new AtomicError(
    'unsupported',
    `the symbolic link ${JSON.stringify(path)} of the image has the target ${JSON.stringify(target.toString('latin1'))}, which is not UTF-8`,
  );
}

/**
 * What stands at a path, links not followed; undefined when nothing does, or nothing can.
 * @throws AtomicError `limit-exceeded` when the path is longer than Linux takes, though its names are not
 */
export function lstatIfThere(path: string | Buffer): Stats | undefined {
  try {
    return lstatSync(path);
  } catch (error) {
    const code = systemCodeOf(error);
    if (ABSENT.has(code)) return undefined;
    if (code === 'ENAMETOOLONG') return refuseLongPath(Buffer.from(path));
    throw error;
  }
}

function refuseLongPath(path: Buffer): undefined {
  if (path.length < PATH_BYTES) return undefined;
  throw new AtomicError(
    'limit-exceeded',
    `the path ${JSON.stringify(path.toString('utf8', 0, 200))}… has ${path.length} bytes; Linux stops at ${PATH_BYTES}`,
  );
}
