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

/**
 * The clean relative path that `path` leads to. Components that do not exist stay as they are written.
 * @param root absolute path of the tree
 * @param path relative to the root, or absolute inside it
 * @param followLast whether a link in the last component is followed as well
 * @throws AtomicError `layer-invalid` when links go round in circles
 */
export function resolveInTree(root: string, path: string, followLast = true): string {
  const done: string[] = [];
  const todo = path.split('/');
  let links = 0;
  while (todo.length > 0) {
    const part = todo.shift();
    if (part === undefined || part === '' || part === '.') continue;
    if (part === '..') {
      done.pop();
      continue;
    }
    const here = [...done, part].join('/');
    const isLast = todo.every((rest) => rest === '' || rest === '.');
    const stats = isLast && !followLast ? undefined : lstatIfThere(`${root}/${here}`);
    if (stats?.isSymbolicLink() !== true) {
      done.push(part);
      continue;
    }
    if (++links > MAX_LINKS) {
      throw new AtomicError(
        'layer-invalid',
        `the symbolic links at ${JSON.stringify(path)} lead round in circles`,
      );
    }
    const target = readlinkSync(`${root}/${here}`);
    if (target.startsWith('/')) done.length = 0;
    todo.unshift(...target.split('/'));
  }
  return done.join('/');
}

/** What stands at a path, links not followed; undefined when nothing does, or a parent is no folder. */
export function lstatIfThere(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(systemCodeOf(error) ?? '')) return undefined;
    throw error;
  }
}
