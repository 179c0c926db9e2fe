/**
 * Layers applied in memory: the rules of the image specification's layer.md, one entry after the other, as umoci applies
 * them. Where we differ from umoci on purpose, a difference is a switch of this model, and that list is the whole list:
 * without any the model has to give umoci's tree, with all of them ours, to the last path.
 *
 * Names and targets are latin1 strings, one character a byte; paths are clean and relative.
 */
import { createHash } from 'node:crypto';
import type { TarEntry } from '../fixtures/image-builder.ts';
import { showBytes } from './tree.ts';

/** Where our tree is another than umoci's, each with its reason. */
export const DIFFERENCES = {
  /** ostree has no object for them, and a system container gets its devices from the runtime. */
  devicesLeftOut: 'device nodes and FIFOs are left out; what they replace is gone all the same',
  /** containerd and Docker make the folder as well; umoci does not; layer.md is silent. */
  whiteoutMakesFolder: 'a whiteout’s folder is made where it is missing',
  /** layer.md reserves the prefix, so these are no files. umoci fails on some and takes others for whiteouts. */
  oddWhiteoutsLeftOut: 'whiteouts that name nothing, and aufs’ own files, are left out',
  /** GNU tar and libarchive keep it; Go reads an empty PAX value as none. */
  emptyXattrsKept: 'an empty xattr is kept',
  /** A layer is a change set (layer.md), and is stored as a tree: its entries have no order but for duplicates. */
  entriesAreASet: 'whiteouts act before, and links to lower files after, all other entries of their layer',
  /** umoci removes first, and then finds neither itself nor what it reaches by way of what it has removed. */
  targetsFirst: 'what a hard link goes to is looked up before the link makes room for itself',
  /** Readers do not agree on such a layer, and it can be stored as no tree. umoci lets the later entry win, or follows the link. */
  clashesRefused:
    'a layer that has one path both as a file or link and as a folder is refused, as is one that replaces a link it goes by',
  /** mkdir(2) hands a set-group-ID folder's group and bit down; which folders are made by the way is no property of an image. */
  parentsAreRoots: 'a parent that has no entry is root’s, whatever the folder above it',
  /** umoci removes what is not a folder only for an entry of its own; for a parent it fails. */
  parentsReplaceFiles: 'a parent that is not named takes the place of a lower layer’s file',
} as const;

export type Difference = keyof typeof DIFFERENCES;

interface Owner {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly xattrs: Readonly<Record<string, string | Uint8Array>>;
}
interface Folder {
  readonly kind: 'folder';
  owner: Owner;
  readonly children: Map<string, Node>;
}
interface Leaf {
  readonly kind: 'file' | 'symlink' | 'special';
  readonly owner: Owner;
  readonly content: Buffer;
}
type Node = Folder | Leaf;

/** The image is refused. */
export class Refusal extends Error {}

const NEW_FOLDER: Owner = { mode: 0o755, uid: 0, gid: 0, xattrs: {} };
const WHITEOUT = '.wh.';
const OPAQUE = '.wh..wh..opq';
const isOdd = (base: string): boolean =>
  base !== OPAQUE && (['.wh.', '.wh..', '.wh...'].includes(base) || base.startsWith('.wh..wh.'));

/** The entry with its path in bytes and clean, its whiteout spelled out. */
interface Applied {
  readonly entry: TarEntry;
  readonly path: readonly string[];
  readonly target: string;
}

export class LayerModel {
  readonly #root: Folder = { kind: 'folder', owner: NEW_FOLDER, children: new Map() };
  readonly #differences: ReadonlySet<Difference>;
  /** Places that the layer in work has put something at, and those above them. */
  #upper = new Set<string>();

  constructor(differences: Iterable<Difference>) {
    this.#differences = new Set(differences);
  }

