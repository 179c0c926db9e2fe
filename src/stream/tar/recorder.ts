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

/** Collects records in the order of the tar, and keeps what later entries need to know of earlier ones. */
export class LayerRecorder {
  /** Entries seen, those left out included. */
  entries = 0;
  /** Device nodes and FIFOs, which ostree does not store. */
  devicesLeftOut = 0;
  /** Whiteouts that name nothing: `.wh.`, `.wh..`, and aufs' own `.wh..wh.` files. */
  whiteoutsLeftOut = 0;
  /** Bytes in regular files, as a file system counts them. */
  fileBytes = 0;
  /** For each hard link of this layer, the file that its chain ends at. */
  readonly linkTargets = new Map<string, string>();
  readonly files = new PathSet();
  readonly #folders = new Set<string>();
  readonly #write: (record: LayerRecord) => void;
  readonly #end: () => void;

  constructor(write: (record: LayerRecord) => void, end: () => void) {
    this.#write = write;
    this.#end = end;
  }

  directory(path: string, mode: number, uid: number, gid: number): void {
    this.#enterParents(path);
    this.#folders.add(path);
    this.#write({ kind: 'directory', path, mode, uid, gid });
  }

  file(path: string): void {
    this.#enterParents(path);
    this.files.add(path);
    this.#write({ kind: 'file', path });
  }

  /** The whiteout's own file stays in the layer's tree, as atomic and skopeo keep it; `file` is told of it as well. */
  whiteout(path: string): void {
    this.#write({ kind: 'whiteout', path });
  }

  opaque(path: string): void {
    this.#write({ kind: 'opaque', path });
  }

  lowerLink(path: string, target: string): void {
    this.#enterParents(path);
    this.#write({ kind: 'lower-link', path, target });
  }

  end(): void {
    this.#end();
  }

  #enterParents(path: string): void {
    const parent = parentOf(path);
    if (parent === '' || this.#folders.has(parent)) return;
    this.#enterParents(parent);
    this.#folders.add(parent);
    this.#write({ kind: 'implied', path: parent });
  }
}
