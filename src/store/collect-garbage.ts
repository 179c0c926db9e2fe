/** What no ref of the repo leads to any more goes. The caller holds the store's lock alone. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Exec } from '../host/ports.ts';
import { indexFolder } from './layer-index.ts';
import { listFolder } from './list-folder.ts';
import { REF_PREFIX } from './names.ts';
import { Repository } from './repository.ts';

/**
 * Removes objects that no ref leads to, ours or another tool's, and the indexes of layers that are gone. May be cut off
 * anywhere and run again.
 * @throws AtomicError `command-failed`
 */
export async function collectGarbage(exec: Exec, path: string): Promise<void> {
  const repository = new Repository(path, exec);
  if (!(await repository.exists())) return;
  await exec.run('ostree', [`--repo=${path}`, 'prune', '--refs-only']);
  const layers = new Set((await repository.listRefs()).map((ref) => ref.slice(REF_PREFIX.length)));
  for (const name of await listFolder(indexFolder(path))) {
    if (!layers.has(name)) await rm(join(indexFolder(path), name), { force: true });
  }
}

/** Indexes that a dead process did not finish; they are there only while an import goes on. */
export async function listUnfinishedIndexes(path: string): Promise<string[]> {
  const names = (await listFolder(indexFolder(path))).filter((name) => name.endsWith('.tmp'));
  return names.map((name) => join(indexFolder(path), name));
}

/**
 * The folders in which ostree gathers a commit's objects (libostree's `staging-BOOT-RANDOM`), each with the lock file
 * that its process has open. libostree takes an abandoned one up again, or removes it after a reboot.
 */
export async function listOstreeStaging(
  path: string,
): Promise<{ readonly folder: string; readonly lock: string }[]> {
  const tmp = join(path, 'tmp');
  return (await listFolder(tmp))
    .filter((name) => name.startsWith('staging-') && !name.endsWith('-lock'))
    .map((name) => ({ folder: join(tmp, name), lock: join(tmp, `${name}-lock`) }));
}
