/**
 * What a layer does to the tree below it, apart from putting its own files there: see checkout.ts.
 * Paths are clean, relative to the tree's root, which is the empty string.
 */
import { chmodSync, linkSync, lchownSync, readdirSync, rmSync } from 'node:fs';
import { AtomicError } from '../errors.ts';
import type { LayerRecord } from '../stream/tar/recorder.ts';
import { baseOf, parentOf } from '../stream/tar/path.ts';
import { makeDirectoryInTree } from '../tree/make-directory.ts';
import { lstatIfThere, resolveInTree } from '../tree/resolve.ts';
import { readLayerIndex } from './layer-index.ts';

type DirectoryRecord = Extract<LayerRecord, { kind: 'directory' | 'implied' }>;
type PlacedDirectory = Extract<LayerRecord, { kind: 'directory' }> & { readonly place: string };
type LowerLink = Extract<LayerRecord, { kind: 'lower-link' }>;

export interface LayerPlan {
  /** Folders of the layer that lie, in the tree, behind a symlink: where their content goes. Outer ones first. */
  readonly redirects: readonly { readonly from: string; readonly to: string }[];
  /** Whiteout files that the layer's checkout leaves in the tree. */
  readonly whiteoutFiles: readonly string[];
  readonly lowerLinks: readonly LowerLink[];
  readonly directories: readonly ExistingDirectory[];
  /** Entries of the layer's tree that a device takes the place of. */
  readonly replaced: readonly string[];
  /** Whether names or link targets of the layer are stored under others. */
  readonly hasStoredNames: boolean;
}

/** A folder that was there before and has an entry of its own in the layer: mode, owner and xattrs are the layer's. */
export interface ExistingDirectory {
  /** In the tree. */
  readonly path: string;
  /** In the layer. */
  readonly from: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Whether it has xattrs, in the layer or from one below. */
  readonly renew: boolean;
}

/** What one reading of the index gives, its files left aside. */
interface LayerOutline {
  readonly directories: ReadonlyMap<string, DirectoryRecord>;
  readonly whiteouts: readonly string[];
  readonly opaques: readonly string[];
  readonly lowerLinks: readonly LowerLink[];
  readonly replaced: ReadonlySet<string>;
  readonly hasStoredNames: boolean;
}

/**
 * Takes out of the tree what the layer replaces or removes, so that its checkout meets folders or nothing.
 * @param index path of the layer's index
 * @param treeIsEmpty for the base layer, below which there is nothing to replace
 * @param withXattrs the tree's folders that may have xattrs; those of the layer are added
 * @throws AtomicError `layer-invalid`, `store-invalid`
 */
export async function prepareTree(
  root: string,
  index: string,
  treeIsEmpty: boolean,
  withXattrs: Set<string>,
): Promise<LayerPlan> {
  const outline = await readOutline(index);
  if (!treeIsEmpty) {
    for (const path of outline.opaques) emptyDirectory(root, path, outline);
    for (const path of outline.whiteouts) removeEntry(root, path, outline);
  }
  const places = new Places(root, treeIsEmpty, outline.directories);
  if (places.redirects.length > 0 || outline.lowerLinks.length > 0)
    await refuseClashes(index, outline, places);
  places.makeWay();
  if (!treeIsEmpty) {
    for await (const record of readLayerIndex(index))
      if (record.kind === 'file') places.clearFor(record.path);
  }
  const whiteoutFiles = [
    ...outline.whiteouts.map((path) => places.of(join(parentOf(path), `.wh.${baseOf(path)}`))),
    ...outline.opaques.map((path) => places.of(join(path, '.wh..wh..opq'))),
  ];
  const directories = listExisting(outline, places, withXattrs);
  return {
    redirects: places.redirects.map(({ from, to }) => ({ from, to: `${root}/${to}` })),
    whiteoutFiles,
    lowerLinks: outline.lowerLinks,
    directories,
    replaced: [...outline.replaced].map((path) => places.of(path)),
    hasStoredNames: outline.hasStoredNames,
  };
}

function listExisting(
  { directories }: LayerOutline,
  places: Places,
  withXattrs: Set<string>,
): ExistingDirectory[] {
  const existing: ExistingDirectory[] = [];
  for (const directory of directories.values()) {
    if (directory.kind !== 'directory') continue;
    const place = places.of(directory.path);
    // Where links lead about, a folder may be there by the layer's own doing: by another path, or as a link's target.
    if (places.existing.has(directory.path) || places.redirects.length > 0)
      existing.push(existingDirectory({ ...directory, place }, withXattrs));
    if (directory.xattrs) withXattrs.add(place);
  }
  return existing;
}

/** What is left to do for a folder that is there, and has an entry of its own in the layer. */
export function existingDirectory(
  { path, place, mode, uid, gid, xattrs }: PlacedDirectory,
  withXattrs: ReadonlySet<string>,
): ExistingDirectory {
  return { path: place, from: path, mode, uid, gid, renew: xattrs || withXattrs.has(place) };
}

/**
 * Removes the whiteouts' own files, makes the links to lower layers' files, and gives folders their owners; those that
 * are to be renewed get them then.
 */