  /** @throws Refusal */
  apply(layer: readonly TarEntry[]): void {
    this.begin();
    const entries = layer.map(readEntry);
    if (this.#has('clashesRefused')) refuseClashes(entries);
    if (!this.#has('entriesAreASet')) {
      for (const entry of entries) this.#applyEntry(entry);
      return;
    }
    const { whiteouts, devices, own } = asSet(entries);
    const named = new Set(own.filter(({ entry }) => entry.type === 'dir').map(({ path }) => path.join('/')));
    for (const { path } of whiteouts)
      this.#applyWhiteout(this.#locate(path.slice(0, -1), named), path.at(-1) ?? '');
    for (const device of devices) this.#applyEntry(device);
    this.#refuseAmbiguous([...whiteouts, ...devices, ...own], named);
    if (this.#has('whiteoutMakesFolder')) {
      for (const { path } of [...whiteouts, ...devices]) {
        const folder = this.#locate(path.slice(0, -1), named);
        this.#makeFolder(folder);
        this.#touch(folder);
      }
    }
    for (const entry of own) this.#applyEntry(entry);
    if (this.#has('devicesLeftOut')) leaveOutDevices(this.#root);
  }

  /**
   * As #resolve, for an entry of a layer that is a set: a folder that the layer names takes a link's place, and what is
   * below means the new one.
   */
  #locate(path: readonly string[], named: ReadonlySet<string>, followed?: Set<string>): string[] {
    let here: string[] = [];
    for (const [i, name] of path.entries()) {
      here.push(name);
      const isLink = this.#at(here)?.kind === 'symlink';
      if (isLink && !named.has(path.slice(0, i + 1).join('/'))) here = this.#resolve(here, followed);
    }
    return here;
  }

  /**
   * What would hang on the order of the layer's entries, seen from the tree below it.
   * @throws Refusal where an entry takes the place of a link that entries of the layer go by, of a folder that they are
   * to lie in, or of another entry
   */
  #refuseAmbiguous(entries: readonly Applied[], named: ReadonlySet<string>): void {
    const followed = new Set<string>();
    const folders = new Set<string>();
    const files = new Map<string, string>();
    for (const { entry, path } of entries.filter((applied) => applied.path.length > 0)) {
      const place = [...this.#locate(path.slice(0, -1), named, followed), ...path.slice(-1)];
      const key = path.join('/');
      const isFolder = entry.type === 'dir';
      for (let length = 1; length < place.length + Number(isFolder); length++)
        folders.add(place.slice(0, length).join('/'));
      if (isFolder || isDevice(entry) || isWhiteout({ path })) continue;
      if ((files.get(place.join('/')) ?? key) !== key) this.#clash(place);
      files.set(place.join('/'), key);
    }
    const folderPlaces = entries
      .filter(({ entry }) => entry.type === 'dir')
      .map(({ path }) => [...this.#locate(path.slice(0, -1), named), ...path.slice(-1)].join('/'));
    for (const place of [...files.keys(), ...folderPlaces]) if (followed.has(place)) this.#clash([place]);
    for (const place of files.keys()) if (folders.has(place)) this.#clash([place]);
  }

  /** A new layer, whose entries are added one by one. */
  begin(): void {
    this.#upper = new Set();
  }

  /** The next entry of the layer. @throws Refusal */
  add(entry: TarEntry): void {
    this.#applyEntry(readEntry(entry));
  }

  #has(difference: Difference): boolean {
    return this.#differences.has(difference);
  }

  #applyEntry({ entry, path, target }: Applied): void {
    const base = path.at(-1);
    if (base?.startsWith(WHITEOUT) === true) {
      this.#applyWhiteout(this.#resolve(path.slice(0, -1)), base);
      return;
    }
    const type = entry.type ?? 'file';
    const directory = this.#resolve(path.slice(0, -1));
    const place = base === undefined ? [] : [...directory, base];
    const parent = this.#makeFolder(directory);
    if (this.#has('clashesRefused')) this.#touchWay(path);
    const there = this.#at(place);
    const keep = type === 'dir' && there?.kind === 'folder';
    const isLeftOut = there?.kind === 'special' && this.#has('devicesLeftOut');
    const isOther = there !== undefined && !isLeftOut && (type === 'dir') !== (there.kind === 'folder');
    if (isOther && this.#isUpper(place)) {
      if (this.#has('devicesLeftOut') && isDevice(entry)) {
        this.#removeLower(parent, place);
        return;
      }
      this.#clash(place);
    }
    if (base === undefined && !keep) throw new Refusal('the root is no folder');
    if (!keep && base !== undefined) {
      if (!this.#has('targetsFirst')) parent.children.delete(base);
      parent.children.set(
        base,
        type === 'hardlink' ? this.#linked(target, place) : this.#make(entry, type, target),
      );
    } else if (there?.kind === 'folder') {
      there.owner = this.#ownerOf(entry, 0o755);
    }
    this.#touch(place);
  }

  /** Whether the layer in work has put something there, or below. */
  #isUpper(place: readonly string[]): boolean {
    return this.#upper.has(place.join('/'));
  }

  #make(entry: TarEntry, type: NonNullable<TarEntry['type']>, target: string): Node {
    switch (type) {
      case 'dir':
        return { kind: 'folder', owner: this.#ownerOf(entry, 0o755), children: new Map() };
      case 'symlink':
        return {
          kind: 'symlink',
          owner: this.#ownerOf(entry, 0o777),
          content: Buffer.from(target, 'latin1'),
        };
      case 'char':
      case 'block':
      case 'fifo':
        return { kind: 'special', owner: this.#ownerOf(entry, 0o644), content: Buffer.alloc(0) };
      default:
        return {
          kind: 'file',
          owner: this.#ownerOf(entry, 0o644),
          content: Buffer.from(entry.content ?? ''),
        };
    }
  }

  #ownerOf({ mode, uid = 0, gid = 0, xattrs = {} }: TarEntry, usual: number): Owner {
    const kept = Object.entries(xattrs).filter(
      ([, value]) => value.length > 0 || this.#has('emptyXattrsKept'),
    );
    return { mode: mode ?? usual, uid, gid, xattrs: Object.fromEntries(kept) };
  }

  /** The file that a hard link to `target`, which is to stand at `place`, is one with. */
  #linked(target: string, place: readonly string[]): Node {
    const path = split(target);
    const base = path.pop();
    const source = base === undefined ? [] : [...this.#resolve(path), base];
    const node = this.#at(source);
    const isBelow = source.length > place.length && place.every((part, i) => source[i] === part);
    if (node === undefined || node.kind === 'folder' || isBelow) {
      throw new Refusal(`a hard link to ${target}, which is no file`);
    }
    return node;
  }

  #applyWhiteout(directory: readonly string[], base: string): void {
    if (isOdd(base) && this.#has('oddWhiteoutsLeftOut')) return;
    if (base === OPAQUE) {
      const folder = this.#at(directory);
      if (folder?.kind === 'folder') this.#clear(folder, directory);
    } else {
      const place = [...directory, base.slice(WHITEOUT.length)];
      const folder = this.#at(directory);
      if (folder?.kind === 'folder') this.#removeLower(folder, place);
    }
  }

  /** What the layer itself has put there stays, and the folders above that. */
  #removeLower(folder: Folder, place: readonly string[]): void {
    const name = place.at(-1) ?? '';
    const node = folder.children.get(name);
    if (node === undefined) return;
    if (!this.#upper.has(place.join('/'))) folder.children.delete(name);
    else if (node.kind === 'folder') this.#clear(node, place);
  }

  #clear(folder: Folder, place: readonly string[]): void {
    for (const name of folder.children.keys()) this.#removeLower(folder, [...place, name]);
  }

  #touch(place: readonly string[]): void {
    for (let length = place.length; length > 0; length--) this.#upper.add(place.slice(0, length).join('/'));
  }

