import { chmodSync, lchownSync, mkdirSync, rmSync } from 'node:fs';
import { lstatIfThere, resolveInTree } from './resolve.ts';

/**
 * Makes a folder where its path leads inside the tree, unless it is there: our own, mode 0755. What is no folder on the way makes room for
 * one, as a tar's entries do.
 * @returns the folder's clean relative path
 * @throws AtomicError `layer-invalid` when links go round in circles
 */
export function makeDirectoryInTree(root: string, path: string): string {
  const place = resolveInTree(root, path);
  let here = root;
  for (const part of place === '' ? [] : place.split('/')) {
    here += `/${part}`;
    const stats = lstatIfThere(here);
    if (stats?.isDirectory() === true) continue;
    if (stats !== undefined) rmSync(here);
    mkdirSync(here);
    // Whatever the umask says, or a set-group-ID folder above would hand down.
    lchownSync(here, process.getuid?.() ?? 0, process.getgid?.() ?? 0);
    chmodSync(here, 0o755);
  }
  return place;
}
