import type { Stats } from 'node:fs';
import { lstat, readdir, readlink } from 'node:fs/promises';
import { AtomicError } from '../../errors.ts';
import { limitExceeded, limitOf } from '../../limits.ts';

/** One entry of an image's /exports/hostfs; no link was followed. */
export interface HostfsEntry {
  /** From hostfs: `/usr/bin/x`. */
  readonly path: string;
  readonly kind: 'file' | 'symlink' | 'directory';
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** A symlink's. */
  readonly target: string | undefined;
  /** Of a folder: whether nothing is in it. */
  readonly isEmpty: boolean;
}

/**
 * Lists a tree in the order in which atomic went through it: a folder's folders, its other entries, then what is in
 * each of its folders; names in the order of their bytes.
 * @throws AtomicError `exports-invalid` for devices, pipes, sockets and names that are no UTF-8; `limit-exceeded`
 */
export async function walkHostfs(hostfs: string): Promise<HostfsEntry[]> {
  const found: HostfsEntry[] = [];
  await walkFolder(hostfs, '', found);
  return found;
}

async function walkFolder(hostfs: string, folder: string, found: HostfsEntry[]): Promise<void> {
  const names = (await readdir(`${hostfs}${folder}`, { encoding: 'buffer' })).sort((a, b) => a.compare(b));
  const limit = limitOf('host-files');
  if (found.length + names.length > limit) {
    throw limitExceeded('host-files', `The image's /exports/hostfs has more than ${limit} entries`);
  }
  const entries: HostfsEntry[] = [];
  for (const name of names) entries.push(await readEntry(hostfs, `${folder}/${decodeName(name, folder)}`));
  const folders = entries.filter(({ kind }) => kind === 'directory');
  found.push(...folders, ...entries.filter(({ kind }) => kind !== 'directory'));
  for (const { path } of folders) await walkFolder(hostfs, path, found);
}

async function readEntry(hostfs: string, path: string): Promise<HostfsEntry> {
  const stats = await lstat(`${hostfs}${path}`);
  const kind = kindOf(stats, path);
  return {
    path,
    kind,
    mode: stats.mode & 0o7777,
    uid: stats.uid,
    gid: stats.gid,
    target:
      kind === 'symlink'
        ? decodeName(await readlink(`${hostfs}${path}`, { encoding: 'buffer' }), path)
        : undefined,
    isEmpty: kind === 'directory' && (await readdir(`${hostfs}${path}`)).length === 0,
  };
}

function kindOf(stats: Stats, path: string): HostfsEntry['kind'] {
  if (stats.isFile()) return 'file';
  if (stats.isSymbolicLink()) return 'symlink';
  if (stats.isDirectory()) return 'directory';
  throw new AtomicError(
    'exports-invalid',
    `${JSON.stringify(path)} in the image's /exports/hostfs is neither file, folder nor symbolic link`,
  );
}

function decodeName(name: Buffer, folder: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(name);
  } catch (error) {
    throw new AtomicError(
      'exports-invalid',
      `The image's /exports/hostfs${folder} has a name or target that is not UTF-8: ${JSON.stringify(name.toString('latin1'))}`,
      { cause: error },
    );
  }
}
