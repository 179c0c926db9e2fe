import { randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { lstat, readdir, rename, rm, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { describeDiskFull } from '../errors.ts';
import type { Locks } from '../host/ports.ts';
import type { Digest } from '../image/digest.ts';
import { makeFolder } from '../make-folder.ts';
import {
  ClaimedBlob,
  lockBlob,
  partialName,
  UNKEPT,
  type BlobClaim,
  type BlobClaims,
  type Claiming,
} from './blob-claims.ts';
import { isPrivateFolder, makePrivateFolder } from './private-folder.ts';
import { makeWorkFolder } from './work-folder.ts';

/** Where beginnings of blobs are kept from one run to the next, inside the folder that they go to. */
const KEPT = '.partial-blobs';
const LOCK = '.lock';

/** Files that appear under their name only when they are whole. */
export interface PartialFiles {
  /** Who fetches which blob into the folder; undefined where nobody can tell. */
  readonly claims: BlobClaims | undefined;
  /** Writes `target` to a temp file beside it, flushes it to the disk and renames it; replaces what was there. */
  write(target: string, bytes: Readable | Uint8Array): Promise<void>;
  /** The same for a blob. Where it is claimed, what a failure leaves of it stays for the next run. */
  writeBlob(digest: Digest, target: string, bytes: Readable): Promise<void>;
  /** Removes what earlier runs left of blobs, unless somebody is at them. */
  removeKept(): Promise<void>;
  /** Removes what was not finished, but for what is kept. */
  remove(): Promise<void>;
}

/**
 * Temp files for a folder, in private folders (mode 0700) inside it: a rename cannot cross filesystems.
 * @param claiming of its blobs
 * @param locks tell later runs that this one lives
 * @throws AtomicError `disk-full` from `write`; an error of the stream that is written passes unchanged
 */
export async function createPartialFiles(
  folder: string,
  claiming?: Claiming,
  locks: Locks | undefined = claiming?.locks,
): Promise<PartialFiles> {
  const work = await makeWorkFolder(folder, locks);
  const partial = work.path;
  const owner = (await lstat(partial)).uid;
  const kept = join(folder, KEPT);
  const held = new Map<Digest, ClaimedBlob>();
  const write: PartialFiles['write'] = async (target, bytes) => {
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
  };
  return {
    claims: claiming && claimsOf(claiming, { folder: kept, owner }, held),
    write,
    async writeBlob(digest, target, bytes) {
      const claim = held.get(digest);
      if (claim === undefined) return write(target, bytes);
      await makeFolder(dirname(target));
      await claim.finish(bytes, target);
    },
    async removeKept() {
      if (claiming !== undefined && (await isPrivateFolder(kept, owner)))
        await removeUnclaimed(claiming, kept);
    },
    async remove() {
      await work.remove();
      // Not when anything is kept.
      await rmdir(kept).catch(() => undefined);
    },
  };
}

/** @param held those that we have; each is in it from its taking to its release */
function claimsOf(
  claiming: Claiming,
  where: { readonly folder: string; readonly owner: number },
  held: Map<Digest, ClaimedBlob>,
): BlobClaims {
  return {
    async take(descriptor, patience, signal) {
      const { digest } = descriptor;
      if (!(await makePrivateFolder(where.folder, where.owner))) return UNKEPT;
      const path = join(where.folder, `${partialName(digest)}${LOCK}`);
      const lock = await lockBlob(claiming, path, digest, patience, signal);
      if (lock === undefined) return undefined;
      if (lock === 'none') return UNKEPT;
      // Somebody who ended may have removed the folder, and the lock made it again for all to see.
      if (!(await isPrivateFolder(where.folder, where.owner))) {
        await lock.release();
        return UNKEPT;
      }
      const claim = await ClaimedBlob.open(descriptor, where, lock);
      held.set(digest, claim);
      return releasing(claim, () => void held.delete(digest));
    },
  };
}

/** A claim whose bytes are kept by `finish` and need no other keeping. */
function releasing(claim: ClaimedBlob, onRelease: () => void): BlobClaim {
  return {
    countKept: () => claim.countKept(),
    readKept: (length) => claim.readKept(length),
    drop: () => claim.drop(),
    release: () => {
      onRelease();
      return claim.release();
    },
  };
}

async function removeUnclaimed({ locks }: Claiming, folder: string): Promise<void> {
  const names = new Set((await readdir(folder)).map((name) => name.replace(/\.lock$/, '')));
  for (const name of names) {
    const path = join(folder, `${name}${LOCK}`);
    const request = { path, mode: 'exclusive', waitMs: 0, purpose: `remove ${name}`, passing: true } as const;
    const lock = await locks.acquire(request).catch(() => undefined);
    if (lock === undefined) continue;
    await rm(join(folder, name), { recursive: true, force: true });
    await lock.release();
  }
}
