/** Files and folders that are still there after the power has failed: what was done, then the folder that names it. */
import { dirname, join } from 'node:path';
import type { HostFiles } from '../host/ports.ts';

export async function moveAndSync(files: HostFiles, from: string, to: string): Promise<void> {
  await files.rename(from, to);
  await files.syncDirectory(dirname(to));
  if (dirname(from) !== dirname(to)) await files.syncDirectory(dirname(from));
}

export async function removeAndSync(files: HostFiles, path: string): Promise<void> {
  if (await files.remove(path)) await files.syncDirectory(dirname(path));
}

/** A tree that is not there costs nothing. */
export async function removeTreeAndSync(files: HostFiles, path: string): Promise<void> {
  if (!(await files.exists(path))) return;
  await files.removeTree(path);
  await files.syncDirectory(dirname(path));
}

/** A folder with those above it; root's alone, like everything that holds trees in the making. */
export async function makeOwnFolder(files: HostFiles, path: string): Promise<void> {
  const missing = await files.missingParents(join(path, 'x'));
  if (missing.length === 0) return;
  await files.makeDirectory(path, 0o700);
  for (const folder of missing) await files.syncDirectory(dirname(folder));
}

/** The folders of a folder of units where systemd keeps what enables them. */
const LINK_FOLDER = /\.(?:wants|requires|upholds)$/;

/**
 * Makes durable what `act` has systemctl do with links of units, which itself syncs none of them: the folders that it
 * changed, whatever the unit's Also= and Alias= say. All of them would cost ten times as much.
 */
export async function changeUnitLinks(
  files: HostFiles,
  units: string,
  act: () => Promise<void>,
): Promise<void> {
  const before = await listLinkFolders(files, units);
  await act();
  for (const [folder, names] of await listLinkFolders(files, units)) {
    if (before.get(folder) !== names) await files.syncDirectory(folder);
  }
  await files.syncDirectory(units);
}

async function listLinkFolders(files: HostFiles, units: string): Promise<Map<string, string>> {
  const folders = new Map<string, string>();
  for (const name of await files.list(units)) {
    if (!LINK_FOLDER.test(name)) continue;
    folders.set(join(units, name), (await files.list(join(units, name))).join('/'));
  }
  return folders;
}

/** The same on the way back, where a process that died may have changed what is not on the disk yet. */
export async function syncUnitLinks(files: HostFiles, units: string): Promise<void> {
  for (const name of await files.list(units)) {
    if (LINK_FOLDER.test(name)) await files.syncDirectory(join(units, name));
  }
  await files.syncDirectory(units);
}

/** The links by which a unit is enabled: its own name in others' folders, and its aliases. systemd.unit(5) */
export async function listUnitLinks(files: HostFiles, units: string, unit: string): Promise<string[]> {
  const links: string[] = [];
  const file = `${unit}.service`;
  for (const name of await files.list(units)) {
    const path = join(units, name);
    if (LINK_FOLDER.test(name)) {
      if ((await files.readLink(join(path, file))) !== undefined) links.push(join(path, file));
    } else {
      const target = await files.readLink(path);
      if (target === file || target?.endsWith(`/${file}`) === true) links.push(path);
    }
  }
  return links;
}

/** Gives what is about to go a second name: its way back needs neither its content nor space on the disk. */
export async function keepBeside(files: HostFiles, path: string, aside: string): Promise<void> {
  await makeOwnFolder(files, dirname(aside));
  await files.link(path, aside);
  await files.syncDirectory(dirname(aside));
}

/** Takes back what `keepBeside` kept, whatever stands in its place now; nothing when that is done already. */
export async function putBack(files: HostFiles, path: string, aside: string): Promise<void> {
  if (!(await files.exists(aside))) return;
  await moveAndSync(files, aside, path);
  // rename(2) does nothing when both are names of one file: then nothing had taken its place.
  await removeAndSync(files, aside);
}
