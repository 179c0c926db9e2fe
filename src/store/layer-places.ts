import { readdirSync, rmSync } from 'node:fs';
import { AtomicError } from '../errors.ts';
import { baseOf, joinPath, parentOf } from '../stream/tar/path.ts';
import { makeDirectoryInTree } from '../tree/make-directory.ts';
import { lstatIfThere, resolveInTree } from '../tree/resolve.ts';
import { listFiles, type DirectoryRecord, type LayerOutline } from './layer-outline.ts';

/** Where the layer's folders come to lie in the tree, which is left as it is until `makeWay`. */
export class Places {
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
    const here = path === '' ? '' : joinPath(parent ?? '', baseOf(path));
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
      rmSync(`${this.#root}/${joinPath(parent, baseOf(path))}`, { recursive: true, force: true });
    }
  }

  /** Where an entry of the layer lies in the tree. */
  of(path: string): string {
    const known = this.#known.get(path);
    if (known !== undefined) return known;
    const parent = parentOf(path);
    return joinPath(this.of(parent), baseOf(path));
  }

  /** Where a hard link to a lower layer's file comes to lie: the layer may have no record of the folders above it. */
  ofLowerLink(path: string): string {
    return joinPath(this.#locate(parentOf(path)), baseOf(path));
  }

  #locate(path: string): string {
    const known = this.#known.get(path);
    if (known !== undefined) return known;
    const here = joinPath(this.#locate(parentOf(path)), baseOf(path));
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

/**
 * Refuses a layer whose tree would hang on the order of its entries: a file or link comes to lie, behind links, where a
 * folder or another file of the same layer does, or an entry where a link is by which others of the layer go.
 */
export async function refuseClashes(
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
  // Files behind links, by their places. The same path twice is one file.
  const moved = new Map<string, string>();
  const refuseTwice = (path: string, place: string): void => {
    const other = moved.get(place) ?? path;
    if (other === path) return;
    throw new AtomicError(
      'layer-invalid',
      `a layer has ${JSON.stringify(other)} and ${JSON.stringify(path)}, which are one path behind a link of a layer below`,
    );
  };
  const enterFile = (path: string, place: string): void => {
    refuseClash(path, place);
    refuseTwice(path, place);
    if (place !== path) moved.set(place, path);
  };
  for (const { path, place } of placedLinks) enterFile(path, place);
  for await (const path of listFiles(index)) enterFile(path, places.of(path));
  for (const { path, place } of placedLinks) refuseTwice(path, place);
  for await (const path of listFiles(index)) refuseTwice(path, places.of(path));
}

function refuseReplacedLink(path: string, place: string, followed: ReadonlySet<string>): void {
  if (!followed.has(place)) return;
  throw new AtomicError(
    'layer-invalid',
    `a layer has ${JSON.stringify(path)} in the place of a link of a layer below, and other entries behind that link`,
  );
}
