/**
 * Writes commit objects and refs into a repo ourselves: the metadata of a layer may be larger than what a program can be
 * given as an argument (128 KiB). What ostree would do beyond this, it does not do for commits without a signature.
 */
import { createHash, randomUUID } from 'node:crypto';
import { statSync, utimesSync } from 'node:fs';
import { open, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AtomicError, describeDiskFull, systemCodeOf } from '../errors.ts';
import { makeFolder } from '../make-folder.ts';
import { frameCommit, type CommitRoot } from './commit-object.ts';
import { METADATA } from './names.ts';
import type { Repository } from './repository.ts';
import { base64Bytes, readAsBase64 } from './tar-split-file.ts';

export interface LayerCommit {
  readonly root: CommitRoot;
  readonly metadata: readonly (readonly [string, string])[];
  /** A file that becomes `tarsplit.output`, with its size. */
  readonly tarSplit: { readonly path: string; readonly bytes: number } | undefined;
}

/**
 * Writes a layer's commit and points its ref at it. Nothing is flushed to the disk: the caller does that for all layers.
 * @param scratch a folder of the repo's file system for what is not finished
 * @throws AtomicError `store-race` when the tree has gone meanwhile, `disk-full`; system errors
 */
export async function writeLayerCommit(
  repository: Repository,
  scratch: string,
  ref: string,
  commit: LayerCommit,
): Promise<void> {
  const temporary = join(scratch, `${randomUUID()}.tmp`);
  try {
    const checksum = await writeCommit(temporary, commit);
    const place = repository.objectPath(checksum, 'commit');
    await makeFolder(dirname(place), 0o755);
    await rename(temporary, place);
    await writeFile(temporary, `${checksum}\n`, { mode: 0o644 });
    await makeFolder(dirname(repository.refPath(ref)), 0o755);
    await rename(temporary, repository.refPath(ref));
  } catch (error) {
    await rm(temporary, { force: true });
    throw describeDiskFull(error, repository.path);
  }
  // As libostree tells those who watch its repo.
  const now = new Date();
  utimesSync(repository.path, now, now);
  await requireTree(repository, ref, commit.root.tree);
}

/** @returns the commit's checksum */
async function writeCommit(path: string, { root, metadata, tarSplit }: LayerCommit): Promise<string> {
  const hash = createHash('sha256');
  const file = await open(path, 'wx', 0o644);
  try {
    const write = async (bytes: Buffer | string): Promise<void> => {
      hash.update(bytes);
      await file.appendFile(bytes);
    };
    const long = { key: METADATA.tarSplit, bytes: base64Bytes(tarSplit?.bytes ?? 0) };
    const { before, after } = frameCommit(
      root,
      new Date(),
      metadata,
      tarSplit === undefined ? undefined : long,
    );
    await write(before);
    if (tarSplit !== undefined) for await (const text of readAsBase64(tarSplit.path)) await write(text);
    await write(after);
  } finally {
    await file.close();
  }
  return hash.digest('hex');
}

/** `ostree prune` of somebody who does not ask for our lock takes what no ref led to before. */
async function requireTree(repository: Repository, ref: string, tree: string): Promise<void> {
  try {
    statSync(repository.objectPath(tree, 'dirtree'));
  } catch (error) {
    if (systemCodeOf(error) !== 'ENOENT') throw error;
    await rm(repository.refPath(ref), { force: true });
    throw new AtomicError(
      'command-failed',
      `The tree of ${ref} has gone from ${repository.path} while it was imported`,
      { hint: 'Somebody ran `ostree prune`. Pull the image again.' },
    );
  }
}
