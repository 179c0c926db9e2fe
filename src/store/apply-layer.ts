/**
 * What a layer does to the tree below it, apart from putting its own files there: see checkout.ts.
 * Paths are clean, relative to the tree's root, which is the empty string.
 */
import { chmodSync, linkSync, lchownSync, readdirSync, rmSync } from 'node:fs';
import { AtomicError } from '../errors.ts';
import type { LayerRecord } from '../stream/tar/recorder.ts';
import { baseOf, joinPath, parentOf } from '../stream/tar/path.ts';
import { makeDirectoryInTree } from '../tree/make-directory.ts';
import { lstatIfThere, resolveInTree } from '../tree/resolve.ts';
import { listFiles, readOutline, type LayerOutline, type LowerLink } from './layer-outline.ts';
import { Places, refuseClashes } from './layer-places.ts';

type PlacedDirectory = Extract<LayerRecord, { kind: 'directory' }> & { readonly place: string };

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
    for await (const path of listFiles(index)) places.clearFor(path);
  }
  const whiteoutFiles = [
    ...outline.whiteouts.map((path) => places.of(joinPath(parentOf(path), `.wh.${baseOf(path)}`))),
    ...outline.opaques.map((path) => places.of(joinPath(path, '.wh..wh..opq'))),
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
  const place = joinPath(makeDirectoryInTree(root, parentOf(path)), baseOf(path));
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

/**
 * Where a folder of the lower layers is, for a whiteout: links on the way are followed inside the root, unless the
 * layer puts a folder of its own in the link's place. Undefined when there is nothing of the lower layers.
 */
function lowerDirectory(root: string, path: string, outline: LayerOutline): string | undefined {
  let here = '';
  let named = '';
  for (const part of path === '' ? [] : path.split('/')) {
    named = joinPath(named, part);
    here = joinPath(here, part);
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
  rmSync(`${root}/${joinPath(directory, name)}`, { recursive: true, force: true });
}
