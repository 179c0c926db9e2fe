import { lstat } from 'node:fs/promises';
import { relative } from 'node:path';
import { readInRoot, resolveInRoot } from './rooted-path.ts';
import type { AccountFiles } from './passwd.ts';

/** A directory of the image, as a volume or a tmpfs in its place has to look. */
export interface DirectoryFact {
  /** Its path in the image with all links followed. */
  readonly realPath: string;
  /** Whether its path goes through a symlink: then another path names it too. */
  readonly linked: boolean;
  /** Permission bits, setgid and sticky included. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** What a runtime configuration for an ordinary image depends on, besides the image's config. */
export interface ImageFacts {
  readonly accounts: AccountFiles;
  /** Those of the asked-for paths that are directories. */
  readonly directories: ReadonlyMap<string, DirectoryFact>;
}

/**
 * Looks into a checked-out image; links are followed inside it only.
 * @param paths absolute, normal paths inside the image to look at: `factPaths` lists them.
 * @throws AtomicError `limit-exceeded` for an account file of more than `passwd-size`, `config-invalid` for one that is no file
 */
export async function readImageFacts(rootfs: string, paths: readonly string[]): Promise<ImageFacts> {
  const directories = new Map<string, DirectoryFact>();
  for (const path of paths) {
    const hostPath = resolveInRoot(rootfs, path);
    const stats = hostPath === undefined ? undefined : await lstat(hostPath);
    if (hostPath === undefined || stats === undefined || !stats.isDirectory()) continue;
    const realPath = `/${relative(rootfs, hostPath)}`;
    directories.set(path, {
      realPath,
      linked: realPath !== path,
      mode: stats.mode & 0o7777,
      uid: stats.uid,
      gid: stats.gid,
    });
  }
  return {
    accounts: {
      passwd: await readAccounts(rootfs, '/etc/passwd'),
      group: await readAccounts(rootfs, '/etc/group'),
    },
    directories,
  };
}

async function readAccounts(rootfs: string, path: string): Promise<string | undefined> {
  const bytes = await readInRoot(rootfs, path, 'passwd-size', 'config-invalid');
  return bytes === undefined ? undefined : new TextDecoder().decode(bytes);
}
