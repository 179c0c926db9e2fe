import { closeSync, constants, fstatSync, openSync, readFileSync, statSync, type Stats } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { AtomicError, isAtomicError, systemCodeOf } from '../errors.ts';
import type { Exec } from '../host/ports.ts';
import { limitExceeded, STORED_BYTES } from '../limits.ts';
import { makeFolder } from '../make-folder.ts';
import { parseCommitMetadata, parseCommitRoot } from './commit-object.ts';
import { REF_PREFIX } from './names.ts';
import { retryStagingRace } from './staging-race.ts';
import { parseTreeObject } from './tree-object.ts';

/** Far beyond any commit that ostree lets one write. */
const COMMIT_BYTES = 16 * 1024 * 1024;

type ObjectKind = 'commit' | 'dirtree' | 'dirmeta' | 'file';

export interface StoredCommit {
  readonly checksum: string;
  readonly metadata: ReadonlyMap<string, string>;
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

  constructor(path: string, exec: Exec) {
    this.path = path;
    this.#exec = exec;
  }

  async exists(): Promise<boolean> {
    return statIfThere(join(this.path, 'objects')) !== undefined;
  }

  /**
   * Makes the repo when there is none. Mode `bare` keeps owners, modes and xattrs as the layers have them.
   * @throws AtomicError `tool-missing`, `command-failed`
   */
  async ensure(): Promise<void> {
    if (await this.exists()) return;
    await makeFolder(this.path, 0o755);
    await this.#exec.run('ostree', [`--repo=${this.path}`, 'init', '--mode=bare']);
  }

  /** The file that holds a ref. */
  refPath(ref: string): string {
    return join(this.path, 'refs/heads', ref);
  }

  /** The commit that a ref points at; undefined when there is no such ref. */
  async resolveRef(ref: string): Promise<string | undefined> {
    try {
      const checksum = readFileSync(this.refPath(ref), 'latin1').trim();
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
      const { bytes, mtime } = readCapped(path, COMMIT_BYTES, what);
      return { checksum, metadata: parseCommitMetadata(bytes, what), created: mtime };
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
    if (found !== undefined) return found;
    const { stdout } = await this.#exec.run('ostree', [`--repo=${this.path}`, 'cat', commit, path], {
      outputBytes: STORED_BYTES,
    });
    return stdout;
  }

  /** As it lies in the repo, without a program; undefined where it does not lie there as it is. */
  #findFile(commit: string, name: string): string | undefined {
    const read = (checksum: string, kind: ObjectKind): Buffer => {
      const path = this.objectPath(checksum, kind);
      return readCapped(path, kind === 'file' ? STORED_BYTES : COMMIT_BYTES, path).bytes;
    };
    try {
      const root = parseCommitRoot(read(commit, 'commit'), `the commit ${commit}`);
      const tree = parseTreeObject(read(root.tree, 'dirtree'), `the folder ${root.tree}`);
      const file = tree.files.find((entry) => entry.name === name);
      return file === undefined ? undefined : read(file.checksum, 'file').toString('utf8');
    } catch (error) {
      // What is missing or damaged the `ostree` program tells in its own words.
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

/** A whole file of the repo, which is no link. */
function readCapped(path: string, limit: number, what: string): { bytes: Buffer; mtime: Date } {
  const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const { size, mtime } = fstatSync(file);
    if (size > limit) throw limitExceeded(limit, `${what} is larger than ${limit} bytes`);
    return { bytes: readFileSync(file), mtime };
  } finally {
    closeSync(file);
  }
}

function statIfThere(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT' || systemCodeOf(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}
