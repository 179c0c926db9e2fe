/**
 * Whether everything that commits are made of is in the repo, and is what its name says: the commits, their folders with
 * owners and modes, and every file. `ostree fsck` does the same for a whole repo; this tells of one image, by path.
 */
import { createHash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { setImmediate as breathe } from 'node:timers/promises';
import { AtomicError, isAtomicError, systemCodeOf } from '../errors.ts';
import type { Exec } from '../host/ports.ts';
import { parseCommitRoot } from './commit-object.ts';
import { lstat, showBytes } from './compare-trees.ts';
import { bytePath, fileObjectChecksum } from './object-checksum.ts';
import type { Repository } from './repository.ts';
import { parseTreeObject } from './tree-object.ts';
import { judgeObjects, type FoundObject } from './verify-objects.ts';

export interface ObjectFault {
  /** In the commit's tree, with a slash at its beginning; of the commit itself: empty. */
  readonly path: string;
  readonly checksum: string;
  readonly kind: ObjectKind;
  readonly found: 'missing' | 'damaged';
}

export interface VerifiedCommit {
  /** Objects that it leads to, each once. */
  readonly objects: number;
  readonly faults: readonly ObjectFault[];
}

type ObjectKind = 'commit' | 'dirtree' | 'dirmeta' | 'file';

/** Objects between two looks for a signal. */
const OBJECTS_AT_ONCE = 200;
/** A folder of a million files has less. */
const METADATA_BYTES = 256 * 1024 * 1024;

/** Verifies commits of one repo; what several of them share is read once. */
export class CommitVerifier {
  readonly #exec: Exec;
  readonly #repository: Repository;
  readonly #signal: AbortSignal;
  /** By kind and checksum. */
  readonly #verdicts = new Map<string, ObjectFault['found'] | 'intact'>();
  #read = 0;

  constructor(exec: Exec, repository: Repository, signal: AbortSignal) {
    this.#exec = exec;
    this.#repository = repository;
    this.#signal = signal;
  }

  /** @throws AtomicError of the programs that are asked about xattrs; system errors; the signal's reason */
  async verify(commit: string): Promise<VerifiedCommit> {
    const places = new Map<string, Place>();
    const files: Place[] = [];
    const add = (place: Place): boolean => {
      const key = `${place.kind} ${place.checksum}`;
      if (places.has(key)) return false;
      places.set(key, place);
      if (place.kind === 'file') files.push(place);
      return true;
    };
    const folders: Place[] = [];
    const root = { path: '', checksum: commit, kind: 'commit' } as const;
    add(root);
    const bytes = await this.#readObject(root);
    const top = this.#parse(root, bytes, (object, what) => parseCommitRoot(object, what));
    if (top !== undefined) {
      add({ path: '/', checksum: top.meta, kind: 'dirmeta' });
      folders.push({ path: '/', checksum: top.tree, kind: 'dirtree' });
    }
    for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
      if (!add(folder)) continue;
      const object = await this.#readObject(folder);
      const tree = this.#parse(folder, object, (content, what) => parseTreeObject(content, what));
      const inside = folder.path === '/' ? '/' : `${folder.path}/`;
      for (const { name, checksum } of tree?.files ?? [])
        add({ path: inside + name, checksum, kind: 'file' });
      for (const { name, tree: checksum, meta } of tree?.folders ?? []) {
        add({ path: inside + name, checksum: meta, kind: 'dirmeta' });
        folders.push({ path: inside + name, checksum, kind: 'dirtree' });
      }
    }
    for (const place of places.values()) if (place.kind === 'dirmeta') await this.#readObject(place);
    await this.#verifyFiles(files);
    return { objects: places.size, faults: this.#faultsOf(places) };
  }

  #faultsOf(places: ReadonlyMap<string, Place>): ObjectFault[] {
    return [...places].flatMap(([key, place]) => {
      const found = this.#verdicts.get(key);
      return found === undefined || found === 'intact'
        ? []
        : [{ ...place, path: showBytes(place.path), found }];
    });
  }

  /** An object other than a file, whose name is the plain checksum of its bytes; undefined when it is not there. */
  async #readObject({ checksum, kind }: Place): Promise<Buffer | undefined> {
    await this.#breathe();
    const key = `${kind} ${checksum}`;
    const bytes = readIfThere(this.#repository.objectPath(checksum, kind));
    if (bytes === undefined) this.#verdicts.set(key, 'missing');
    else {
      const isIntact = createHash('sha256').update(bytes).digest('hex') === checksum;
      this.#verdicts.set(key, isIntact ? 'intact' : 'damaged');
    }
    return bytes;
  }

  /** What a damaged object names is looked for as far as it can be read. */
  #parse<T>(
    { checksum, kind }: Place,
    bytes: Buffer | undefined,
    parse: (bytes: Buffer, what: string) => T,
  ): T | undefined {
    try {
      return bytes === undefined ? undefined : parse(bytes, `the object ${checksum}`);
    } catch (error) {
      if (!isAtomicError(error, 'store-invalid')) throw error;
      this.#verdicts.set(`${kind} ${checksum}`, 'damaged');
      return undefined;
    }
  }

  async #verifyFiles(files: readonly Place[]): Promise<void> {
    const suspects: FoundObject[] = [];
    for (const { path: inTree, checksum } of files) {
      const key = `file ${checksum}`;
      if (this.#verdicts.has(key)) continue;
      await this.#breathe();
      const path = bytePath(this.#repository.objectPath(checksum, 'file'));
      const stats = lstat(path);
      if (stats === undefined) this.#verdicts.set(key, 'missing');
      else if (!stats.isFile() && !stats.isSymbolicLink()) this.#verdicts.set(key, 'damaged');
      else if ((await fileObjectChecksum(path, stats)) === checksum) this.#verdicts.set(key, 'intact');
      else suspects.push({ checksum, path, stats, inTree });
    }
    const asked = Number.POSITIVE_INFINITY;
    const damaged = await judgeObjects(this.#exec, suspects, { asked, signal: this.#signal });
    const bad = new Set(damaged.map(({ checksum }) => checksum));
    for (const { checksum } of suspects)
      this.#verdicts.set(`file ${checksum}`, bad.has(checksum) ? 'damaged' : 'intact');
  }

  async #breathe(): Promise<void> {
    this.#read += 1;
    if (this.#read % OBJECTS_AT_ONCE !== 0) return;
    await breathe();
    this.#signal.throwIfAborted();
  }
}

interface Place {
  /** A byte string. */
  readonly path: string;
  readonly checksum: string;
  readonly kind: ObjectKind;
}

/** Read at once: by way of the thread pool small files take five times as long. */
function readIfThere(path: string): Buffer | undefined {
  try {
    const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      if (fstatSync(file).size > METADATA_BYTES)
        throw new AtomicError('store-invalid', `${path} is larger than any object of its kind`);
      return readFileSync(file);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    if (['ENOENT', 'ELOOP'].includes(systemCodeOf(error) ?? '')) return undefined;
    throw error;
  }
}
