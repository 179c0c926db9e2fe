/**
 * Reads the string metadata of an ostree commit object, without a child process for each: listing hundreds of images
 * must not start hundreds of programs.
 * @see ostree-core.h OSTREE_COMMIT_GVARIANT_FORMAT `(a{sv}aya(say)sstayay)`; GVariant specification sections 2.3, 3.2
 */
import { AtomicError } from '../errors.ts';

/** The frame offsets at the tail of a commit: five members before the fixed timestamp and one behind it. */
const COMMIT_OFFSETS = 6;

/**
 * @param what subject of the error's sentence
 * @returns the metadata whose values are strings; others are left out
 * @throws AtomicError `store-invalid`
 */
export function parseCommitMetadata(object: Buffer, what: string): Map<string, string> {
  const invalid = new AtomicError('store-invalid', `${what} is not a commit object of ostree`, {
    hint: 'Check the repo with `ostree fsck`.',
  });
  const width = offsetWidth(object.length);
  // Tuples keep their offsets in reverse: the first member's end is the last number.
  if (object.length < COMMIT_OFFSETS * width) throw invalid;
  const end = readOffset(object, object.length - width, width);
  if (end > object.length - COMMIT_OFFSETS * width) throw invalid;
  const metadata = new Map<string, string>();
  for (const entry of splitArray(object.subarray(0, end), invalid)) {
    const [key, value] = readEntry(entry, invalid);
    if (value !== undefined) metadata.set(key, value);
  }
  return metadata;
}

/** The elements of `a{sv}`: each starts on a multiple of 8; a table of their ends follows the last. */
function splitArray(bytes: Buffer, invalid: Error): Buffer[] {
  if (bytes.length === 0) return [];
  const width = offsetWidth(bytes.length);
  const tableStart = readOffset(bytes, bytes.length - width, width);
  if (tableStart > bytes.length) throw invalid;
  const elements: Buffer[] = [];
  let start = 0;
  for (let at = tableStart; at + width <= bytes.length; at += width) {
    const end = readOffset(bytes, at, width);
    if (start > end || end > tableStart) throw invalid;
    elements.push(bytes.subarray(start, end));
    start = alignTo8(end);
  }
  return elements;
}

/** One `{sv}`: the key, padding, the value with a NUL and its type behind it, and the key's end. */
function readEntry(entry: Buffer, invalid: Error): [string, string | undefined] {
  const width = offsetWidth(entry.length);
  const keyEnd = readOffset(entry, entry.length - width, width);
  if (keyEnd < 1 || keyEnd > entry.length - width) throw invalid;
  const key = entry.toString('utf8', 0, keyEnd - 1);
  const variant = entry.subarray(alignTo8(keyEnd), entry.length - width);
  const typeAt = variant.lastIndexOf(0);
  const isString = typeAt >= 1 && variant.toString('latin1', typeAt + 1) === 's';
  return [key, isString ? variant.toString('utf8', 0, typeAt - 1) : undefined];
}

/** GVariant spends as many bytes on an offset as the container's size needs. */
function offsetWidth(size: number): 1 | 2 | 4 {
  return size <= 0xff ? 1 : size <= 0xffff ? 2 : 4;
}

function readOffset(bytes: Buffer, at: number, width: 1 | 2 | 4): number {
  return at < 0 ? Number.MAX_SAFE_INTEGER : bytes.readUIntLE(at, width);
}

function alignTo8(offset: number): number {
  return (offset + 7) & ~7;
}