  /** @throws Refusal where layers are refused that have a path as a folder and as something else */
  #clash(place: readonly string[]): void {
    if (this.#has('clashesRefused')) throw new Refusal(`${place.join('/')} is a folder and something else`);
  }

  /** The folders that a path goes through are its layer's, wherever links make them lie. */
  #touchWay(path: readonly string[]): void {
    for (let length = 1; length < path.length; length++) this.#touch(this.#resolve(path.slice(0, length)));
  }

  #makeFolder(path: readonly string[]): Folder {
    let here = this.#root;
    for (const [i, name] of path.entries()) {
      const next = here.children.get(name);
      if (next?.kind === 'folder') {
        here = next;
        continue;
      }
      const isLeftOut = next?.kind === 'special' && this.#has('devicesLeftOut');
      if (next !== undefined && !isLeftOut && this.#isUpper(path.slice(0, i + 1)))
        this.#clash(path.slice(0, i + 1));
      if (next !== undefined && !this.#has('parentsReplaceFiles')) throw new Refusal(`${name} is no folder`);
      const inherited = { ...NEW_FOLDER, mode: 0o2755, gid: here.owner.gid };
      const inherits = (here.owner.mode & 0o2000) !== 0 && !this.#has('parentsAreRoots');
      const made: Folder = { kind: 'folder', owner: inherits ? inherited : NEW_FOLDER, children: new Map() };
      here.children.set(name, made);
      here = made;
    }
    return here;
  }

  #at(path: readonly string[]): Node | undefined {
    let here: Node | undefined = this.#root;
    for (const name of path) here = here?.kind === 'folder' ? here.children.get(name) : undefined;
    return here;
  }

  /** Where a path leads inside the root, all links followed; what is not there stays as it is written. */
  #resolve(path: readonly string[], followed?: Set<string>): string[] {
    let done: string[] = [];
    const todo = [...path].reverse();
    for (let links = 0; todo.length > 0;) {
      const name = todo.pop() ?? '';
      if (name === '..') done.pop();
      if (name === '' || name === '.' || name === '..') continue;
      const node = this.#at([...done, name]);
      if (node?.kind !== 'symlink') {
        done.push(name);
        continue;
      }
      links += 1;
      if (links > 40) throw new Refusal('links go round in circles');
      followed?.add([...done, name].join('/'));
      const target = node.content.toString('latin1');
      if (target.startsWith('/')) done = [];
      todo.push(...target.split('/').reverse());
    }
    return done;
  }

  /** As describeTree. */
  describe(): Record<string, string> {
    const lines: Record<string, string> = {};
    const visit = (node: Node, path: string): void => {
      lines[path] = describeNode(node);
      if (node.kind !== 'folder') return;
      for (const [name, child] of node.children) {
        const shown = showBytes(Buffer.from(name, 'latin1'));
        visit(child, path === '.' ? shown : `${path}/${shown}`);
      }
    };
    visit(this.#root, '.');
    return lines;
  }
}

