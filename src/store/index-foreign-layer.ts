import { type Dirent } from 'node:fs';
import { lstat, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { systemCodeOf } from '../errors.ts';
import type { Exec } from '../host/ports.ts';
import type { Digest } from '../image/digest.ts';
import type { LayerRecord } from '../stream/tar/recorder.ts';
import { indexPath, LayerIndexWriter } from './layer-index.ts';
import type { Repository } from './repository.ts';

/**
 * Makes the index of a layer that another tool imported, by checking it out alone (a tree of hard links) and reading
 * its folders. A tree does not tell implied folders from named ones: all count as named.
 */
export async function ensureIndex(
  exec: Exec,
  repository: Repository,
  layer: Digest,
  commit: string,
  scratch: string,
): Promise<void> {
  if (await exists(indexPath(repository.path, layer))) return;
  const folder = await mkdtemp(join(scratch, 'layer-'));
  const index = await LayerIndexWriter.create(repository.path, layer);
  try {
    const tree = join(folder, 'tree');
    await exec.run('ostree', [
      `--repo=${repository.path}`,
      'checkout',
      '--require-hardlinks',
      '--fsync=false',
      commit,
      tree,
    ]);
    await writeDirectory(tree, '', index);
    await index.publish();
  } catch (error) {
    await index.discard();
    throw error;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function writeDirectory(tree: string, path: string, index: LayerIndexWriter): Promise<void> {
  const { mode, uid, gid } = await lstat(join(tree, path));
  index.write({ kind: 'directory', path: toLatin1(path), mode: mode & 0o7777, uid, gid });
  for (const entry of await readdir(join(tree, path), { withFileTypes: true })) {
    const child = path === '' ? entry.name : `${path}/${entry.name}`;
    if (entry.isDirectory()) await writeDirectory(tree, child, index);
    else for (const record of recordsOf(path, entry)) index.write(record);
  }
}

function* recordsOf(directory: string, entry: Dirent): Generator<LayerRecord> {
  const parent = toLatin1(directory);
  const name = toLatin1(entry.name);
  const path = parent === '' ? name : `${parent}/${name}`;
  yield { kind: 'file', path };
  if (name === '.wh..wh..opq') yield { kind: 'opaque', path: parent };
  else if (/^\.wh\.(?!\.{0,2}$|\.wh\.)/s.test(name)) {
    yield { kind: 'whiteout', path: parent === '' ? name.slice(4) : `${parent}/${name.slice(4)}` };
  }
}

/** The index keeps bytes, one latin1 character each. */
function toLatin1(path: string): string {
  return Buffer.from(path, 'utf8').toString('latin1');
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
