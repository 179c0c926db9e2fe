/**
 * Reads the string metadata of an ostree commit object, without a child process for each: listing hundreds of images
 * must not start hundreds of programs.
 * @see ostree-core.h OSTREE_COMMIT_GVARIANT_FORMAT `(a{sv}aya(say)sstayay)`
 */
import { AtomicError } from '../errors.ts';
import { alignTo, offsetTable, offsetWidth, readOffset } from './gvariant.ts';

/** The frame offsets at the tail of a commit: five members before the fixed timestamp and one behind it. */
const COMMIT_OFFSETS = 6;
const CHECKSUM_BYTES = 32;
/** Entries are far fewer; each has an offset of 4 bytes at most. */
const TABLE_BYTES = 64 * 1024;

/** A commit object, of which not everything has to be read: a layer's may hold megabytes. */
export interface CommitBytes {
  readonly size: number;
  /** What there is of these bytes. */
  read(start: number, end: number): Buffer;
}

/** Where a value lies in a commit object. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

export interface CommitMetadata {
  /** The strings, but for those that were passed over; metadata of other types is left out. */
  readonly strings: Map<string, string>;
  /** Where the strings are that were passed over. */
  readonly passedOver: Map<string, ByteRange>;
}

export function wholeCommit(object: Buffer): CommitBytes {
  return { size: object.length, read: (start, end) => object.subarray(start, end) };
}

/**
 * Reads a commit's metadata, in parts where the commit is not in memory.
 * @param what subject of the error's sentence
 * @param passOver keys whose values are not read
 * @throws AtomicError `store-invalid`
 */
export function readCommitMetadata(
  object: CommitBytes,
  what: string,
  passOver: readonly string[],
): CommitMetadata {
  const invalid = invalidCommit(what);
  const width = offsetWidth(object.size);
  // Tuples keep their offsets in reverse: the first member's end is the last number.
  if (object.size < COMMIT_OFFSETS * width) throw invalid;
  const end = readOffset(object.read(object.size - width, object.size), 0, width);
  if (end > object.size - COMMIT_OFFSETS * width) throw invalid;
  const metadata: CommitMetadata = { strings: new Map(), passedOver: new Map() };
  for (const entry of splitDictionary(object, end, invalid)) {
    const { key, value } = findValue(object, entry, invalid);
    if (value === undefined) continue;
    if (passOver.includes(key)) metadata.passedOver.set(key, value);
    else metadata.strings.set(key, object.read(value.start, value.end).toString('utf8'));
  }
  return metadata;
}

/** The checksums of a commit's root folder: its tree and its metadata. @throws AtomicError `store-invalid` */
export function parseCommitRoot(object: Buffer, what: string): CommitRoot {
  return readCommitRoot(wholeCommit(object), what);
}

export interface CommitRoot {
  readonly tree: string;
  readonly meta: string;
}

export function readCommitRoot(object: CommitBytes, what: string): CommitRoot {
  const end = object.size - COMMIT_OFFSETS * offsetWidth(object.size);
  if (end < 2 * CHECKSUM_BYTES) throw invalidCommit(what);
  const checksums = object.read(end - 2 * CHECKSUM_BYTES, end);
  return {
    tree: checksums.toString('hex', 0, CHECKSUM_BYTES),
    meta: checksums.toString('hex', CHECKSUM_BYTES),
  };
}

/** A commit object but for one long string: what stands before it and behind it. */
export interface CommitFrame {
  readonly before: Buffer;
  readonly after: Buffer;
}

/**
 * A commit without parent, subject and text, as GVariant serialises it.
 * @param long a key whose value, of so many bytes, is written between the two parts
 */
