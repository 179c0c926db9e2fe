import { AtomicError } from '../../errors.ts';
import { limitExceeded, limitOf } from '../../limits.ts';
import { parentOf } from './path.ts';
import { PathSet } from './path-set.ts';

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
    }
  /** A folder that other entries lie in, without one of its own (so far). */
  | { readonly kind: 'implied'; readonly path: string }
  /** Anything that is no folder. */
  | { readonly kind: 'file'; readonly path: string }
  /** `path` of the layers below is gone. */
  | { readonly kind: 'whiteout'; readonly path: string }
  /** What the layers below had in this folder is gone. */
  | { readonly kind: 'opaque'; readonly path: string }
  /** A hard link to a file that the layer itself does not have: one of the layers below does. */
  | { readonly kind: 'lower-link'; readonly path: string; readonly target: string };

/** As many members as V8 lets a Set or a Map have. */
const SET_MEMBERS = 2 ** 24 - 1;

/** Collects records in the order of the tar, and keeps what later entries need to know of earlier ones. */
export class LayerRecorder {
  /** Entries seen, those left out included. */
  entries = 0;
  /** Device nodes and FIFOs, which ostree does not store; hard links to them included. */
  devicesLeftOut = 0;
  /** Whiteouts that name nothing: `.wh.`, `.wh..`, and aufs' own `.wh..wh.` files. */
  whiteoutsLeftOut = 0;
  /** Bytes in regular files, as a file system counts them. */
  fileBytes = 0;
  readonly files = new PathSet();
  readonly devices = new PathSet();
  /** For each hard link of this layer, the file that its chain ends at. */
  readonly #linkTargets = new Map<string, string>();
  readonly #folders = new Set<string>();
  readonly #what: string;
  readonly #write: (record: LayerRecord) => void;
  #nameBytes = 0;

  /** @param what subject of the error's sentence */
  constructor(what: string, write: (record: LayerRecord) => void) {
    this.#what = what;
    this.#write = write;
  }

  directory(path: string, mode: number, uid: number, gid: number): void {
    this.#enterParents(path);
    this.#enterFolder(path);
    this.#write({ kind: 'directory', path, mode, uid, gid });
  }

  /** @throws AtomicError `layer-invalid` when it was a folder before, as ostree would */
  file(path: string): void {
    if (this.#folders.has(path)) throw this.#isBoth(path);
    this.#enterParents(path);
    this.files.add(path);
    this.#linkTargets.delete(path);
    this.#write({ kind: 'file', path });
  }

  hardLink(path: string, target: string): void {
    this.file(path);
    this.#remember(path);
    this.#linkTargets.set(path, target);
  }

  /** The file that a chain of hard links in this layer ends at. */
  linkTarget(path: string): string {
    return this.#linkTargets.get(path) ?? path;
  }

  /** It replaces what the layers below have at its path, by nothing. */
  device(path: string): void {
    this.devicesLeftOut++;
    this.devices.add(path);
    this.#write({ kind: 'whiteout', path });
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
    this.#write({ kind: 'lower-link', path, target });
  }

  #enterParents(path: string): void {
    const parent = parentOf(path);
    if (parent === '' || this.#folders.has(parent)) return;
    this.#enterParents(parent);
    this.#enterFolder(parent);
    this.#write({ kind: 'implied', path: parent });
  }

  #enterFolder(path: string): void {
    if (this.#folders.has(path)) return;
    if (this.files.has(path)) throw this.#isBoth(path);
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

  /** Tar readers do not agree on entries below a link of the same archive, and ostree takes none. */
  #isBoth(path: string): AtomicError {
    return new AtomicError(
      'layer-invalid',
      `${this.#what} has ${JSON.stringify(path)} both as a file or link and as a folder`,
    );
  }
}
