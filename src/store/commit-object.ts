/**
 * Reads the string metadata of an ostree commit object, without a child process for each: listing hundreds of images
 * must not start hundreds of programs.
 * @see ostree-core.h OSTREE_COMMIT_GVARIANT_FORMAT `(a{sv}aya(say)sstayay)`
 */
import { AtomicError } from '../errors.ts';
import { alignTo, offsetWidth, readOffset, splitArray } from './gvariant.ts';

/** The frame offsets at the tail of a commit: five members before the fixed timestamp and one behind it. */
const COMMIT_OFFSETS = 6;
const CHECKSUM_BYTES = 32;

/**
 * @param what subject of the error's sentence
 * @returns the metadata whose values are strings; others are left out
 * @throws AtomicError `store-invalid`
 */
export function parseCommitMetadata(object: Buffer, what: string): Map<string, string> {
  const invalid = invalidCommit(what);
  const width = offsetWidth(object.length);
  // Tuples keep their offsets in reverse: the first member's end is the last number.
  if (object.length < COMMIT_OFFSETS * width) throw invalid;
  const end = readOffset(object, object.length - width, width);
  if (end > object.length - COMMIT_OFFSETS * width) throw invalid;
  const metadata = new Map<string, string>();
  for (const entry of splitArray(object.subarray(0, end), 8, invalid)) {
    const [key, value] = readEntry(entry, invalid);
    if (value !== undefined) metadata.set(key, value);
  }
  return metadata;
}

/** The checksums of a commit's root folder: its tree and its metadata. @throws AtomicError `store-invalid` */
export function parseCommitRoot(
  object: Buffer,
  what: string,
): { readonly tree: string; readonly meta: string } {
  const end = object.length - COMMIT_OFFSETS * offsetWidth(object.length);
  if (end < 2 * CHECKSUM_BYTES) throw invalidCommit(what);
  const metaStart = end - CHECKSUM_BYTES;
  return {
    tree: object.toString('hex', metaStart - CHECKSUM_BYTES, metaStart),
    meta: object.toString('hex', metaStart, end),
  };
}

function invalidCommit(what: string): AtomicError {
  return new AtomicError('store-invalid', `${what} is not a commit object of ostree`, {
    hint: 'Check the repo with `ostree fsck`.',
  });
}

/** One `{sv}`: the key, padding, the value with a NUL and its type behind it, and the key's end. */
function readEntry(entry: Buffer, invalid: Error): [string, string | undefined] {
  const width = offsetWidth(entry.length);
  const keyEnd = readOffset(entry, entry.length - width, width);
  if (keyEnd < 1 || keyEnd > entry.length - width) throw invalid;
  const key = entry.toString('utf8', 0, keyEnd - 1);
  const variant = entry.subarray(alignTo(8, keyEnd), entry.length - width);
  const typeAt = variant.lastIndexOf(0);
  const isString = typeAt >= 1 && variant.toString('latin1', typeAt + 1) === 's';
  return [key, isString ? variant.toString('utf8', 0, typeAt - 1) : undefined];
}
