/**
 * Paths inside a foreign tree, resolved as a process with that root would: an absolute link starts at the tree's root,
 * `..` stops there. Nothing outside of the tree is ever looked at.
 *
 * Not a defence against someone who changes the tree at the same time: our trees are staged where only root can write.
 */
import { lstatSync, readlinkSync, type Stats } from 'node:fs';
import { AtomicError, systemCodeOf } from '../errors.ts';

/** As many as Linux follows in one look-up. */
const MAX_LINKS = 40;
const ABSENT: ReadonlySet<string | undefined> = new Set(['ENOENT', 'ENOTDIR', 'ENAMETOOLONG', 'EINVAL']);

/**
 * The clean relative path that `path` leads to. Components that do not exist stay as they are written.
 * @param root absolute path of the tree
 * @param path relative to the root, or absolute inside it
 * @param followLast whether a link in the last component is followed as well
 * @throws AtomicError `layer-invalid` when links go round in circles
 */
export function resolveInTree(root: string, path: string, followLast = true): string {
  const found = follow(root, path, followLast, false);
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
  return follow(root, path, true, true);
}

function follow(root: string, path: string, followLast: boolean, mustExist: boolean): string | undefined {
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
      const target = readlinkSync(`${root}/${here}`);
      if (target.startsWith('/')) done.length = 0;
      todo.push(...target.split('/').reverse());
      continue;
    }
    if (mustExist && (stats === undefined || (!stats.isDirectory() && todo.length > 0))) return undefined;
    done.push(part);
  }
  return done.join('/');
}

/** What stands at a path, links not followed; undefined when nothing does, or nothing can. */
export function lstatIfThere(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch (error) {
    if (ABSENT.has(systemCodeOf(error))) return undefined;
    throw error;
  }
}
