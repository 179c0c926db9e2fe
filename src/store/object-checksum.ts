/**
 * The checksum that names a file object of ostree, computed from a file as it stands on the disk.
 *
 * It is the sha256 of a header and the content: the header's length (big endian, padded to 8 bytes), then the GVariant
 * `(uuuusa(ayay))` of uid, gid, mode, rdev (0), a symlink's target, and the xattrs, all numbers big endian; a symlink
 * has no content. libostree, ostree-core.c: `_ostree_file_header_new`, `ostree_checksum_file_from_input`.
 *
 * Paths here are byte strings: one character for each byte of a name, which need not be UTF-8.
 */
import { createHash, type Hash } from 'node:crypto';
import { closeSync, constants, openSync, readlinkSync, readSync, type Stats } from 'node:fs';
import { setImmediate as breathe } from 'node:timers/promises';
import { withOffsets } from './gvariant.ts';

/** Bytes that are read at one time. */
const CHUNK = 256 * 1024;
/** So many of them, and signals are heard. */
const CHUNKS_AT_ONCE = 64;
const FIXED_BYTES = 16;
const PREFIX_BYTES = 8;

export interface Xattr {
  readonly name: string;
  readonly value: Uint8Array;
}

/**
 * The checksum of a regular file or symbolic link; its xattrs are not read but given.
 * @param stats of the path, links not followed
 * @throws system errors of open(2) and read(2)
 */
export async function fileObjectChecksum(
  path: string,
  stats: Stats,
  xattrs: readonly Xattr[] = [],
): Promise<string> {
  const bytes = pathBytes(path);
  const isLink = stats.isSymbolicLink();
  const hash = createHash('sha256');
  const header = fileHeader(stats, isLink ? readlinkSync(bytes, 'buffer') : Buffer.alloc(0), xattrs);
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(header.length);
  hash.update(prefix).update(header);
  if (!isLink && stats.size > 0) await hashContent(bytes, stats.size, hash);
  return hash.digest('hex');
}

/** The bytes that a byte string stands for. */
export function pathBytes(path: string): Buffer {
  return Buffer.from(path, 'latin1');
}

/** The byte string of a path that is text. */
export function bytePath(path: string): string {
  return Buffer.from(path, 'utf8').toString('latin1');
}

/** Read at once and not by way of the thread pool, which takes five times as long for small files. */
async function hashContent(path: Buffer, size: number, hash: Hash): Promise<void> {
  // Not a link or a pipe that has come into the file's place since it was looked at.
  const chunk = Buffer.allocUnsafe(Math.min(CHUNK, size + 1));
  const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    for (let chunks = 1; ; chunks++) {
      const read = readSync(file, chunk);
      if (read === 0) break;
      hash.update(chunk.subarray(0, read));
      if (chunks % CHUNKS_AT_ONCE === 0) await breathe();
    }
  } finally {
    closeSync(file);
  }
}

/** GVariant specification, 2.5: members that vary in size are found by their ends, listed at the end of the whole. */
function fileHeader({ uid, gid, mode }: Stats, target: Uint8Array, xattrs: readonly Xattr[]): Buffer {
  const fixed = Buffer.alloc(FIXED_BYTES);
  for (const [i, value] of [uid, gid, mode].entries()) fixed.writeUInt32BE(value, i * 4);
  const text = Buffer.concat([fixed, target, Buffer.alloc(1)]);
  const list = frameArray(xattrs.map(({ name, value }) => frameXattr(name, value)));
  return withOffsets(Buffer.concat([text, list]), [text.length]);
}

function frameXattr(name: string, value: Uint8Array): Buffer {
  const key = Buffer.from(`${name}\0`);
  return withOffsets(Buffer.concat([key, value]), [key.length]);
}

function frameArray(elements: readonly Buffer[]): Buffer {
  let end = 0;
  const ends = elements.map((element) => (end += element.length));
  return withOffsets(Buffer.concat(elements), ends);
}