export function finishTree(
  root: string,
  plan: Pick<LayerPlan, 'whiteoutFiles' | 'replaced' | 'lowerLinks' | 'directories'>,
): void {
  for (const path of [...plan.whiteoutFiles, ...plan.replaced]) {
    // A whiteout's name may be too long for a file, and then is none.
    if (lstatIfThere(`${root}/${path}`) !== undefined) rmSync(`${root}/${path}`);
  }
  for (const link of plan.lowerLinks) linkToLower(root, link);
  for (const { path, mode, uid, gid, renew } of plan.directories) {
    if (renew) continue;
    lchownSync(`${root}/${path}`, uid, gid);
    chmodSync(`${root}/${path}`, mode);
  }
}

/** Parents that are links are followed inside the root, as everywhere. */
function linkToLower(root: string, { path, target }: LowerLink): void {
  const source = resolveInTree(root, target, false);
  const stats = lstatIfThere(`${root}/${source}`);
  const place = join(makeDirectoryInTree(root, parentOf(path)), baseOf(path));
  if (stats === undefined || stats.isDirectory() || source.startsWith(`${place}/`)) {
    throw new AtomicError(
      'layer-invalid',
      `the hard link ${JSON.stringify(path)} points at ${JSON.stringify(target)}, which is no file of this image`,
    );
  }
  if (place === source) return;
  rmSync(`${root}/${place}`, { recursive: true, force: true });
  linkSync(`${root}/${source}`, `${root}/${place}`);
}

async function readOutline(index: string): Promise<LayerOutline> {
  const directories = new Map<string, DirectoryRecord>();
  const whiteouts: string[] = [];
  const opaques: string[] = [];
  const lowerLinks = new Map<string, LowerLink>();
  const replaced = new Set<string>();
  let hasStoredNames = false;
  for await (const record of readLayerIndex(index)) {
    if (record.kind === 'directory') directories.set(record.path, record);
    else if (record.kind === 'implied') directories.set(record.path, directories.get(record.path) ?? record);
    else if (record.kind === 'whiteout') whiteouts.push(record.path);
    else if (record.kind === 'opaque') opaques.push(record.path);
    else if (record.kind === 'lower-link') setLast(lowerLinks, record);
    else if (record.kind === 'stored-name') hasStoredNames = true;
    else {
      // The last entry of a path is the one that counts.
      lowerLinks.delete(record.path);
      if (record.kind === 'replaced') replaced.add(record.path);
      else replaced.delete(record.path);
    }
  }
  return { directories, whiteouts, opaques, lowerLinks: [...lowerLinks.values()], replaced, hasStoredNames };
}

/**
 * Refuses a layer whose tree would hang on the order of its entries: a file or link comes to lie, behind links, where a
 * folder of the same layer does, or an entry where a link is by which others of the layer go.
 */
async function refuseClashes(
  index: string,
  { directories, lowerLinks }: LayerOutline,
  places: Places,
): Promise<void> {
  const folders = new Set<string>();
  const enterFolder = (path: string): void => {
    for (let place = path; place !== '' && !folders.has(place); place = parentOf(place)) folders.add(place);
  };
  const placedLinks = lowerLinks.map(({ path }) => ({ path, place: places.ofLowerLink(path) }));
  for (const { place } of placedLinks) enterFolder(parentOf(place));
  for (const { kind, path } of directories.values()) {
    const place = places.of(path);
    if (kind === 'directory') refuseReplacedLink(path, place, places.followed);
    enterFolder(place);
  }
  const refuseClash = (path: string, place: string): void => {
    refuseReplacedLink(path, place, places.followed);
    if (!folders.has(place)) return;
    throw new AtomicError(
      'layer-invalid',
      `a layer has ${JSON.stringify(path)} as a file or link and, behind a link of a layer below, as a folder`,
    );
  };
  for (const { path, place } of placedLinks) refuseClash(path, place);
  for await (const record of readLayerIndex(index))
    if (record.kind === 'file') refuseClash(record.path, places.of(record.path));
}

function refuseReplacedLink(path: string, place: string, followed: ReadonlySet<string>): void {
  if (!followed.has(place)) return;
  throw new AtomicError(
    'layer-invalid',
    `a layer has ${JSON.stringify(path)} in the place of a link of a layer below, and other entries behind that link`,
  );
}

function setLast(links: Map<string, LowerLink>, link: LowerLink): void {
  links.delete(link.path);
  links.set(link.path, link);
}

/**
 * Where a folder of the lower layers is, for a whiteout: links on the way are followed inside the root, unless the
 * layer puts a folder of its own in the link's place. Undefined when there is nothing of the lower layers.
 */
function lowerDirectory(root: string, path: string, outline: LayerOutline): string | undefined {
  let here = '';
  let named = '';
  for (const part of path === '' ? [] : path.split('/')) {
    named = join(named, part);
    here = join(here, part);
    const stats = lstatIfThere(`${root}/${here}`);
    if (stats === undefined) return undefined;
    if (stats.isSymbolicLink()) {
      if (outline.directories.get(named)?.kind === 'directory') return undefined;
      here = resolveInTree(root, here);
    }
    if (lstatIfThere(`${root}/${here}`)?.isDirectory() !== true) return undefined;
  }
  return here;
}