const isWhiteout = ({ path }: Pick<Applied, 'path'>): boolean => path.at(-1)?.startsWith(WHITEOUT) === true;
const isDevice = ({ type }: TarEntry): boolean => ['char', 'block', 'fifo'].includes(type ?? '');

/** They are there for the hard links of their own layer alone. */
function leaveOutDevices({ children }: Folder): void {
  for (const [name, child] of children) {
    if (child.kind === 'special') children.delete(name);
    else if (child.kind === 'folder') leaveOutDevices(child);
  }
}

/** Whether a layer has a path both as a file or link and as a folder. */
export function clashes(layer: readonly TarEntry[]): boolean {
  try {
    refuseClashes(layer.map(readEntry));
    return false;
  } catch {
    return true;
  }
}

/** A path that comes behind a hard link to what was there before. */
function refuseReplaced(entries: readonly Applied[]): void {
  const linkTargets = new Map<string, string>();
  const linkedTo = new Set<string>();
  const own = new Set<string>();
  const devices = new Set<string>();
  for (const { entry, path, target } of entries) {
    const key = path.join('/');
    if (entry.type === 'dir' || path.at(-1)?.startsWith(WHITEOUT) === true) continue;
    const to = split(target).join('/');
    const first = entry.type === 'hardlink' ? (linkTargets.get(to) ?? to) : undefined;
    if (first === key && (own.has(key) || devices.has(key))) continue;
    if (linkedTo.has(key)) throw new Refusal(`${key} comes behind a hard link to it`);
    for (const known of [own, devices]) known.delete(key);
    linkTargets.delete(key);
    if (isDevice(entry) || devices.has(first ?? '')) devices.add(key);
    else if (first === undefined) own.add(key);
    else {
      linkedTo.add(first);
      if (!own.has(first)) continue;
      linkTargets.set(key, first);
      own.add(key);
    }
  }
}

