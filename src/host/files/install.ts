import { constants } from 'node:fs';
import {
  chmod,
  chown,
  copyFile,
  lchown,
  link,
  lstat,
  mkdir,
  open,
  rm,
  stat,
  symlink,
} from 'node:fs/promises';
import { dirname } from 'node:path';
import { AtomicError, systemCodeOf } from '../../errors.ts';
import type { HostFile, Selinux } from '../ports.ts';
import { fileError } from './file-error.ts';
import { alreadyExists, syncDirectory } from './replace.ts';

/** Why a hard link could not be made where a copy can. */
const NO_LINK: ReadonlySet<string | undefined> = new Set(['EXDEV', 'EPERM', 'EMLINK', 'EOPNOTSUPP']);

/** The folders above a path that are not there, outermost first. */
export async function missingParents(path: string): Promise<string[]> {
  const missing: string[] = [];
  for (let at = dirname(path); at !== '/'; at = dirname(at)) {
    if (await isThere(at)) break;
    missing.unshift(at);
  }
  return missing;
}

/**
 * Creates one file of an image on the host, whole or not at all, and never in place of something. What is no folder
 * is made at `temporary` and gets its place as a second name: who was first at the place is known by both being one.
 */
export async function installFile(file: HostFile, temporary: string, selinux: Selinux): Promise<void> {
  await checkParents(file.path);
  try {
    const parents = await missingParents(file.path);
    for (const folder of parents) await makeParent(folder);
    const isLinked = await create(file, temporary, selinux);
    // A link has the label of its other names, which was compared.
    await selinux.restoreLabels(isLinked ? parents : [...parents, file.path]);
  } catch (error) {
    if (systemCodeOf(error) === 'EEXIST') throw alreadyExists(file.path, error);
    throw fileError(error, `create ${file.path}`);
  }
  await syncDirectory(dirname(file.path));
}

/** A rival that makes the same folder is as good. */
async function makeParent(folder: string): Promise<void> {
  try {
    await mkdir(folder, 0o755);
  } catch (error) {
    if (systemCodeOf(error) !== 'EEXIST') throw error;
  }
  await syncDirectory(dirname(folder));
}

async function makeFolder(file: HostFile): Promise<void> {
  await mkdir(file.path, 0o700);
  await own(file, file.path);
  await syncDirectory(file.path);
}

/** Whether it was made by a hard link to its source. */
async function create(file: HostFile, temporary: string, selinux: Selinux): Promise<boolean> {
  if (file.kind === 'directory') {
    await makeFolder(file);
    return false;
  }
  await rm(temporary, { force: true });
  const isLinked = await make(file, temporary, selinux);
  await link(temporary, file.path);
  return isLinked;
}

async function make(file: HostFile, temporary: string, selinux: Selinux): Promise<boolean> {
  const { source } = file;
  if (file.kind === 'symlink') {
    await symlink(file.target ?? '', temporary);
    await lchown(temporary, file.uid, file.gid);
    return false;
  }
  const mayLink = source !== undefined && file.link && (await selinux.hasLabelFor(source, file.path));
  // A link shares owner, mode and label with the checkout's file.
  if (mayLink && (await linkInPlace(source, temporary))) return true;
  await writeBytes(file, temporary);
  return false;
}

async function linkInPlace(source: string, path: string): Promise<boolean> {
  try {
    await link(source, path);
    return true;
  } catch (error) {
    if (NO_LINK.has(systemCodeOf(error))) return false;
    throw error;
  }
}

async function writeBytes(file: HostFile, temporary: string): Promise<void> {
  if (file.source !== undefined) {
    await copyFile(file.source, temporary, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
  }
  // 'a': copyFile has made it, or it is new.
  const handle = await open(temporary, 'a', 0o600);
  try {
    if (file.source === undefined) await handle.writeFile(file.content ?? '');
    await own(file, temporary);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Owner before mode: chown takes setuid away. */
async function own({ uid, gid, mode }: HostFile, path: string): Promise<void> {
  await chown(path, uid, gid);
  await chmod(path, mode);
}

/**
 * /lib and /var/run are links on most hosts, and root's. A link of another user (in /tmp, in a home) could lead
 * anywhere by the time that we write.
 */
async function checkParents(path: string): Promise<void> {
  for (let at = dirname(path); at !== '/'; at = dirname(at)) {
    const stats = await lstatOrAbsent(at);
    if (stats?.isSymbolicLink() !== true || stats.uid === 0 || stats.uid === process.getuid?.()) continue;
    throw new AtomicError(
      'host-file',
      `Cannot create ${path}: ${at} is a symbolic link that belongs to user ${stats.uid}`,
      { hint: 'Remove the link, or put a folder in its place.' },
    );
  }
}

async function lstatOrAbsent(path: string) {
  try {
    return await lstat(path);
  } catch (error) {
    const code = systemCodeOf(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw fileError(error, `look at ${path}`);
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch {
    return false;
  }
}
