import { readFileSync, readSync, statSync, type Stats } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { AtomicError, isAtomicError, systemCodeOf } from '../errors.ts';
import type { Exec } from '../host/ports.ts';
import { STORED_BYTES } from '../limits.ts';
import { makeFolder } from '../make-folder.ts';
import {
  readCommitMetadata,
  readCommitRoot,
  type ByteRange,
  type CommitBytes,
  type CommitRoot,
} from './commit-object.ts';
import { METADATA, REF_PREFIX } from './names.ts';
import { NoRegularFile, withRegularFile } from './regular-file.ts';
import { retryStagingRace } from './staging-race.ts';
import { parseTreeObject } from './tree-object.ts';

/** Far beyond any commit that ostree lets one write. */
const COMMIT_BYTES = 256 * 1024 * 1024;
/** A folder of ten thousand files; larger ones the `ostree` program reads. */
const FOLDER_BYTES = 16 * 1024 * 1024;
/** A checksum and a line end. */
const REF_BYTES = 1024;

type ObjectKind = 'commit' | 'dirtree' | 'dirmeta' | 'file';

/** `bare` for root, `bare-user` for anybody else: ostree(1). */
export type NewMode = 'bare' | 'bare-user';

export interface StoredCommit {
  readonly checksum: string;
  readonly metadata: ReadonlyMap<string, string>;
  /** Where the record of a layer's tar is in the commit object; it is too long to be read with the rest. */
  readonly tarSplit: ByteRange | undefined;
  readonly root: CommitRoot;
  /** When the commit was written into this repo. */
  readonly created: Date;
}

/**
 * An ostree repo. Refs and commit metadata are read from its files, at once (an ostree process costs 18 ms, a read by way
 * of the thread pool 0.1 ms, one at once 0.02 ms); everything that writes goes through the `ostree` program.
 */
export class Repository {
  readonly path: string;
  readonly #exec: Exec;
  readonly #mode: NewMode;

  /** @param mode what `ensure` makes */
  constructor(path: string, exec: Exec, mode: NewMode = 'bare') {
    this.path = path;
    this.#exec = exec;
    this.#mode = mode;
  }

  async exists(): Promise<boolean> {
    return statIfThere(join(this.path, 'objects')) !== undefined;
  }

  /**
   * Makes the repo when there is none. Mode `bare` keeps owners, modes and xattrs as the layers have them; where only
   * root could do that, `bare-user` notes them beside the files.
   * @throws AtomicError `tool-missing`, `command-failed`
   */
  async ensure(): Promise<void> {
    if (await this.exists()) return;
    await makeFolder(this.path, 0o755);
    await this.#exec.run('ostree', [`--repo=${this.path}`, 'init', `--mode=${this.#mode}`]);
  }

  /** The file that holds a ref. */
  refPath(ref: string): string {
    return join(this.path, 'refs/heads', ref);
  }

  /** The commit that a ref points at; undefined when there is no such ref. */
  async resolveRef(ref: string): Promise<string | undefined> {
    try {
      const what = `the ref ${ref} in ${this.path}`;
      // `ostree refs --alias` makes links.
      const where = { what, limit: REF_BYTES, links: 'follow' } as const;
      const checksum = withRegularFile(this.refPath(ref), where, (file) =>
        readFileSync(file, 'latin1'),
      ).trim();
      if (/^[0-9a-f]{64}$/.test(checksum)) return checksum;
    } catch (error) {
      if (['ENOENT', 'ENOTDIR', 'ENAMETOOLONG'].includes(systemCodeOf(error) ?? '')) return undefined;
      throw error;
    }
    throw new AtomicError('store-invalid', `the ref ${ref} in ${this.path} does not name a commit`, {
      hint: 'Remove it with `ostree refs --delete` and pull the image again.',
    });
  }

  /** All refs of images, layers and configs. @throws AtomicError `not-root` */
  async listRefs(): Promise<string[]> {
    try {
      const names = await readdir(join(this.path, 'refs/heads', REF_PREFIX));
      return names.map((name) => `${REF_PREFIX}${name}`);
    } catch (error) {
      if (systemCodeOf(error) === 'ENOENT') return [];
      if (systemCodeOf(error) !== 'EACCES') throw error;
      throw new AtomicError('not-root', `Cannot read the refs of ${this.path}: permission denied`, {
        cause: error,
        hint: 'Run it as root.',
      });
    }
  }

  /** When a commit was written into this repo; undefined when it is missing. It is not read: a layer's may hold megabytes. */
  async readCommitTime(checksum: string): Promise<Date | undefined> {
    return statIfThere(this.objectPath(checksum, 'commit'))?.mtime;
  }

