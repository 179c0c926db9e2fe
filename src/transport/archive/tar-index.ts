import type { FileHandle } from 'node:fs/promises';
import { Header, Pax, type HeaderData } from 'tar';
import { AtomicError } from '../../errors.ts';
import { limitExceeded, limitOf } from '../../limits.ts';
import { readRange } from '../local-file.ts';

const BLOCK = 512;

/** What stands in an archive under a name. Names and targets are text to look up, never paths of this machine. */
export type ArchiveMember =
  | { readonly kind: 'file'; readonly offset: number; readonly size: number }
  | { readonly kind: 'symlink'; readonly target: string }
  | { readonly kind: 'other'; readonly type: string };

const FILE_TYPES = new Set(['File', 'OldFile', 'ContiguousFile']);
const PAX_TYPES = new Set(['ExtendedHeader', 'OldExtendedHeader']);
const LONG_NAME_TYPES = new Set(['NextFileHasLongPath', 'OldGnuLongPath']);
/** Types that POSIX gives no data, whatever their size field says. */
const BODILESS = new Set(['Directory', 'Link', 'SymbolicLink', 'CharacterDevice', 'BlockDevice', 'FIFO']);

/**
 * Finds the members of an uncompressed tar by reading its headers only and stepping over the data.
 * A leading `./` and a trailing `/` are not part of a name; folders are left out.
 * @throws AtomicError `archive-invalid` for a damaged or cut off archive and for a name that comes twice (tools
 *   disagree on which one counts), `limit-exceeded` above `archive-members` or `tar-header-size`
 * @see POSIX pax, "ustar Interchange Format" and "pax Extended Header"; GNU tar, long names
 */
export async function indexTar(handle: FileHandle, path: string): Promise<Map<string, ArchiveMember>> {
  const members = new Map<string, ArchiveMember>();
  const { size: end } = await handle.stat();
  let position = 0;
  let headers = 0;
  let extension: HeaderData = {};
  while (position < end) {
    const header = readHeader(await readRange(handle, position, BLOCK, path), extension, position, path);
    if (header === undefined) break;
    if (++headers > limitOf('archive-members')) {
      throw limitExceeded('archive-members', `${path} has more than ${limitOf('archive-members')} members`);
    }
    const offset = position + BLOCK;
    const size = BODILESS.has(header.type) ? 0 : (header.size ?? -1);
    if (!Number.isSafeInteger(size) || size < 0 || offset + size > end) {
      throw new AtomicError('archive-invalid', `${path} is cut off or damaged at byte ${position}`);
    }
    position = offset + Math.ceil(size / BLOCK) * BLOCK;
    const next = await readExtension(handle, header, offset, size, extension, path);
    if (next !== undefined) {
      extension = next;
      continue;
    }
    // Header applies an extended path only beside an empty prefix field, and a target not at all.
    const name = extension.path ?? header.path ?? '';
    const target = extension.linkpath ?? header.linkpath ?? '';
    extension = {};
    if (header.type !== 'Directory')
      addMember(members, name, memberOf(header.type, offset, size, target), path);
  }
  return members;
}

/** Undefined for the zero block that ends the archive. */
function readHeader(
  block: Buffer,
  extension: HeaderData,
  position: number,
  path: string,
): Header | undefined {
  const header = new Header(block, 0, extension);
  if (header.nullBlock) return undefined;
  if (header.cksumValid) return header;
  throw new AtomicError(
    'archive-invalid',
    position === 0 ? `${path} is not a tar archive` : `${path} has a damaged tar header at byte ${position}`,
  );
}

/** What an extended header says of the next member; undefined when `header` is a member itself. */
async function readExtension(
  handle: FileHandle,
  header: Header,
  offset: number,
  size: number,
  before: HeaderData,
  path: string,
): Promise<HeaderData | undefined> {
  // A global header can only set what is of no use here.
  if (header.type === 'GlobalExtendedHeader') return before;
  const text = async (): Promise<string> => {
    if (size > limitOf('tar-header-size')) {
      throw limitExceeded('tar-header-size', `${path} has a tar extension of ${size} bytes`, size);
    }
    return (await readRange(handle, offset, size, path)).toString('utf8');
  };
  if (PAX_TYPES.has(header.type)) return Pax.parse(await text(), before);
  if (LONG_NAME_TYPES.has(header.type)) return { ...before, path: untilNul(await text()) };
  if (header.type === 'NextFileHasLongLinkpath') return { ...before, linkpath: untilNul(await text()) };
  return undefined;
}

function memberOf(type: string, offset: number, size: number, target: string): ArchiveMember {
  if (FILE_TYPES.has(type)) return { kind: 'file', offset, size };
  return type === 'SymbolicLink' ? { kind: 'symlink', target } : { kind: 'other', type };
}

function addMember(
  members: Map<string, ArchiveMember>,
  given: string,
  member: ArchiveMember,
  path: string,
): void {
  const name = given.replace(/^(?:\.\/+)+/, '');
  if (members.has(name)) {
    throw new AtomicError('archive-invalid', `${path} has two members named ${JSON.stringify(name)}`);
  }
  members.set(name, member);
}

function untilNul(text: string): string {
  const nul = text.indexOf('\0');
  return nul === -1 ? text : text.slice(0, nul);
}
