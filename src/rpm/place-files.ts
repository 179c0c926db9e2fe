/** Files in the making, on their way into a package. */
import { chmod, copyFile, lstat, mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { resolveInRoot } from '../container/rooted-path.ts';
import { AtomicError } from '../errors.ts';
import type { HostFile } from '../host/ports.ts';

/** Where an image brings its own package. */
export const FOREIGN_PACKAGE = '/exports/container.rpm';

/**
 * Lays host files out below `tree`, with their modes; owners are the spec's to tell.
 * @param sourceOf where the bytes of a file are now
 * @param modeMask what of the modes is kept
 */
export async function placeFiles(
  tree: string,
  files: readonly HostFile[],
  sourceOf: (source: string) => string,
  modeMask = 0o7777,
): Promise<void> {
  await mkdir(tree, { recursive: true, mode: 0o755 });
  for (const { path, kind, mode, content, source, target } of files) {
    const place = `${tree}${path}`;
    await mkdir(dirname(place), { recursive: true, mode: 0o755 });
    if (kind === 'symlink') {
      await symlink(target ?? '', place);
      continue;
    }
    if (kind === 'directory') await mkdir(place);
    else if (content === undefined && source !== undefined) await copyFile(sourceOf(source), place);
    else await writeFile(place, content ?? '', { flag: 'wx' });
    await chmod(place, mode & modeMask);
  }
}

/**
 * Copies the package that an image brings out of its tree.
 * @returns whether it brings one
 * @throws AtomicError `exports-invalid` when it is no file
 */
export async function takeForeignPackage(rootfs: string, target: string): Promise<boolean> {
  const path = resolveInRoot(rootfs, FOREIGN_PACKAGE);
  if (path === undefined) return false;
  if (!(await lstat(path)).isFile())
    throw new AtomicError('exports-invalid', `${FOREIGN_PACKAGE} in the image is not a regular file`);
  await mkdir(dirname(target), { recursive: true });
  await copyFile(path, target);
  return true;
}