  /** @throws AtomicError `store-invalid` when the commit is not there or is damaged */
  async readCommit(checksum: string): Promise<StoredCommit> {
    const path = this.objectPath(checksum, 'commit');
    const what = `the commit ${checksum} in ${this.path}`;
    try {
      return readOpened(path, COMMIT_BYTES, what, (file, { size, mtime }) => {
        const object = commitBytes(file, size);
        const { strings, passedOver } = readCommitMetadata(object, what, [METADATA.tarSplit]);
        const root = readCommitRoot(object, what);
        const tarSplit = passedOver.get(METADATA.tarSplit);
        return { checksum, metadata: strings, tarSplit, root, created: mtime };
      });
    } catch (error) {
      if (!isAbsent(error)) throw error;
      throw new AtomicError('store-invalid', `${what} is missing`, {
        cause: error,
        hint: 'Pull the image again; `ostree fsck` tells what else the repo lacks.',
      });
    }
  }

  /** A ref's commit; undefined when there is no such ref. */
  async readRef(ref: string): Promise<StoredCommit | undefined> {
    const checksum = await this.resolveRef(ref);
    return checksum === undefined ? undefined : this.readCommit(checksum);
  }

  /** The content of one small file in the root of a commit: a manifest, a config. */
  async readFile(commit: string, path: string): Promise<string> {
    const found = this.#findFile(commit, path.slice(1));
    if (found !== undefined) return found.toString('utf8');
    const { stdout } = await this.#exec.run('ostree', [`--repo=${this.path}`, 'cat', commit, path], {
      outputBytes: STORED_BYTES,
    });
    return stdout;
  }

  /** The same, byte for byte. */
  async readBytes(commit: string, path: string): Promise<Buffer> {
    return this.#findFile(commit, path.slice(1)) ?? Buffer.from(await this.readFile(commit, path), 'utf8');
  }

  /** As it lies in the repo, without a program; undefined where it does not lie there as it is. */
  #findFile(commit: string, name: string): Buffer | undefined {
    const read = (checksum: string, kind: ObjectKind): Buffer => {
      const path = this.objectPath(checksum, kind);
      const limit = kind === 'file' ? STORED_BYTES : FOLDER_BYTES;
      return readOpened(path, limit, path, (file) => readFileSync(file));
    };
    try {
      const what = `the commit ${commit}`;
      const root = readOpened(this.objectPath(commit, 'commit'), COMMIT_BYTES, what, (file, { size }) =>
        readCommitRoot(commitBytes(file, size), what),
      );
      const tree = parseTreeObject(read(root.tree, 'dirtree'), `the folder ${root.tree}`);
      const file = tree.files.find((entry) => entry.name === name);
      return file === undefined ? undefined : read(file.checksum, 'file');
    } catch (error) {
      // What is missing or damaged the `ostree` program tells in its own words; at a pipe it would wait.
      if (error instanceof NoRegularFile) throw error;
      if (isAbsent(error) || isAtomicError(error, 'store-invalid')) return undefined;
      throw error;
    }
  }

  /**
   * Commits small files under a ref, all owned by root.
   * @param files content by absolute path
   */
  async commitFiles(
    ref: string,
    tar: Uint8Array,
    metadata: readonly (readonly [string, string])[],
  ): Promise<string> {
    const args = [
      `--repo=${this.path}`,
      'commit',
      `--branch=${ref}`,
      '--no-bindings',
      '--fsync=false',
      '--parent=none',
      '--tar-autocreate-parents',
      '--tree=tar=-',
      '--subject=',
      ...metadata.map(([key, value]) => `--add-metadata-string=${key}=${value}`),
    ];
    const { stdout } = await retryStagingRace(() => this.#exec.run('ostree', args, { input: tar }));
    return stdout.trim();
  }

  /** Where an object is; a repo in mode `bare` keeps a symlink's as a symlink. */
  objectPath(checksum: string, kind: ObjectKind): string {
    return join(this.path, 'objects', checksum.slice(0, 2), `${checksum.slice(2)}.${kind}`);
  }
}

/** What `readCapped` says of a file that is not there; a link is none. */
function isAbsent(error: unknown): boolean {
  return ['ENOENT', 'ELOOP'].includes(systemCodeOf(error) ?? '');
}

/** Reads a file of the repo, which is no link. */
function readOpened<T>(
  path: string,
  limit: number,
  what: string,
  read: (file: number, stats: Stats) => T,
): T {
  return withRegularFile(path, { what, limit, links: 'refuse' }, read);
}

function commitBytes(file: number, size: number): CommitBytes {
  return {
    size,
    read(start, end) {
      const bytes = Buffer.alloc(end - start);
      return bytes.subarray(0, readSync(file, bytes, 0, bytes.length, start));
    },
  };
}

function statIfThere(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT' || systemCodeOf(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}
