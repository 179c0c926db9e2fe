import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  createReadStream,
  existsSync,
  fstatSync,
  openSync,
  readlinkSync,
  readSync,
} from 'node:fs';
import { lstat, readdir, realpath, rename, stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { AtomicError, systemCodeOf } from '../errors.ts';
import { makeFolder } from '../make-folder.ts';
import { fileError } from './files/file-error.ts';
import { describeFile, installFile, missingParents, reproduceFile } from './files/install.ts';
import { createJournal } from './files/journal-file.ts';
import { listMounts } from './files/mounts.ts';
import { removeEntry, removeTree } from './files/remove.ts';
import { createFile, createSymlink, linkFile, syncDirectory, writeFileAtomic } from './files/replace.ts';
import { isFileOpen } from './open-files.ts';
import { limitExceeded, limitOf, type Cap } from '../limits.ts';
import type { Exec, HostFiles, Selinux } from './ports.ts';
import { createSelinux } from './selinux.ts';

/** Read at a time of a file that is longer than it said. */
const CHUNK_BYTES = 64 * 1024;

/** The host's files; `sync`, `rm` and SELinux's programs are run for what node cannot do. */
export function createFiles(exec: Exec, selinux: Selinux = createSelinux(exec)): HostFiles {
  return {
    writeFileAtomic,
    createFile,
    createSymlink,
    link: linkFile,
    isSame,
    label: (path) => selinux.restoreLabels([path]),
    readIfExists,
    exists,
    isOpen: isFileOpen,
    standsNow: existsSync,
    isDirectory,
    list,
    readLink,
    realpath: (path) => telling(`find ${path}`, () => realpath(path)),
    checksum,
    makeDirectory: (path, mode = 0o755) => telling(`create the folder ${path}`, () => makeFolder(path, mode)),
    describe: describeFile,
    reproduce: reproduceFile,
    missingParents,
    install: (file, temporary) => installFile(file, temporary, selinux),
    createJournal,
    rename: (from, to) => telling(`rename ${from} to ${to}`, () => rename(from, to)),
    remove: removeEntry,
    removeTree: (path) => removeTree(exec, path),
    syncDirectory,
    syncFilesystem: async (path) => void (await exec.run('sync', ['-f', '--', path])),
    freeBytes: async (path) => {
      const { bavail, bsize } = await statfs(await nearestExisting(path));
      return bavail * bsize;
    },
    sameFilesystem: async (a, b) => (await deviceOf(a)) === (await deviceOf(b)),
    inode: async (path) =>
      (await absentAsUndefined(`look at ${path}`, () => lstat(path, { bigint: true })))?.ino.toString(),
    mounts: listMounts,
  };
}

async function telling<T>(what: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw fileError(error, what);
  }
}

/** `undefined` in place of the error that says that nothing is there. */
async function absentAsUndefined<T>(what: string, act: () => Promise<T>): Promise<T | undefined> {
  try {
    return await act();
  } catch (error) {
    const code = systemCodeOf(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw fileError(error, what);
  }
}

/**
 * Read at once and not by way of the thread pool and a stream, which take ten times as long for small files: a list reads
 * two for each container.
 */
function readIfExists(path: string, cap: Cap): Promise<Buffer | undefined> {
  return absentAsUndefined(`read ${path}`, async () => {
    // O_NONBLOCK: opening a FIFO would wait for its writer.
    const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const stats = fstatSync(file);
      if (!stats.isFile()) throw new AtomicError('host-file', `Cannot read ${path}: it is no regular file`);
      return readCapped(file, stats.size, limitOf(cap), () =>
        limitExceeded(cap, `${path} has more than ${limitOf(cap)} bytes`),
      );
    } finally {
      closeSync(file);
    }
  });
}

/** To its end, which need not be where its size says: files of the kernel have none. */
function readCapped(file: number, size: number, limit: number, tooLarge: () => AtomicError): Buffer {
  const chunks: Buffer[] = [];
  let length = 0;
  for (let room = Math.min(size, limit) + 1; ; room = CHUNK_BYTES) {
    const chunk = Buffer.allocUnsafe(room);
    const read = readSync(file, chunk);
    if (read === 0) return Buffer.concat(chunks, length);
    length += read;
    if (length > limit) throw tooLarge();
    chunks.push(chunk.subarray(0, read));
  }
}

async function exists(path: string): Promise<boolean> {
  return (await absentAsUndefined(`look at ${path}`, () => lstat(path))) !== undefined;
}

async function isSame(a: string, b: string): Promise<boolean> {
  const [one, other] = await Promise.all(
    [a, b].map((path) => absentAsUndefined(`look at ${path}`, () => lstat(path, { bigint: true }))),
  );
  return one !== undefined && one.ino === other?.ino && one.dev === other.dev;
}

async function isDirectory(path: string): Promise<boolean> {
  return (await absentAsUndefined(`look at ${path}`, () => stat(path)))?.isDirectory() ?? false;
}

async function list(path: string): Promise<string[]> {
  return (await absentAsUndefined(`list ${path}`, () => readdir(path)))?.sort() ?? [];
}

/** At once, for the same reason. */
async function readLink(path: string): Promise<string | undefined> {
  try {
    return readlinkSync(path);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EINVAL'].includes(systemCodeOf(error) ?? '')) return undefined;
    throw fileError(error, `read the link ${path}`);
  }
}

async function checksum(path: string): Promise<string | undefined> {
  if (!(await exists(path))) return undefined;
  const what = await absentAsUndefined(`look at ${path}`, () => stat(path));
  if (what === undefined || !what.isFile()) return '0';
  const hash = createHash('sha256');
  await telling(`read ${path}`, () => pipeline(createReadStream(path), hash));
  return hash.digest('hex');
}

async function nearestExisting(path: string): Promise<string> {
  let candidate = path;
  while (candidate !== '/') {
    const current = candidate;
    if ((await absentAsUndefined(`look at ${current}`, () => stat(current))) !== undefined) break;
    candidate = dirname(candidate);
  }
  return candidate;
}

async function deviceOf(path: string): Promise<number> {
  const existing = await nearestExisting(path);
  return (await telling(`look at ${existing}`, () => stat(existing))).dev;
}
