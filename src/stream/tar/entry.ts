import { AtomicError } from '../../errors.ts';
import { limitExceeded, limitOf, NAME_BYTES } from '../../limits.ts';
import {
  effectivePax,
  givenLink,
  isKnownPax,
  ownerOf,
  sparseSize,
  storedSize,
  storedTarget,
  type Entry,
  type EntryExtensions,
} from './entry-fields.ts';
import { BLOCK_BYTES, changeHeader, createHeader, type HeaderChange, type TarHeader } from './header.ts';
import { baseOf, cleanPath, parentOf } from './path.ts';
import { formatPax, type PaxRecords } from './pax.ts';
import type { LayerRecorder } from './recorder.ts';

/** What goes out for an entry: its head as it came, or blocks of ours (none: the entry is left out), and its content or not. */
export interface EntryVerdict {
  readonly head: 'unchanged' | readonly Buffer[];
  readonly keepBody: boolean;
  /** Content that follows in the input, without padding. */
  readonly bodyBytes: number;
  /** The entry's name as it was given, where the tree has a file of just this content: no sparse one, no whiteout. */
  readonly wholeFile?: string;
}

const WHITEOUT = '.wh.';
const OPAQUE = '.wh..wh..opq';
/**
 * Decides what `ostree commit` is given of one entry, and records the entry.
 *
 * Left out: device nodes, FIFOs (ostree has no object for them), whiteouts that name nothing, hard links to a file of
 * a lower layer (recorded, made at checkout). Rewritten: names that are not clean, links in chains (all go to the
 * first file), types and sizes that readers of tar do not agree on, xattrs in an order that ostree does not keep.
 * @throws AtomicError `layer-invalid`, `unsupported`, `limit-exceeded`
 * @see image-spec layer.md; Go's archive/tar, which wrote most layers there are
 */
export function normaliseEntry(entry: Entry, recorder: LayerRecorder): EntryVerdict {
  const { header, extensions, what } = entry;
  const pax = effectivePax(extensions);
  const givenPath = pax.get('GNU.sparse.name') ?? pax.get('path') ?? extensions.longPath ?? header.path;
  const path = cleanPath(givenPath, what);
  recorder.stored(path, path);
  const stored = storedSize(pax, header, what);
  const type = effectiveType(header.type, givenPath);
  const bodyBytes = '0S'.includes(type) ? stored : 0;
  const [uid, gid] = [ownerOf(pax, 'uid', entry), ownerOf(pax, 'gid', entry)];
  if (baseOf(path).startsWith(WHITEOUT)) return normaliseWhiteout(path, bodyBytes, recorder);
  switch (type) {
    case '0':
    case 'S':
      requireName(path, what);
      recorder.file(path);
      {
        const size = sparseSize(pax, entry);
        addFileBytes(recorder, size ?? bodyBytes, what);
        if (size !== undefined && size > 0 && isAllHole(pax, bodyBytes))
          return rewriteHole(entry, path, size, bodyBytes);
      }
      return {
        ...passOrRewrite(entry, path, givenPath, { type, bodyBytes }),
        ...(type === 'S' || isSparse(pax) ? {} : { wholeFile: givenPath }),
      };
    case '1':
      requireName(path, what);
      return normaliseHardLink(entry, path, givenPath, cleanPath(givenLink(pax, entry), what), recorder);
    case '2':
      requireName(path, what);
      recorder.file(path);
      return normaliseSymlink(entry, path, givenPath, givenLink(pax, entry), recorder);
    case '5':
      recorder.directory(path, header.mode & 0o7777, uid, gid, hasXattrs(pax));
      return passOrRewrite(entry, path, givenPath, { type, bodyBytes });
    case '3':
    case '4':
    case '6':
      requireName(path, what);
      recorder.device(path);
      return leaveOut(bodyBytes);
    default:
      throw new AtomicError(
        'unsupported',
        `${what} has an entry of the unknown type ${JSON.stringify(header.type)}: ${JSON.stringify(path)}`,
      );
  }
}

/** '7' (contiguous) is an ordinary file; a file whose name ends in a slash is a folder, as in tars before ustar. */
function effectiveType(type: string, givenPath: string): string {
  if (type === '7') return '0';
  return type === '0' && givenPath.endsWith('/') ? '5' : type;
}

