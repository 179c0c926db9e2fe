import { lstatSync, readlinkSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { systemCodeOf } from '../errors.ts';
import type { Digest } from '../image/digest.ts';
import { joinPath } from '../stream/tar/path.ts';
import type { LayerRecord } from '../stream/tar/recorder.ts';
import { hasStoredName } from '../stream/tar/stored-name.ts';
import { indexPath, LayerIndexWriter } from './layer-index.ts';
import type { Repository } from './repository.ts';
import { parseDirectoryMeta, parseTreeObject } from './tree-object.ts';

/**
 * Makes the index of a layer that another tool imported, out of the objects of its tree. A tree does not tell implied
 * folders from named ones: all count as named.
 * @throws AtomicError `store-invalid`; the system's error for an object that is missing
 */
export async function ensureIndex(repository: Repository, layer: Digest, commit: string): Promise<void> {
  if (await exists(indexPath(repository.path, layer))) return;
  const index = await LayerIndexWriter.create(repository.path, layer);
  try {
    const { root } = await repository.readCommit(commit);
    await new TreeReader(repository, index).read('', root.tree, root.meta);
    await index.publish();
  } catch (error) {
    await index.discard();
    throw error;
  }
}

class TreeReader {
  readonly #repository: Repository;
  readonly #index: LayerIndexWriter;
  #hasStoredNames = false;

  constructor(repository: Repository, index: LayerIndexWriter) {
    this.#repository = repository;
    this.#index = index;
  }

  async read(path: string, tree: string, meta: string): Promise<void> {
    const owner = parseDirectoryMeta(
      await readFile(this.#repository.objectPath(meta, 'dirmeta')),
      `the object ${meta} in ${this.#repository.path}`,
    );
    this.#index.write({ kind: 'directory', path, ...owner });
    const { files, folders } = parseTreeObject(
      await readFile(this.#repository.objectPath(tree, 'dirtree')),
      `the object ${tree} in ${this.#repository.path}`,
    );
    for (const { name, checksum } of files) {
      for (const record of recordsOf(path, name)) this.#index.write(record);
      this.#noteStored(joinPath(path, name), name);
      if (!this.#hasStoredNames) this.#noteStored(joinPath(path, name), this.#targetOf(checksum));
    }
    for (const folder of folders) {
      this.#noteStored(joinPath(path, folder.name), folder.name);
      await this.read(joinPath(path, folder.name), folder.tree, folder.meta);
    }
  }

  #noteStored(path: string, text: string): void {
    if (this.#hasStoredNames || !hasStoredName(text)) return;
    this.#hasStoredNames = true;
    this.#index.write({ kind: 'stored-name', path });
  }

  /** A symlink's target; empty for a file. */
  #targetOf(checksum: string): string {
    const object = this.#repository.objectPath(checksum, 'file');
    return lstatSync(object).isSymbolicLink() ? readlinkSync(object) : '';
  }
}

function* recordsOf(parent: string, name: string): Generator<LayerRecord> {
  yield { kind: 'file', path: joinPath(parent, name) };
  if (name === '.wh..wh..opq') yield { kind: 'opaque', path: parent };
  else if (/^\.wh\.(?!\.{0,2}$|\.wh\.)/s.test(name)) {
    yield { kind: 'whiteout', path: joinPath(parent, name.slice(4)) };
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return false;
    throw error;
  }
}
