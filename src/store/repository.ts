import { open, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AtomicError, systemCodeOf } from '../errors.ts';
import type { Exec } from '../host/ports.ts';
import { limitExceeded, STORED_BYTES } from '../limits.ts';
import { makeFolder } from '../make-folder.ts';
import { parseCommitMetadata } from './commit-object.ts';
import { REF_PREFIX } from './names.ts';
import { retryStagingRace } from './staging-race.ts';

/** Far beyond any commit that ostree lets one write. */
const COMMIT_BYTES = 16 * 1024 * 1024;

export interface StoredCommit {
  readonly checksum: string;
  readonly metadata: ReadonlyMap<string, string>;
  /** When the commit was written into this repo. */
  readonly created: Date;
}

/**
 * An ostree repo. Refs and commit metadata are read from its files (an ostree process costs 18 ms, a read 0.1 ms);
 * everything that writes goes through the `ostree` program.
 */
export class Repository {
  readonly path: string;
  readonly #exec: Exec;

  constructor(path: string, exec: Exec) {
    this.path = path;
    this.#exec = exec;
  }

  async exists(): Promise<boolean> {
    return (await statIfThere(join(this.path, 'objects'))) !== undefined;
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
      const checksum = (await readFile(this.refPath(ref), 'latin1')).trim();
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
    return (await statIfThere(this.objectPath(checksum, 'commit')))?.mtime;
  }

  /** @throws AtomicError `store-invalid` when the commit is not there or is damaged */
  async readCommit(checksum: string): Promise<StoredCommit> {
    const path = this.objectPath(checksum, 'commit');
    const what = `the commit ${checksum} in ${this.path}`;
    try {
      const file = await open(path);
      try {
        const { size, mtime } = await file.stat();
        if (size > COMMIT_BYTES)
          throw limitExceeded(COMMIT_BYTES, `${what} is larger than ${COMMIT_BYTES} bytes`);
        return { checksum, metadata: parseCommitMetadata(await file.readFile(), what), created: mtime };
      } finally {
        await file.close();
      }
    } catch (error) {
      if (systemCodeOf(error) !== 'ENOENT') throw error;
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

  /** The content of one small file of a commit: a manifest, a config. */
  async readFile(commit: string, path: string): Promise<string> {
    const { stdout } = await this.#exec.run('ostree', [`--repo=${this.path}`, 'cat', commit, path], {
      outputBytes: STORED_BYTES,
    });
    return stdout;
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
  objectPath(checksum: string, kind: 'commit' | 'dirtree' | 'dirmeta' | 'file'): string {
    return join(this.path, 'objects', checksum.slice(0, 2), `${checksum.slice(2)}.${kind}`);
  }
}

async function statIfThere(path: string): Promise<Awaited<ReturnType<typeof stat>> | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT' || systemCodeOf(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}