function emptyDirectory(root: string, path: string, outline: LayerOutline): void {
  const directory = lowerDirectory(root, path, outline);
  if (directory === undefined) return;
  for (const name of readdirSync(`${root}/${directory}`)) removeTree(root, directory, name);
}

function removeEntry(root: string, path: string, outline: LayerOutline): void {
  const directory = lowerDirectory(root, parentOf(path), outline);
  if (directory !== undefined) removeTree(root, directory, baseOf(path));
}

function removeTree(root: string, directory: string, name: string): void {
  rmSync(`${root}/${join(directory, name)}`, { recursive: true, force: true });
}

/** Where the layer's folders come to lie in the tree, which is left as it is until `makeWay`. */
class Places {
  readonly redirects: { from: string; to: string }[] = [];
  /** Links of the tree that lead to where folders of the layer come to lie. */
  readonly followed = new Set<string>();
  /** Folders of the layer that have an entry of their own, and are in the tree already. */
  readonly existing = new Set<string>();
  readonly #root: string;
  readonly #directories: LayerOutline['directories'];
  /** Folders of the layer that the tree has already, and where. */
  readonly #known = new Map<string, string>();
  /** What is no folder, where the layer has one. */
  readonly #inTheWay: string[] = [];
  /** Names of the folders in a folder of the tree. */
  readonly #subfolders = new Map<string, ReadonlySet<string>>();

  constructor(root: string, treeIsEmpty: boolean, directories: LayerOutline['directories']) {
    this.#root = root;
    this.#directories = directories;
    this.#known.set('', '');
    if (treeIsEmpty) this.#subfolders.set('', new Set());
    for (const directory of directories.values()) this.#enter(directory);
  }

  /** One folder; its parent was entered before. */
  #enter(directory: DirectoryRecord): void {
    const { path } = directory;
    const parent = path === '' ? undefined : this.#known.get(parentOf(path));
    // Inside a folder that the tree does not have, nothing can be in the way.
    if (path !== '' && parent === undefined) return;
    const here = path === '' ? '' : join(parent ?? '', baseOf(path));
    const stats = lstatIfThere(`${this.#root}/${here}`);
    if (stats === undefined) return;
    if (stats.isDirectory()) this.#known.set(path, here);
    else if (stats.isSymbolicLink() && directory.kind === 'implied') this.#redirect(path, here);
    else {
      this.#inTheWay.push(here);
      return;
    }
    if (directory.kind === 'directory') this.existing.add(path);
  }

  /** Takes away what stands where folders are to be, and makes those that links lead to. */
  makeWay(): void {
    for (const place of this.#inTheWay) rmSync(`${this.#root}/${place}`, { force: true });
    for (const { to } of this.redirects) makeDirectoryInTree(this.#root, to);
  }

  /** Takes away a folder of the tree that stands where the layer has a file. */
  clearFor(path: string): void {
    const parent = this.#known.get(parentOf(path));
    if (parent === undefined) return;
    if (this.#foldersIn(parent).has(baseOf(path))) {
      rmSync(`${this.#root}/${join(parent, baseOf(path))}`, { recursive: true, force: true });
    }
  }

  /** Where an entry of the layer lies in the tree. */
  of(path: string): string {
    const known = this.#known.get(path);
    if (known !== undefined) return known;
    const parent = parentOf(path);
    return join(this.of(parent), baseOf(path));
  }

  /** Where a hard link to a lower layer's file comes to lie: the layer may have no record of the folders above it. */
  ofLowerLink(path: string): string {
    return join(this.#locate(parentOf(path)), baseOf(path));
  }

  #locate(path: string): string {
    const known = this.#known.get(path);
    if (known !== undefined) return known;
    const here = join(this.#locate(parentOf(path)), baseOf(path));
    const isLink = lstatIfThere(`${this.#root}/${here}`)?.isSymbolicLink() === true;
    if (!isLink || this.#directories.get(path)?.kind === 'directory') return here;
    return resolveInTree(this.#root, here, true, this.followed);
  }

  /** Entries below a symlink of a lower layer go where it points, as containerd applies them. */
  #redirect(path: string, here: string): void {
    if (path.includes('\n')) {
      throw new AtomicError(
        'unsupported',
        `a layer has entries below the symbolic link ${JSON.stringify(path)}`,
      );
    }
    const target = resolveInTree(this.#root, here, true, this.followed);
    this.#known.set(path, target);
    this.redirects.push({ from: path, to: target });
  }

  #foldersIn(directory: string): ReadonlySet<string> {
    let names = this.#subfolders.get(directory);
    if (names === undefined) {
      const entries = readdirSync(`${this.#root}/${directory}`, { withFileTypes: true });
      names = new Set(entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name));
      this.#subfolders.set(directory, names);
    }
    return names;
  }
}

function join(directory: string, name: string): string {
  return directory === '' ? name : `${directory}/${name}`;
}
