/**
 * Who fetches which blob into a place, and what is there of blobs whose fetching was cut off. A claim is a lock that
 * dies with its process; the beginning of a blob is a file beside the place, named by the digest. Nobody trusts it: what
 * is read from it is verified with all that follows, from the first byte on, so it never needs to be synced either.
 */
import { constants } from 'node:fs';
import { open, rename, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable, type Writable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { describeDiskFull, isAtomicError } from '../errors.ts';
import type { Report } from '../events.ts';
import type { HeldLock, Locks } from '../host/ports.ts';
import type { Descriptor } from '../image/descriptor.ts';
import { algorithmOf, hexOf, type Digest } from '../image/digest.ts';
import { KeepingStream, type KeepingRoom } from './keeping-stream.ts';
import { READ_CHUNK_BYTES, streamRange } from './local-file.ts';

/** A blob that nobody else fetches into the same place until it is released. */
export interface BlobClaim {
  /** How many bytes of its beginning are there, unverified. */
  countKept(): Promise<number>;
  /** So many of those bytes. */
  readKept(length: number): Readable;
  /**
   * Passes a blob's bytes on and keeps them, from the byte `from` on; only where a place has no file of the blob itself.
   * A full disk ends the keeping and nothing else.
   */
  keep?(bytes: Readable, from: number): Promise<Readable>;
  /** Removes what is kept: it is not what it should be, or no longer needed. */
  drop(): Promise<void>;
  /** Lets others have it; what is kept stays. May be called again. */
  release(): Promise<void>;
}

/** The blobs of one place: a store, a folder. */
export interface BlobClaims {
  /**
   * Claims a blob. Whoever has got it asks the place again whether the blob is there by now.
   * @param patience whether to wait for as long as another process is at it, telling of that once
   * @param signal ends the wait
   * @returns undefined where somebody is at it and there is no patience
   * @throws the signal's reason
   */
  take(
    descriptor: Descriptor,
    patience: 'wait' | 'none',
    signal?: AbortSignal,
  ): Promise<BlobClaim | undefined>;
}

/** What locks are taken with. */
export interface Claiming {
  readonly locks: Locks;
  readonly report: Report;
}

export interface ClaimedFolder {
  /** Where beginnings are kept: private, ours, and there. */
  readonly folder: string;
  /** Our user; a file of somebody else is not read. */
  readonly owner: number;
  /** What they may take up; without it, nothing is kept by `keep`. */
  readonly room?: KeepingRoom;
}

/** The name of a blob's beginning, and of its lock. */
export function partialName(digest: Digest): string {
  return `${algorithmOf(digest)}-${hexOf(digest)}`;
}

/**
 * Takes a blob's lock. A place whose locks do not work (no flock(1), a file system without them) is one without claims.
 * @returns undefined where somebody has it and there is no patience; `none` where there are no locks
 */
export async function lockBlob(
  { locks, report }: Claiming,
  path: string,
  digest: Digest,
  patience: 'wait' | 'none',
  signal: AbortSignal | undefined,
): Promise<HeldLock | 'none' | undefined> {
  const purpose = `fetch the blob ${digest} now`;
  const request = { path, mode: 'exclusive', purpose, passing: true, ...(signal && { signal }) } as const;
  try {
    return await locks.acquire({ ...request, waitMs: 0 });
  } catch (error) {
    signal?.throwIfAborted();
    if (!isAtomicError(error, 'busy')) return 'none';
    if (patience === 'none') return undefined;
    report({ event: 'notice', text: `${error.message}; waiting for it` });
    return locks.acquire({ ...request, waitMs: Infinity });
  }
}

/** A claim without a lock, where nothing is kept either. */
export const UNKEPT: BlobClaim = {
  countKept: () => Promise.resolve(0),
  readKept: () => Readable.from([]),
  drop: () => Promise.resolve(),
  release: () => Promise.resolve(),
};

/** A claim with a file for the blob's beginning. */
export class ClaimedBlob implements BlobClaim {
  readonly #path: string;
  readonly #lock: HeldLock;
  readonly #where: ClaimedFolder;
  readonly #descriptor: Descriptor;
  #file: FileHandle | undefined;
  #kept = 0;
  #keeping: KeepingStream | undefined;
  /** Bytes that were read for a reader, who gives them back to `finish`. */
  #given = 0;

  private constructor(descriptor: Descriptor, where: ClaimedFolder, lock: HeldLock) {
    this.#path = join(where.folder, partialName(descriptor.digest));
    this.#descriptor = descriptor;
    this.#where = where;
    this.#lock = lock;
  }

  static async open(descriptor: Descriptor, where: ClaimedFolder, lock: HeldLock): Promise<ClaimedBlob> {
    const claim = new ClaimedBlob(descriptor, where, lock);
    await claim.#find();
    return claim;
  }

  async countKept(): Promise<number> {
    await this.#settle();
    return this.#kept;
  }

  readKept(length: number): Readable {
    if (this.#file === undefined) return Readable.from([]);
    this.#given = length;
    return streamRange(this.#file, 0, length, this.#path);
  }

  async keep(bytes: Readable, from: number): Promise<Readable> {
    await this.#settle();
    const { room } = this.#where;
    if (room === undefined || this.#descriptor.size < room.floorBytes) return bytes;
    try {
      this.#file ??= await createPartial(this.#path, 0o600);
      if (from < this.#kept) {
        await this.#file.truncate(from);
        room.giveBack(this.#kept - from);
      }
    } catch {
      return bytes;
    }
    this.#kept = from;
    this.#keeping = new KeepingStream(this.#file, from, room);
    // Its outcome is that of the stream that is returned.
    pipeline(bytes, this.#keeping).catch(() => undefined);
    return this.#keeping;
  }

  /**
   * Stores the whole blob: what was not read from here goes behind it, and the file becomes `target`, on the disk.
   * @throws AtomicError `disk-full`, with nothing kept; an error of the stream unchanged
   */
  async finish(bytes: Readable, target: string): Promise<void> {
    const start = this.#given;
    try {
      this.#file ??= await createPartial(this.#path, 0o644);
      await this.#file.truncate(start);
      const writer = this.#file.createWriteStream({ start, flush: true, highWaterMark: READ_CHUNK_BYTES });
      this.#file = undefined;
      await writeWhatComes(bytes, writer, start);
      await rename(this.#path, target);
    } catch (error) {
      const told = describeDiskFull(error, target);
      if (isAtomicError(told, 'disk-full')) await this.drop();
      throw told;
    }
  }

  async drop(): Promise<void> {
    await this.#settle();
    this.#where.room?.giveBack(this.#kept);
    this.#kept = 0;
    this.#given = 0;
    await this.#close();
    await rm(this.#path, { force: true, recursive: true });
  }

  async release(): Promise<void> {
    await this.#settle();
    await this.#close();
    await this.#lock.release();
  }

  async #find(): Promise<void> {
    this.#file = await openPartial(this.#path, this.#where.owner);
    const size = (await this.#file?.stat())?.size ?? 0;
    if (size > this.#descriptor.size) await this.drop();
    else this.#kept = size;
  }

  /** Ends the keeping; what came of it counts. */
  async #settle(): Promise<void> {
    const keeping = this.#keeping;
    if (keeping === undefined) return;
    this.#keeping = undefined;
    this.#kept = await keeping.settle();
    if (keeping.gaveUp) await this.drop();
  }

  async #close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }
}

/**
 * Writes a stream but for its first `skipped` bytes. Not by a pipeline, which throws away what waits in memory when the
 * stream fails: here that is still written.
 */
async function writeWhatComes(bytes: Readable, writer: Writable, skipped: number): Promise<void> {
  const written = finished(writer);
  written.catch((error: unknown) => bytes.destroy(error instanceof Error ? error : undefined));
  let left = skipped;
  bytes.on('data', (chunk: Buffer) => {
    const known = Math.min(left, chunk.length);
    left -= known;
    if (known === chunk.length || writer.write(chunk.subarray(known))) return;
    bytes.pause();
    writer.once('drain', () => bytes.resume());
  });
  try {
    await finished(bytes, { writable: false });
  } finally {
    if (!writer.destroyed) writer.end();
    await written;
  }
}

const SAFE = constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * A file of ours that is there; anything else in its place goes (a link, a pipe, a folder, somebody else's file).
 * Undefined also where it cannot be read.
 */
async function openPartial(path: string, owner: number): Promise<FileHandle | undefined> {
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDWR | SAFE);
  } catch {
    await rm(path, { force: true, recursive: true }).catch(() => undefined);
    return undefined;
  }
  const stats = await file.stat();
  if (stats.isFile() && stats.uid === owner && stats.nlink === 1) return file;
  await file.close();
  await rm(path, { force: true }).catch(() => undefined);
  return undefined;
}

function createPartial(path: string, mode: number): Promise<FileHandle> {
  return open(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | SAFE, mode);
}
