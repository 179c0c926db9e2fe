/** The files of a commit's tree, read from the repo's objects: no link is followed, and no program started. */
import { closeSync, constants, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { createInflateRaw } from 'node:zlib';
import { createReadStream } from 'node:fs';
import { AtomicError, messageOf, systemCodeOf } from '../../errors.ts';
import type { Repository } from '../repository.ts';
import { parseTreeObject } from '../tree-object.ts';

/** Read at one time. */
const CHUNK_BYTES = 256 * 1024;
/** Folders whose names are held: those above a file, and a few beside them; bytes of their objects, but for the last. */
const FOLDERS_HELD = 64;
const FOLDERS_HELD_BYTES = 64 * 1024 * 1024;
/** libostree takes no larger one of another repo; a folder of a million files has half of it. */
const FOLDER_BYTES = 128 * 1024 * 1024;
/** Of a compressed object's own header, without xattrs larger than any file system keeps. */
const HEADER_BYTES = 16 * 1024 * 1024;

interface Folder {
  readonly files: ReadonlyMap<string, string>;
  readonly folders: ReadonlyMap<string, string>;
  /** Of its object. */
  readonly size: number;
}

export class TreeFiles {
  readonly #repository: Repository;
  readonly #root: string;
  readonly #compressed: boolean;
  readonly #held = new Map<string, Folder>();
  #heldBytes = 0;

  /**
   * @param root checksum of the tree
   * @param mode of the repo; in `archive` its files are compressed
   */
  constructor(repository: Repository, root: string, mode: string) {
    this.#repository = repository;
    this.#root = root;
    this.#compressed = /^archive(?:-z2)?$/.test(mode);
  }

  /** The object of the file at a clean path (latin1, one character a byte); undefined where there is none. */
  find(path: string): string | undefined {
    const names = path.split('/');
    const name = names.pop() ?? '';
    let tree: string | undefined = this.#root;
    for (const folder of names) {
      tree = this.#open(tree).folders.get(folder);
      if (tree === undefined) return undefined;
    }
    return this.#open(tree).files.get(name);
  }

  /**
   * The content of a file's object.
   * @param size how long it has to be
   * @throws AtomicError `store-invalid` when it is not there, is no file or has another length; `not-root`
   */
  read(checksum: string, size: number, what: string): Iterable<Buffer> | AsyncIterable<Buffer> {
    return this.#compressed ? this.#inflate(checksum, size, what) : this.#readPlain(checksum, size, what);
  }

  *#readPlain(checksum: string, size: number, what: string): Generator<Buffer> {
    const file = openObject(this.#repository.objectPath(checksum, 'file'), what);
    try {
      const stats = fstatSync(file);
      if (!stats.isFile() || stats.size !== size) throw isAnother(what);
      for (let left = size; left > 0;) {
        const bytes = Buffer.allocUnsafe(Math.min(left, CHUNK_BYTES));
        const read = readSync(file, bytes);
        if (read === 0) throw isAnother(what);
        left -= read;
        yield bytes.subarray(0, read);
      }
    } finally {
      closeSync(file);
    }
  }

  /** ostree-core.c: the length of a header in 4 bytes, 4 of padding, the header, the content as raw deflate. */
  async *#inflate(checksum: string, size: number, what: string): AsyncGenerator<Buffer> {
    const path = `${this.#repository.objectPath(checksum, 'file')}z`;
    const file = openObject(path, what);
    let start: number;
    try {
      if (!fstatSync(file).isFile()) throw isAnother(what);
      const head = Buffer.alloc(8);
      readSync(file, head, 0, 8, 0);
      start = 8 + head.readUInt32BE(0);
      if (start > HEADER_BYTES) throw isAnother(what);
    } catch (error) {
      closeSync(file);
      throw error;
    }
    // The same file, which it closes: by its name it may be another one by now.
    const packed = createReadStream('', { fd: file, start });
    const content = packed.pipe(createInflateRaw({ chunkSize: CHUNK_BYTES }));
    packed.on('error', (error) => content.destroy(error));
    let left = size;
    try {
      for await (const bytes of content as AsyncIterable<Buffer>) {
        left -= bytes.length;
        if (left < 0) throw isAnother(what);
        yield bytes;
      }
    } catch (error) {
      if (systemCodeOf(error)?.startsWith('Z_') !== true) throw error;
      throw new AtomicError('store-invalid', `${what} cannot be decompressed: ${messageOf(error)}`, {
        cause: error,
      });
    } finally {
      packed.destroy();
    }
    if (left > 0) throw isAnother(what);
  }

  #open(tree: string): Folder {
    const held = this.#held.get(tree);
    if (held !== undefined) {
      // The one that was used last goes last.
      this.#held.delete(tree);
      this.#held.set(tree, held);
      return held;
    }
    const folder = readFolder(this.#repository.objectPath(tree, 'dirtree'), tree);
    for (const [oldest, { size }] of this.#held) {
      if (this.#held.size < FOLDERS_HELD && this.#heldBytes + folder.size <= FOLDERS_HELD_BYTES) break;
      this.#held.delete(oldest);
      this.#heldBytes -= size;
    }
    this.#held.set(tree, folder);
    this.#heldBytes += folder.size;
    return folder;
  }
}

function readFolder(path: string, tree: string): Folder {
  const what = `the folder ${tree}`;
  const file = openObject(path, what);
  try {
    const stats = fstatSync(file);
    if (!stats.isFile() || stats.size > FOLDER_BYTES) throw isAnother(what);
    const { files, folders } = parseTreeObject(readFileSync(file), what);
    return {
      files: new Map(files.map(({ name, checksum }) => [name, checksum])),
      folders: new Map(folders.map((folder) => [folder.name, folder.tree])),
      size: stats.size,
    };
  } finally {
    closeSync(file);
  }
}

/** In a repo in mode `bare` a symlink's object is one: it has no content. */
function openObject(path: string, what: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const code = systemCodeOf(error) ?? '';
    if (code === 'ENOENT' || code === 'ELOOP') throw isAnother(what);
    if (code !== 'EACCES' && code !== 'EPERM') throw error;
    throw new AtomicError('not-root', `Cannot read ${what}: permission denied`, {
      cause: error,
      hint: 'Run it as the owner of the repo, which is root in most cases.',
    });
  }
}

function isAnother(what: string): AtomicError {
  return new AtomicError('store-invalid', `${what} is not in the repo as it was imported`, {
    hint: 'Check the repo with `ostree fsck`; delete the image and pull it again.',
  });
}
