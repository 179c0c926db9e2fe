import { randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdtemp, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { describeDiskFull } from '../errors.ts';
import { makeFolder } from '../make-folder.ts';

/** Files that appear under their name only when they are whole. */
export interface PartialFiles {
  /** Writes `target` to a temp file beside it, flushes it to the disk and renames it; replaces what was there. */
  write(target: string, bytes: Readable | Uint8Array): Promise<void>;
  /** Removes what was not finished. */
  remove(): Promise<void>;
}

/**
 * Temp files for a folder, in a private folder (mode 0700) inside it: a rename cannot cross filesystems.
 * @throws AtomicError `disk-full` from `write`; an error of the stream that is written passes unchanged
 */
export async function createPartialFiles(folder: string): Promise<PartialFiles> {
  const partial = await mkdtemp(join(folder, '.partial-')).catch((error: unknown) => {
    throw describeDiskFull(error, folder);
  });
  return {
    async write(target, bytes) {
      const temp = join(partial, randomUUID());
      const source = bytes instanceof Readable ? bytes : Readable.from([bytes]);
      try {
        await makeFolder(dirname(target));
        await pipeline(source, createWriteStream(temp, { flags: 'wx', mode: 0o644, flush: true }));
        await rename(temp, target);
      } catch (error) {
        await rm(temp, { force: true });
        throw describeDiskFull(error, target);
      }
    },
    async remove() {
      await rm(partial, { recursive: true, force: true });
    },
  };
}