/** Its content is a map and pieces of the file, which libarchive puts together. */
function isSparse(pax: ReadonlyMap<string, string>): boolean {
  return [...pax.keys()].some((key) => key.startsWith('GNU.sparse.'));
}

/** Format 1.0 has its map in front of the data, in a block of its own. */
function isAllHole(pax: ReadonlyMap<string, string>, bodyBytes: number): boolean {
  return bodyBytes <= (pax.get('GNU.sparse.major') === '1' ? BLOCK_BYTES : 0);
}

/** ostree finds no end to a file that is one hole: its last byte becomes data. */
function rewriteHole(
  { block, extensions }: Entry,
  path: string,
  size: number,
  bodyBytes: number,
): EntryVerdict {
  const kept = (extensions.pax ?? []).filter(
    (record) => isKnownPax(record) && !/^(?:path|size|GNU\.sparse\..*)$/.test(record[0]),
  );
  const records: PaxRecords = [
    ...orderXattrs(kept),
    ['path', path],
    ['GNU.sparse.size', String(size)],
    ['GNU.sparse.numblocks', '1'],
    ['GNU.sparse.map', `${size - 1},1`],
  ];
  const plain = Buffer.from(block);
  // Where old GNU headers have their map.
  if (plain.toString('latin1', 257, 263) === 'ustar ') plain.fill(0, 345);
  const header = changeHeader(plain, { type: '0', path, size: 1 });
  return { head: [formatPax(records), header, Buffer.alloc(BLOCK_BYTES)], keepBody: false, bodyBytes };
}

function addFileBytes(recorder: LayerRecorder, bytes: number, what: string): void {
  recorder.fileBytes += bytes;
  const limit = limitOf('layer-unpacked-size');
  if (recorder.fileBytes > limit) {
    throw limitExceeded('layer-unpacked-size', `${what} has files of more than ${limit} bytes`);
  }
}

function requireName(path: string, what: string): void {
  if (path === '') throw new AtomicError('layer-invalid', `${what} has a root that is no folder`);
}

/** A whiteout stays in the tree as an empty file, whatever type it had: only its name means something. */
function normaliseWhiteout(path: string, bodyBytes: number, recorder: LayerRecorder): EntryVerdict {
  const base = baseOf(path);
  const parent = parentOf(path);
  const target = base.slice(WHITEOUT.length);
  if (
    base !== OPAQUE &&
    (target === '' || target === '.' || target === '..' || target.startsWith(WHITEOUT))
  ) {
    recorder.whiteoutsLeftOut++;
    return leaveOut(bodyBytes);
  }
  // A file of that name can be in no tree: the record alone tells of it.
  const isStored = base.length <= NAME_BYTES;
  if (isStored) recorder.file(path);
  else recorder.implyParents(path);
  if (base === OPAQUE) recorder.opaque(parent);
  else recorder.whiteout(parent === '' ? target : `${parent}/${target}`);
  if (!isStored) return leaveOut(bodyBytes);
  const records: PaxRecords = [['path', path]];
  const head = [formatPax(records), createHeader({ path, mode: 0, size: 0, type: '0' })];
  return { head, keepBody: false, bodyBytes };
}

function leaveOut(bodyBytes: number): EntryVerdict {
  return { head: [], keepBody: false, bodyBytes };
}

function hasXattrs(pax: ReadonlyMap<string, string>): boolean {
  return [...pax].some(isXattr);
}

function normaliseSymlink(
  entry: Entry,
  path: string,
  givenPath: string,
  target: string,
  recorder: LayerRecorder,
): EntryVerdict {
  const symlink = storedTarget(path, target, entry.what);
  recorder.stored(path, symlink);
  return passOrRewrite(entry, path, givenPath, { type: '2', bodyBytes: 0, symlink });
}

