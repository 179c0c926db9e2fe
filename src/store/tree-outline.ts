import { PathSet } from '../stream/tar/path-set.ts';
import type { LayerPlan } from './apply-layer.ts';
import { readLayerIndex } from './layer-index.ts';

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
   * @returns what is left to do after its checkout, when that may follow right on the one below: the layer only adds
   * to the tree or puts files in place of files. Undefined when the tree has to be prepared for it.
   * @throws AtomicError `store-invalid`
   */
  async enter(index: string): Promise<LayerPlan['directories'] | undefined> {
    const directories: LayerPlan['directories'][number][] = [];
    let fits = true;
    for await (const record of readLayerIndex(index)) {
      if (record.kind === 'file') {
        fits &&= !this.#folders.has(record.path);
        this.#files.add(record.path);
      } else if (record.kind === 'directory' || record.kind === 'implied') {
        fits &&= !this.#files.has(record.path);
        if (record.kind === 'directory' && this.#folders.has(record.path)) directories.push(record);
        this.#folders.add(record.path);
      } else {
        fits = false;
      }
    }
    return fits ? directories : undefined;
  }
}
