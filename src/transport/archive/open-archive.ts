import type { FileHandle } from 'node:fs/promises';
import { Transform, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { AtomicError, describeDiskFull, isAtomicError, messageOf, TEMP_SPACE_HINT } from '../../errors.ts';
import { limitOf, type Cap } from '../../limits.ts';
import {
  openRegularFile,
  READ_CHUNK_BYTES,
  readRange,
  streamRange,
  tooLong,
  writeTo,
} from '../local-file.ts';
import { openNameless, tempFolderOf, type TempSpace } from '../temp-folder.ts';
import { MAGIC_BYTES, storedAs, type StoredAs } from './magic.ts';
import { indexTar, type ArchiveMember } from './tar-index.ts';

/** A regular member: where its bytes stand in the tar. */
export interface ArchiveFile {
  readonly name: string;
  readonly offset: number;
  readonly size: number;
}

/** A tar archive whose members are read where they stand: nothing is unpacked under a name that it chose. */
export interface Archive {
  /** As a person knows it. */
  readonly path: string;
  readonly members: ReadonlyMap<string, ArchiveMember>;
  /** Ends what takes long. */
  readonly signal: AbortSignal | undefined;
  /**
   * A regular member; undefined when nothing has that name.
   * @throws AtomicError `archive-invalid` for a link or a device
   */
  find(name: string): ArchiveFile | undefined;
  /** The bytes of a member, `limit-exceeded` when there are more than the cap. */
  read(file: ArchiveFile, cap: Cap): Promise<Buffer>;
  /** The first bytes of a member, fewer when it is shorter. */
  readStart(file: ArchiveFile, length: number): Promise<Buffer>;
  /** @param from the byte of the member to start at */
  stream(file: ArchiveFile, from?: number): Readable;
  close(): Promise<void>;
}

/**
 * Opens a tar, plain or compressed with gzip. A compressed one is first inflated into a temp file without a name (at most
 * `archive-unpacked-size`), which is gone with `close`, or with us; its members are then found by offset all the same.
 * @param shown what a person knows it by, when that is not its path
 * @throws AtomicError `image-not-found` when there is no such file, `archive-invalid`, `compression-unsupported`,
 *   `limit-exceeded`, `disk-full`, `file-exists` when there can be no temp file; the signal's reason
 */
export async function openArchive(path: string, space: TempSpace = {}, shown = path): Promise<Archive> {
  const handle = await openRegularFile(path, 'follow');
  if (handle === undefined) throw new AtomicError('image-not-found', `There is no file ${path}`);
  try {
    const compression = await detectCompression(handle);
    if (compression === 'gzip') return await openInflated(shown, handle, space);
    if (compression === 'none')
      return createArchive(shown, handle, await indexTar(handle, shown), space.signal);
    throw new AtomicError('compression-unsupported', `${shown} is compressed with something else than gzip`, {
      hint: 'Decompress it first.',
    });
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function openInflated(path: string, compressed: FileHandle, space: TempSpace): Promise<Archive> {
  const inflated = await openNameless(tempFolderOf(space));
  try {
    await inflate(compressed, path, inflated, space);
    const archive = createArchive(path, inflated, await indexTar(inflated, path), space.signal);
    await compressed.close();
    return archive;
  } catch (error) {
    await inflated.close();
    throw error;
  }
}

async function inflate(
  handle: FileHandle,
  path: string,
  target: FileHandle,
  space: TempSpace,
): Promise<void> {
  const { size } = await handle.stat();
  const { signal } = space;
  try {
    await pipeline(
      streamRange(handle, 0, size, path),
      createGunzip({ chunkSize: READ_CHUNK_BYTES }),
      limitUnpackedSize(`${path}, decompressed,`),
      writeTo(target),
      signal === undefined ? {} : { signal },
    );
  } catch (error) {
    signal?.throwIfAborted();
    const known = describeDiskFull(error, tempFolderOf(space), TEMP_SPACE_HINT);
    if (isAtomicError(known)) throw known;
    throw new AtomicError('archive-invalid', `${path} cannot be decompressed: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** Passes as many bytes as an archive may have. @throws AtomicError `limit-exceeded` at the first byte too many */
export function limitUnpackedSize(what: string): Transform {
  const limit = limitOf('archive-unpacked-size');
  let total = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      total += chunk.length;
      if (total > limit) done(tooLong(what, total, 'archive-unpacked-size'));
      else done(null, chunk);
    },
  });
}

function createArchive(
  path: string,
  handle: FileHandle,
  members: ReadonlyMap<string, ArchiveMember>,
  signal: AbortSignal | undefined,
): Archive {
  const describe = (file: ArchiveFile): string => `${path}, member ${file.name},`;
  return {
    path,
    members,
    signal,
    find(name) {
      const member = members.get(name);
      if (member === undefined) return undefined;
      if (member.kind === 'file') return { name, offset: member.offset, size: member.size };
      throw new AtomicError('archive-invalid', `${path} has ${name}, but not as a regular file`);
    },
    async read(file, cap) {
      if (file.size > limitOf(cap)) throw tooLong(describe(file), file.size, cap);
      return readRange(handle, file.offset, file.size, describe(file));
    },
    readStart: (file, length) => readRange(handle, file.offset, Math.min(length, file.size), describe(file)),
    stream(file, from = 0) {
      const start = Math.min(from, file.size);
      return streamRange(handle, file.offset + start, file.size - start, describe(file));
    },
    close: () => handle.close(),
  };
}

async function detectCompression(handle: FileHandle): Promise<StoredAs> {
  const start = Buffer.alloc(MAGIC_BYTES);
  const { bytesRead } = await handle.read(start, 0, start.length, 0);
  return storedAs(start.subarray(0, bytesRead));
}