function normaliseHardLink(
  entry: Entry,
  path: string,
  givenPath: string,
  target: string,
  recorder: LayerRecorder,
): EntryVerdict {
  const first = recorder.linkTarget(target);
  if (first === path && (recorder.hasFile(path) || recorder.isDevice(path))) return leaveOut(0);
  if (recorder.isDevice(first)) {
    recorder.device(path);
    return leaveOut(0);
  }
  if (!recorder.hasFile(first)) {
    recorder.lowerLink(path, first);
    return leaveOut(0);
  }
  recorder.hardLink(path, first);
  return passOrRewrite(entry, path, givenPath, { type: '1', bodyBytes: 0, hardLink: first });
}

interface Wanted {
  readonly type: string;
  readonly bodyBytes: number;
  /** A symlink's target, as it is stored. */
  readonly symlink?: string;
  /** A hard link's target, a clean path. */
  readonly hardLink?: string;
}

/** The entry as it came when every reader takes it for the same; else a header of ours with the names in PAX records. */
function passOrRewrite(entry: Entry, path: string, givenPath: string, wanted: Wanted): EntryVerdict {
  const { header, block, extensions } = entry;
  const { bodyBytes } = wanted;
  if (readsTheSame(entry, path, givenPath, wanted)) return { head: 'unchanged', keepBody: true, bodyBytes };
  const link = wanted.hardLink ?? wanted.symlink;
  const change: HeaderChange = {
    type: wanted.type,
    path: path === '' ? './' : path,
    ...(link === undefined ? {} : { linkPath: link }),
    ...(bodyBytes === 0 ? { size: 0 } : {}),
  };
  const kept = (extensions.pax ?? []).filter(
    (record) => isKnownPax(record) && !/^(?:path|linkpath|GNU\.sparse\.name)$/.test(record[0]),
  );
  const sparseName = header.type === '0' && (extensions.pax ?? []).some(([key]) => key === 'GNU.sparse.name');
  const records: [string, string][] = [
    ...orderXattrs(kept)
      .filter(([key]) => bodyBytes > 0 || key !== 'size')
      .map(([key, value]): [string, string] => [key, value]),
    ['path', path === '' ? './' : path],
    ...(sparseName ? [['GNU.sparse.name', path] as [string, string]] : []),
    ...(link === undefined ? [] : [['linkpath', link] as [string, string]]),
  ];
  return { head: [formatPax(records), changeHeader(block, change)], keepBody: true, bodyBytes };
}

function readsTheSame(
  { header, extensions }: Entry,
  path: string,
  givenPath: string,
  wanted: Wanted,
): boolean {
  const { pax, longPath, longLink } = extensions;
  const spellings = path === '' ? ['./', '.'] : [path, `./${path}`, `${path}/`, `./${path}/`];
  return (
    header.plain &&
    header.type === wanted.type &&
    spellings.includes(givenPath) &&
    (wanted.bodyBytes > 0 || (header.size === 0 && !pax?.some(([key]) => key === 'size'))) &&
    (wanted.hardLink === undefined ||
      [wanted.hardLink, `./${wanted.hardLink}`].includes(entryLink(header, extensions))) &&
    (wanted.symlink === undefined || wanted.symlink === entryLink(header, extensions)) &&
    (pax === undefined ||
      (longPath === undefined && longLink === undefined && pax.every(isKnownPax) && areXattrsOrdered(pax)))
  );
}

/**
 * libarchive hands xattrs to ostree last one first, and ostree names the file by them in that order, but reads them sorted
 * from then on: its own fsck takes such a file for damaged unless the last record is the first name.
 */
function orderXattrs(records: PaxRecords): PaxRecords {
  const others = records.filter((record) => !isXattr(record));
  const xattrs = [...new Map(records.filter(isXattr))];
  return [...others, ...xattrs.sort(([a], [b]) => (a < b ? 1 : -1))];
}

function areXattrsOrdered(records: PaxRecords): boolean {
  const names = records.filter(isXattr).map(([key]) => key);
  return names.every((name, i) => i === 0 || name < (names[i - 1] ?? ''));
}

function isXattr([key]: PaxRecords[number]): boolean {
  return key.startsWith('SCHILY.xattr.');
}

function entryLink(header: TarHeader, extensions: EntryExtensions): string {
  return new Map(extensions.pax ?? []).get('linkpath') ?? extensions.longLink ?? header.linkPath;
}
