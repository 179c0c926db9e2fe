/** What an entry says, out of its header and of the extensions that precede it. */
import { AtomicError } from '../../errors.ts';
import { PATH_BYTES } from '../../limits.ts';
import { readNumber, type TarHeader } from './header.ts';
import type { PaxRecords } from './pax.ts';
import { storedPath } from './stored-name.ts';

/** What precedes an entry and speaks of it: PAX records and GNU long names, with their blocks as they came. */
export interface EntryExtensions {
  readonly blocks: readonly Buffer[];
  readonly pax: PaxRecords | undefined;
  readonly longPath: string | undefined;
  readonly longLink: string | undefined;
}

export interface Entry {
  readonly header: TarHeader;
  readonly block: Buffer;
  readonly extensions: EntryExtensions;
  /** Subject of the error's sentence. */
  readonly what: string;
}

/** PAX keys that libarchive reads as we do; an entry with others is rewritten without them. */
const KNOWN_PAX =
  /^(?:[acm]time|[ug]id|[ug]name|path|linkpath|size|comment|SCHILY\.(?:dev|ino|nlink|xattr\..+)|LIBARCHIVE\.creationtime|GNU\.sparse\..+)$/;

/** PAX records by key, the last one of each. An empty value unsets its key: pax(1). */
export function effectivePax({ pax = [] }: EntryExtensions): ReadonlyMap<string, string> {
  const records = new Map(pax);
  for (const [key, value] of records) if (value === '') records.delete(key);
  return records;
}

export function isKnownPax([key, value]: PaxRecords[number]): boolean {
  return KNOWN_PAX.test(key) && (value !== '' || key.startsWith('SCHILY.xattr.'));
}

export function givenLink(pax: ReadonlyMap<string, string>, { extensions, header }: Entry): string {
  return pax.get('linkpath') ?? extensions.longLink ?? header.linkPath;
}

/** The bytes that follow the header: a PAX `size` outranks the header's own. */
export function storedSize(pax: ReadonlyMap<string, string>, header: TarHeader, what: string): number {
  const text = pax.get('size');
  if (text === undefined) return header.size;
  const size = Number(text);
  if (/^[0-9]{1,16}$/.test(text) && Number.isSafeInteger(size)) return size;
  throw new AtomicError('layer-invalid', `${what} has an entry whose size is ${JSON.stringify(text)}`);
}

/** Linux has 32 bits for an owner, and chown(2) takes the highest number for none. */
export function ownerOf(
  pax: ReadonlyMap<string, string>,
  key: 'uid' | 'gid',
  { header, what }: Entry,
): number {
  const text = pax.get(key);
  const owner = text === undefined ? header[key] : /^[0-9]+$/.test(text) ? Number(text) : Number.NaN;
  if (owner < 0xffff_ffff) return owner;
  throw new AtomicError('layer-invalid', `${what} has an entry whose ${key} is ${text ?? owner}`);
}

/** How large a sparse file is once its holes are zeros, which is how ostree stores it; undefined for any other. */
export function sparseSize(pax: ReadonlyMap<string, string>, { header, block }: Entry): number | undefined {
  if (header.type === 'S') return readNumber(block, 483, 12) ?? Number.POSITIVE_INFINITY;
  const text = pax.get('GNU.sparse.realsize') ?? pax.get('GNU.sparse.size');
  return text === undefined ? undefined : /^[0-9]+$/.test(text) ? Number(text) : Number.POSITIVE_INFINITY;
}

/** A symlink's target as it is stored: ostree keeps UTF-8 text only and would store others as something else. */
export function storedTarget(path: string, target: string, what: string): string {
  if (target === '' || target.length >= PATH_BYTES || target.includes('\0')) {
    throw new AtomicError(
      'layer-invalid',
      `${what} has the symbolic link ${JSON.stringify(path)}, whose target is empty, has a NUL or is too long`,
    );
  }
  const stored = storedPath(target);
  if (stored.length < PATH_BYTES) return stored;
  throw new AtomicError(
    'unsupported',
    `${what} has the symbolic link ${JSON.stringify(path)}, whose target is not UTF-8 and too long to be stored`,
    { hint: 'ostree stores UTF-8 text only: change the link in the image.' },
  );
}
