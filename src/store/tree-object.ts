/**
 * Reads the objects that describe folders. A checkout does not tell node a folder's xattrs, and costs a tree of links.
 * @see ostree-core.h OSTREE_TREE_GVARIANT_FORMAT `(a(say)a(sayay))`, OSTREE_DIRMETA_GVARIANT_FORMAT `(uuua(ayay))`
 */
import { AtomicError } from '../errors.ts';
import { offsetWidth, readOffset, splitArray } from './gvariant.ts';

const CHECKSUM_BYTES = 32;
/** Three numbers of 32 bits; what follows are the xattrs. */
const OWNER_AND_MODE_BYTES = 12;

export interface TreeObject {
  readonly files: readonly { readonly name: string; readonly checksum: string }[];
  readonly folders: readonly { readonly name: string; readonly tree: string; readonly meta: string }[];
}

/**
 * @param what subject of the error's sentence
 * @returns names as latin1, one character a byte
 * @throws AtomicError `store-invalid`
 */
export function parseTreeObject(object: Buffer, what: string): TreeObject {
  const invalid = invalidObject(what);
  const width = offsetWidth(object.length);
  const end = readOffset(object, object.length - width, width);
  if (end > object.length - width) throw invalid;
  const read = (element: Buffer, checksums: number): [string, ...string[]] =>
    readNamed(element, checksums, invalid);
  return {
    files: splitArray(object.subarray(0, end), 1, invalid).map((element) => {
      const [name, checksum = ''] = read(element, 1);
      return { name, checksum };
    }),
    folders: splitArray(object.subarray(end, object.length - width), 1, invalid).map((element) => {
      const [name, tree = '', meta = ''] = read(element, 2);
      return { name, tree, meta };
    }),
  };
}

/** A name and the checksums behind it. */
function readNamed(element: Buffer, checksums: number, invalid: Error): [string, ...string[]] {
  const width = offsetWidth(element.length);
  const nameEnd = readOffset(element, element.length - width, width);
  if (nameEnd < 2 || nameEnd + checksums * (CHECKSUM_BYTES + width) !== element.length) throw invalid;
  const hex = Array.from({ length: checksums }, (_, i) => {
    const start = nameEnd + i * CHECKSUM_BYTES;
    return element.toString('hex', start, start + CHECKSUM_BYTES);
  });
  return [element.toString('latin1', 0, nameEnd - 1), ...hex];
}

export interface DirectoryMeta {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly xattrs: boolean;
}

/** @throws AtomicError `store-invalid` */
export function parseDirectoryMeta(object: Buffer, what: string): DirectoryMeta {
  if (object.length < OWNER_AND_MODE_BYTES) throw invalidObject(what);
  return {
    uid: object.readUInt32BE(0),
    gid: object.readUInt32BE(4),
    mode: object.readUInt32BE(8) & 0o7777,
    xattrs: object.length > OWNER_AND_MODE_BYTES,
  };
}

function invalidObject(what: string): AtomicError {
  return new AtomicError('store-invalid', `${what} is not an object of ostree`, {
    hint: 'Check the repo with `ostree fsck`.',
  });
}
