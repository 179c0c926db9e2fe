/** A folder with beginnings of blobs, for a place that has no file of the blobs themselves. */
import { lstat, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { makeFolder } from '../make-folder.ts';
import {
  ClaimedBlob,
  lockBlob,
  partialName,
  UNKEPT,
  type BlobClaims,
  type ClaimedFolder,
  type Claiming,
} from './blob-claims.ts';
import { makePrivateFolder } from './private-folder.ts';

/**
 * Claims of such a place. Where the folder cannot be had, or is somebody else's, blobs are claimed and nothing is kept.
 * @param lockPath of the blob of a name (`partialName`)
 */
export function createKeptClaims(
  claiming: Claiming,
  where: ClaimedFolder,
  lockPath: (name: string) => string,
): BlobClaims {
  return {
    async take(descriptor, patience, signal) {
      const { digest } = descriptor;
      const lock = await lockBlob(claiming, lockPath(partialName(digest)), digest, patience, signal);
      if (lock === undefined) return undefined;
      if (lock === 'none') return UNKEPT;
      try {
        await makeFolder(dirname(where.folder));
        if (await makePrivateFolder(where.folder, where.owner)) {
          return await ClaimedBlob.open(descriptor, where, lock);
        }
      } catch {
        // A full disk, for one: what it means for the blob is told by whoever needs the disk.
      }
      return { ...UNKEPT, release: () => lock.release() };
    },
  };
}

export interface KeptFile {
  readonly path: string;
  readonly bytes: number;
  /** When it was last written to: milliseconds since 1970. */
  readonly changed: number;
}

/** What is in the folder, the oldest first; nothing when there is none, or we may not look. */
export async function listKept(folder: string): Promise<KeptFile[]> {
  const names = await readdir(folder).catch(() => []);
  const files = await Promise.all(
    names.map(async (name): Promise<KeptFile[]> => {
      const path = join(folder, name);
      const stats = await lstat(path).catch(() => undefined);
      return stats === undefined ? [] : [{ path, bytes: stats.size, changed: stats.mtimeMs }];
    }),
  );
  return files.flat().sort((a, b) => a.changed - b.changed);
}

/**
 * Those that have to go: what was last written to before `since`, and then the oldest until `bytes` are not exceeded.
 * @param files the oldest first
 */
export function findExcess(files: readonly KeptFile[], bytes: number, since: number): KeptFile[] {
  let total = files.reduce((sum, file) => sum + file.bytes, 0);
  return files.filter((file) => {
    const isExcess = file.changed < since || total > bytes;
    if (isExcess) total -= file.bytes;
    return isExcess;
  });
}
