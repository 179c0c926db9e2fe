import { AtomicError } from '../../errors.ts';
import { limitExceeded, limitOf } from '../../limits.ts';
import { parentOf } from './path.ts';
import { PathSet } from './path-set.ts';
import { hasStoredName } from './stored-name.ts';

/**
 * What an import learns about a layer's entries, for whoever checks the layer out later: a tree alone does not tell
 * which folders the layer names and which only had to be there, nor what was left out of it.
 * Paths are clean and relative; the root is the empty string.
 */
export type LayerRecord =
  /** A folder that has an entry of its own. */
  | {
      readonly kind: 'directory';
      readonly path: string;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
      readonly xattrs: boolean;
    }
  /** A folder that other entries lie in, without one of its own (so far). */
  | { readonly kind: 'implied'; readonly path: string }
  /** Anything that is no folder. */
  | { readonly kind: 'file'; readonly path: string }
  /** `path` of the layers below is gone. */
  | { readonly kind: 'whiteout'; readonly path: string }
  /** A device or FIFO that was left out and that replaces an earlier entry of this layer, which is in its tree. */
  | { readonly kind: 'replaced'; readonly path: string }
  /** What the layers below had in this folder is gone. */
  | { readonly kind: 'opaque'; readonly path: string }
  /** A hard link to a file that the layer itself does not have: one of the layers below does. */
  | { readonly kind: 'lower-link'; readonly path: string; readonly target: string }
  /** The first entry that is stored under another name, or is a link whose target is: see stored-name.ts. */
  | { readonly kind: 'stored-name'; readonly path: string };

/** As many members as V8 lets a Set or a Map have. */
const SET_MEMBERS = 2 ** 24 - 1;

/** Collects records in the order of the tar, and keeps what later entries need to know of earlier ones. */
export class LayerRecorder {
  /** Entries seen, those left out included. */
  entries = 0;
  /** Device nodes and FIFOs, which ostree does not store; hard links to them included. */
  devicesLeftOut = 0;
  /** Entries in the place of earlier ones, which the tree no longer has. */
  filesReplaced = 0;
  /** Whiteouts that name nothing: `.wh.`, `.wh..`, and aufs' own `.wh..wh.` files. */
  whiteoutsLeftOut = 0;
  /** Bytes in regular files, as a file system counts them. */
  fileBytes = 0;
  readonly #files = new PathSet();
  readonly #devices = new Set<string>();
  readonly #lowerLinks = new Set<string>();
  #hasStoredNames = false;
  /** For each hard link of this layer, the file that its chain ends at. */
  readonly #linkTargets = new Map<string, string>();
  /** Files, of this layer or one below, that hard links of this layer go to. */
  readonly #linkedTo = new Set<string>();
  readonly #folders = new Set<string>();
  #newParents: string[] = [];
  #hasRoot = false;
  readonly #what: string;
  readonly #write: (record: LayerRecord) => void;
  #nameBytes = 0;

  /** @param what subject of the error's sentence */
  constructor(what: string, write: (record: LayerRecord) => void) {
    this.#what = what;
    this.#write = write;
  }

  /** @throws AtomicError `layer-invalid` when it was a file or link before, as ostree would */
  directory(path: string, mode: number, uid: number, gid: number, xattrs: boolean): void {
    this.#enterParents(path);
    this.#enterFolder(path);
    this.#write({ kind: 'directory', path, mode, uid, gid, xattrs });
  }

  /** The folders that have come to be implied since the last call, outer ones first; the root when it has no entry yet. */
  takeNewParents(): readonly string[] {
    const taken = this.#newParents;
    if (taken.length > 0) this.#newParents = [];
    return taken;
  }

