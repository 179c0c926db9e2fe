import { PathSet } from '../stream/tar/path-set.ts';
import { existingDirectory, type ExistingDirectory } from './apply-layer.ts';
import { readLayerIndex } from './layer-index.ts';

/** What is left to do after a layer's checkout that may follow right on the one below. */
export interface JoinedPlan {
  readonly directories: readonly ExistingDirectory[];
  readonly hasStoredNames: boolean;
}

/**
 * What the layers entered so far may have put into a tree, known without looking at it.
 *
 * A path may count as there though it is not (a whiteout took it, or two paths share a hash), never the other way
 * round: whoever believes it does too much and nothing wrong. A layer that puts entries elsewhere than its own paths
 * say ends that, and no layer may be entered after it.
 */
export class TreeOutline {
  readonly #files = new PathSet();
  readonly #folders = new PathSet();

  constructor() {
    // The root is there before its first layer.
    this.#folders.add('');
  }

  /**
   * Enters a layer, the next one up.
   * @param index path of its index
   * @param withXattrs the tree's folders that may have xattrs; those of the layer are added
   * @returns a plan when the layer only adds to the tree or puts files in place of files; undefined when the tree has
   * to be prepared for it
   * @throws AtomicError `store-invalid`
   */
  async enter(index: string, withXattrs: Set<string>): Promise<JoinedPlan | undefined> {
    const directories: ExistingDirectory[] = [];
    let fits = true;
    let hasStoredNames = false;
    for await (const record of readLayerIndex(index)) {
      if (record.kind === 'file') {
        fits &&= !this.#folders.has(record.path);
        this.#files.add(record.path);
      } else if (record.kind === 'directory' || record.kind === 'implied') {
        fits &&= !this.#files.has(record.path);
        if (record.kind === 'directory') {
          if (this.#folders.has(record.path))
            directories.push(existingDirectory({ ...record, place: record.path }, withXattrs));
          if (record.xattrs) withXattrs.add(record.path);
        }
        this.#folders.add(record.path);
      } else if (record.kind === 'stored-name') {
        hasStoredNames = true;
      } else {
        fits = false;
      }
    }
    return fits ? { directories, hasStoredNames } : undefined;
  }
}
