/** Reading files that somebody else wrote: regular ones only, links not followed, sizes capped. */
import { constants } from 'node:fs';
import { lstat, open, type FileHandle } from 'node:fs/promises';
import { Readable, Writable } from 'node:stream';
import { AtomicError, fileProblemOf, systemCodeOf } from '../errors.ts';
import { limitExceeded, limitOf, type Cap } from '../limits.ts';

/** Bytes asked of the disk at once. */
export const READ_CHUNK_BYTES = 1024 * 1024;

const ABSENT = new Set(['ENOENT', 'ENOTDIR']);

/**
 * Opens a regular file for reading; undefined when there is none. O_NONBLOCK keeps a FIFO from holding us up.
 * @param links whether a symlink may lead to the file: only where a person typed the path.
 * @throws AtomicError `archive-invalid` for a symlink, a folder, a device…; `host-file` for a file that cannot be opened
 */
export async function openRegularFile(
  path: string,
  links: 'refuse' | 'follow',
): Promise<FileHandle | undefined> {
  const flags = constants.O_RDONLY | constants.O_NONBLOCK | (links === 'refuse' ? constants.O_NOFOLLOW : 0);
  let handle: FileHandle;
  try {
    handle = await open(path, flags);
  } catch (error) {
    const code = systemCodeOf(error) ?? '';
    if (ABSENT.has(code)) return undefined;
    if (code === 'ELOOP') throw new AtomicError('archive-invalid', `${path} is a symbolic link, not a file`);
    const found = `${path} cannot be opened: ${fileProblemOf(error)}`;
    if (code !== 'EACCES' && code !== 'EPERM')
      throw new AtomicError('archive-invalid', found, { cause: error });
    throw new AtomicError('host-file', found, {
      hint: 'Check whose it is, and who may read it.',
      cause: error,
    });
  }
  try {
    if ((await handle.stat()).isFile()) return handle;
    throw new AtomicError('archive-invalid', `${path} is not a regular file`);
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/**
 * The whole of a small regular file; undefined when there is none.
 * @throws AtomicError `limit-exceeded` when it is longer than `cap`; as `openRegularFile`
 */
export async function readSmallFile(path: string, cap: Cap): Promise<Buffer | undefined> {
  const handle = await openRegularFile(path, 'refuse');
  if (handle === undefined) return undefined;
  try {
    const { size } = await handle.stat();
    if (size > limitOf(cap)) throw tooLong(path, size, cap);
    return await readRange(handle, 0, size, path);
  } finally {
    await handle.close();
  }
}

/** A regular file, from a byte on, as a stream that closes it; undefined when there is none. Throws as `openRegularFile`. */
export async function streamFile(path: string, start = 0): Promise<Readable | undefined> {
  const handle = await openRegularFile(path, 'refuse');
  return handle?.createReadStream({ start, highWaterMark: READ_CHUNK_BYTES });
}

/** Whether there is a regular file of exactly that size. */
export async function isFileOfSize(path: string, size: number): Promise<boolean> {
  const stats = await lstat(path).catch(() => undefined);
  return stats !== undefined && stats.isFile() && stats.size === size;
}

/**
 * `length` bytes from `start`.
 * @param what subject of the error's sentence.
 * @throws AtomicError `archive-invalid` when the file ends before
 */
export async function readRange(
  handle: FileHandle,
  start: number,
  length: number,
  what: string,
): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await handle.read(bytes, done, length - done, start + done);
    if (bytesRead === 0) throw endsEarly(what, length, done);
    done += bytesRead;
  }
  return bytes;
}

/**
 * The same as a stream; the handle stays open. A reader of its own, because `createReadStream` leaves a listener on
 * a shared handle for every stream.
 */
export function streamRange(handle: FileHandle, start: number, length: number, what: string): Readable {
  async function* read(): AsyncGenerator<Buffer> {
    let done = 0;
    while (done < length) {
      const chunk = Buffer.allocUnsafe(Math.min(READ_CHUNK_BYTES, length - done));
      const { bytesRead } = await handle.read(chunk, 0, chunk.length, start + done);
      if (bytesRead === 0) throw endsEarly(what, length, done);
      done += bytesRead;
      yield bytesRead === chunk.length ? chunk : chunk.subarray(0, bytesRead);
    }
  }
  return Readable.from(read(), { objectMode: false, highWaterMark: READ_CHUNK_BYTES });
}

/** Bytes that wait to be written. */
const WRITE_BUFFER_BYTES = 1024 * 1024;

/** Writes to a file that stays open: closing it waits for a write that is on its way, but not for a stream's end. */
export function writeTo(file: FileHandle): Writable {
  const append = async (chunk: Buffer, done: (error: Error | null) => void): Promise<void> => {
    const failure = await file.writeFile(chunk).catch((error: Error) => error);
    done(failure instanceof Error ? failure : null);
  };
  return new Writable({
    highWaterMark: WRITE_BUFFER_BYTES,
    write: (chunk: Buffer, _encoding, done) => void append(chunk, done),
  });
}

export function tooLong(what: string, size: number, cap: Cap): AtomicError {
  return limitExceeded(cap, `${what} has ${size} bytes; the limit is ${limitOf(cap)}`, size);
}

function endsEarly(what: string, length: number, done: number): AtomicError {
  return new AtomicError('archive-invalid', `${what} ends after ${done} of ${length} bytes`);
}