  /** Told of every path as it is stored, and of every symlink's target. */
  stored(path: string, text: string): void {
    if (this.#hasStoredNames || !hasStoredName(text)) return;
    this.#hasStoredNames = true;
    this.#write({ kind: 'stored-name', path });
  }

  /** @throws AtomicError `layer-invalid` when it was a folder before, as ostree would */
  file(path: string): void {
    if (this.#folders.has(path)) throw this.#isBoth(path);
    if (this.#linkedTo.has(path)) throw this.#isReplaced(path);
    this.#enterParents(path);
    if (this.#files.has(path)) this.filesReplaced++;
    this.#files.add(path);
    this.#linkTargets.delete(path);
    this.#devices.delete(path);
    this.#lowerLinks.delete(path);
    this.#write({ kind: 'file', path });
  }

  hardLink(path: string, target: string): void {
    this.file(path);
    this.#remember(path);
    this.#linkTargets.set(path, target);
    this.#linkedTo.add(target);
  }

  /** The file that a chain of hard links in this layer ends at. */
  linkTarget(path: string): string {
    return this.#linkTargets.get(path) ?? path;
  }

  /** It replaces what stands at its path, by nothing. @throws AtomicError `layer-invalid` when that is a folder of this layer */
  device(path: string): void {
    if (this.#folders.has(path)) throw this.#isBoth(path);
    if (this.#linkedTo.has(path)) throw this.#isReplaced(path);
    this.#enterParents(path);
    this.devicesLeftOut++;
    this.#remember(path);
    this.#devices.add(path);
    this.#linkTargets.delete(path);
    this.#write({ kind: 'whiteout', path });
    if (this.#lowerLinks.delete(path) || this.#files.has(path)) this.#write({ kind: 'replaced', path });
  }

  /** Whether the layer's own tree has a file at a path, as far as it has gone by. */
  hasFile(path: string): boolean {
    return this.#files.has(path) && !this.#lowerLinks.has(path);
  }

  isDevice(path: string): boolean {
    return this.#devices.has(path);
  }

  /** The whiteout's own file stays in the layer's tree, as atomic and skopeo keep it; `file` is told of it as well. */
  whiteout(path: string): void {
    this.#write({ kind: 'whiteout', path });
  }

  opaque(path: string): void {
    this.#write({ kind: 'opaque', path });
  }

  /** The folders above it are made when the link is: the layer's tree does not have them for its sake. */
  lowerLink(path: string, target: string): void {
    if (this.#folders.has(path)) throw this.#isBoth(path);
    if (this.#linkedTo.has(path)) throw this.#isReplaced(path);
    this.#remember(path);
    this.#lowerLinks.add(path);
    this.#linkedTo.add(target);
    this.#devices.delete(path);
    this.#linkTargets.delete(path);
    this.#write({ kind: 'lower-link', path, target });
  }

  /** Enters the folders above what itself is not stored. */
  implyParents(path: string): void {
    this.#enterParents(path);
  }

  #enterParents(path: string): void {
    if (!this.#hasRoot) {
      this.#hasRoot = true;
      if (path !== '') this.#newParents.push('');
    }
    const parent = parentOf(path);
    if (parent === '' || this.#folders.has(parent)) return;
    this.#enterParents(parent);
    this.#enterFolder(parent);
    this.#newParents.push(parent);
    this.#write({ kind: 'implied', path: parent });
  }

  #enterFolder(path: string): void {
    if (this.#folders.has(path)) return;
    if (this.#files.has(path) || this.#lowerLinks.has(path) || this.#devices.has(path))
      throw this.#isBoth(path);
    this.#remember(path);
    this.#folders.add(path);
  }

  #remember(path: string): void {
    this.#nameBytes += path.length;
    if (Math.max(this.#folders.size, this.#linkTargets.size) >= SET_MEMBERS) {
      throw limitExceeded(
        SET_MEMBERS,
        `${this.#what} has more than ${SET_MEMBERS} folders, or as many hard links`,
      );
    }
    const limit = limitOf('layer-names-size');
    if (this.#nameBytes <= limit) return;
    throw limitExceeded(
      'layer-names-size',
      `${this.#what} has names of folders and hard links of more than ${limit} bytes`,
    );
  }

  /** The links would have to keep the file that was there first, and a tree has one file under one name. */
  #isReplaced(path: string): AtomicError {
    return new AtomicError(
      'layer-invalid',
      `${this.#what} has ${JSON.stringify(path)} behind a hard link to what was there before`,
    );
  }

  /** Tar readers do not agree on entries below a link of the same archive, and ostree takes none. */
  #isBoth(path: string): AtomicError {
    return new AtomicError(
      'layer-invalid',
      `${this.#what} has ${JSON.stringify(path)} both as a file or link and as a folder`,
    );
  }
}