function refuseClashes(entries: readonly Applied[]): void {
  refuseReplaced(entries);
  const folders = new Set<string>();
  const others = new Set<string>();
  for (const { entry, path } of entries) {
    for (let length = 1; length < path.length; length++) folders.add(path.slice(0, length).join('/'));
    const key = path.join('/');
    if (entry.type === 'dir') folders.add(key);
    else if (!isOdd(path.at(-1) ?? '')) others.add(key);
    for (const other of others) if (folders.has(other)) throw new Refusal(`${other} is a folder and a file`);
  }
}

/** The specification has a layer's whiteouts act on the layers below alone; our trees have the rest in no order. */
function asSet(entries: readonly Applied[]): Record<'whiteouts' | 'devices' | 'own', Applied[]> {
  const key = ({ path }: Applied): string => path.join('/');
  const last = new Map(entries.map((entry) => [key(entry), entry]));
  const own = [...last.values()].filter((entry) => !isWhiteout(entry));
  const isFolder = ({ entry }: Applied): boolean => entry.type === 'dir';
  const isHardLink = ({ entry }: Applied): boolean => entry.type === 'hardlink';
  const whiteouts = entries.filter(isWhiteout);
  const isOpaque = ({ path }: Applied): boolean => path.at(-1) === OPAQUE;
  return {
    whiteouts: [...whiteouts.filter(isOpaque), ...whiteouts.filter((entry) => !isOpaque(entry))],
    // They only take away, as whiteouts do.
    devices: own.filter(({ entry }) => isDevice(entry)),
    own: [
      ...outerFirst(own.filter(isFolder)),
      ...own.filter((entry) => !isDevice(entry.entry) && !isFolder(entry) && !isHardLink(entry)),
      ...own.filter(isHardLink),
    ],
  };
}

/** Folders in their order, but for those above one of them. */
function outerFirst(folders: readonly Applied[]): Applied[] {
  const byPath = new Map(folders.map((folder) => [folder.path.join('/'), folder]));
  const ordered = new Set<Applied>();
  for (const { path } of folders) {
    for (let length = 0; length <= path.length; length++) {
      const folder = byPath.get(path.slice(0, length).join('/'));
      if (folder !== undefined) ordered.add(folder);
    }
  }
  return [...ordered];
}

function readEntry(entry: TarEntry): Applied {
  const bytes = Buffer.from(entry.path).toString('latin1');
  const path = split(bytes);
  if (entry.type === 'opaque') path.push(OPAQUE);
  else if (entry.type === 'whiteout') path.push(`${WHITEOUT}${path.pop() ?? ''}`);
  return { entry, path, target: Buffer.from(entry.target ?? '').toString('latin1') };
}

/** Clean: `..` stops at the root. */
function split(path: string): string[] {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts;
}

function describeNode({ owner: { mode, uid, gid, xattrs }, ...node }: Node): string {
  const bits = mode.toString(8).padStart(4, '0');
  const attributes = Object.entries(xattrs).map(
    ([name, value]) => `${name}=0x${Buffer.from(value).toString('hex')}`,
  );
  const line = (): string => {
    if (node.kind === 'symlink') return `link ${uid}:${gid} -> ${showBytes(node.content)}`;
    if (node.kind === 'folder') return `dir ${bits} ${uid}:${gid}`;
    if (node.kind === 'special') return `special ${bits} ${uid}:${gid}`;
    const digest = createHash('sha256').update(node.content).digest('hex').slice(0, 12);
    return `file ${bits} ${uid}:${gid} ${node.content.length} ${digest}`;
  };
  return [line(), ...attributes.sort()].join(' ');
}