export function frameCommit(
  { tree, meta }: CommitRoot,
  created: Date,
  metadata: readonly (readonly [string, string])[],
  long?: { readonly key: string; readonly bytes: number },
): CommitFrame {
  const entries: Buffer[] = [];
  const ends: number[] = [];
  let size = 0;
  for (const [key, value] of metadata) {
    const text = Buffer.from(value, 'utf8');
    const padding = Buffer.alloc(alignTo(8, size) - size);
    entries.push(padding, entryHead(key), text, entryTail(key, text.length));
    size = Buffer.concat(entries).length;
    ends.push(size);
  }
  if (long === undefined) {
    const after = frameTail(size, ends, created, Buffer.from(tree + meta, 'hex'));
    return { before: Buffer.concat(entries), after };
  }
  entries.push(Buffer.alloc(alignTo(8, size) - size), entryHead(long.key));
  const before = Buffer.concat(entries);
  const tail = entryTail(long.key, long.bytes);
  size = before.length + long.bytes + tail.length;
  const rest = frameTail(size, [...ends, size], created, Buffer.from(tree + meta, 'hex'));
  return { before, after: Buffer.concat([tail, rest]) };
}

/** What follows the entries of the dictionary: the table of their ends, and the commit's other members. */
function frameTail(entriesEnd: number, ends: readonly number[], created: Date, checksums: Buffer): Buffer {
  const table = offsetTable(entriesEnd, ends);
  const dictionaryEnd = entriesEnd + table.length;
  // No parent and no related objects take up nothing, an empty subject and text a NUL each.
  const textEnd = dictionaryEnd + 2;
  const time = Buffer.alloc(8);
  time.writeBigUInt64BE(BigInt(Math.floor(created.getTime() / 1000)));
  const timeEnd = alignTo(8, textEnd) + time.length;
  const treeEnd = timeEnd + CHECKSUM_BYTES;
  // The last member's end is not listed, nor that of the time, whose size is known.
  const offsets = [treeEnd, textEnd, dictionaryEnd + 1, dictionaryEnd, dictionaryEnd, dictionaryEnd];
  const padding = Buffer.alloc(timeEnd - time.length - dictionaryEnd);
  const last = offsetTable(treeEnd + CHECKSUM_BYTES, offsets);
  return Buffer.concat([table, padding, time, checksums, last]);
}

/** One `{sv}` up to its value: the key and padding. */
function entryHead(key: string): Buffer {
  const bytes = Buffer.from(`${key}\0`);
  return Buffer.concat([bytes], alignTo(8, bytes.length));
}

/** And from there: the string's NUL, one before its type, the type, and where the key ends. */
function entryTail(key: string, bytes: number): Buffer {
  const end = Buffer.from('\0\0s');
  const offset = offsetTable(entryHead(key).length + bytes + end.length, [Buffer.byteLength(key) + 1]);
  return Buffer.concat([end, offset]);
}

function invalidCommit(what: string): AtomicError {
  return new AtomicError('store-invalid', `${what} is not a commit object of ostree`, {
    hint: 'Check the repo with `ostree fsck`.',
  });
}

/** The entries of the dictionary that a commit begins with: each starts on a multiple of 8; a table of ends follows. */
function splitDictionary(object: CommitBytes, size: number, invalid: Error): ByteRange[] {
  if (size === 0) return [];
  const width = offsetWidth(size);
  const tableStart = readOffset(object.read(size - width, size), 0, width);
  if (tableStart > size || size - tableStart > TABLE_BYTES) throw invalid;
  const table = object.read(tableStart, size);
  const entries: ByteRange[] = [];
  let start = 0;
  for (let at = 0; at + width <= table.length; at += width) {
    const end = readOffset(table, at, width);
    if (start > end || end > tableStart) throw invalid;
    entries.push({ start, end });
    start = alignTo(8, end);
  }
  return entries;
}

/** One entry's key, and where its value is when that is a string. */
function findValue(
  object: CommitBytes,
  { start, end }: ByteRange,
  invalid: Error,
): { readonly key: string; readonly value: ByteRange | undefined } {
  const width = offsetWidth(end - start);
  const valueEnd = end - width;
  const keyEnd = valueEnd < start ? 0 : readOffset(object.read(valueEnd, end), 0, width);
  if (keyEnd < 1 || keyEnd > valueEnd - start) throw invalid;
  const key = object.read(start, start + keyEnd - 1).toString('utf8');
  const valueStart = start + alignTo(8, keyEnd);
  // A string ends with its own NUL, the one before the type, and the type.
  const isString =
    valueEnd - valueStart >= 3 && object.read(valueEnd - 2, valueEnd).toString('latin1') === '\0s';
  return { key, value: isString ? { start: valueStart, end: valueEnd - 3 } : undefined };
}
