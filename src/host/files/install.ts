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
  readlink,
  realpath,
  rm,
  stat,
  symlink,
} from 'node:fs/promises';
import { dirname } from 'node:path';
import { AtomicError, systemCodeOf } from '../../errors.ts';
import { makeFolder } from '../../make-folder.ts';
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

/** What stands at a path, as an image's file; the path is its source. */
export async function describeFile(path: string): Promise<HostFile | undefined> {
  const stats = await lstatOrAbsent(path);
  if (stats === undefined) return undefined;
  const common = { path, mode: stats.mode & 0o7777, uid: stats.uid, gid: stats.gid, link: false };
  if (stats.isFile()) return { ...common, kind: 'file', source: path };
  if (stats.isDirectory()) return { ...common, kind: 'directory' };
  if (stats.isSymbolicLink()) return { ...common, kind: 'symlink', target: await readlink(path) };
  throw new AtomicError('host-file', `${path} is neither file, folder nor symbolic link`);
}

/** Makes the same at another path, whose folders are ours; a hard link where that will do. */
export async function reproduceFile(file: HostFile, path: string): Promise<void> {
  try {
    await makeFolder(dirname(path), 0o755);
    if (file.kind === 'directory') {
      await makeFolder(path, 0o755);
      await own(file, path);
    } else if (file.kind === 'symlink') {
      await symlink(file.target ?? '', path);
      await lchown(path, file.uid, file.gid);
    } else if (file.source === undefined || !file.link || !(await linkInPlace(file.source, path))) {
      await writeBytes(file, path, false);
    }
  } catch (error) {
    if (systemCodeOf(error) === 'EEXIST') throw alreadyExists(path, error);
    throw fileError(error, `create ${path}`);
  }
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

async function makeOwnedFolder(file: HostFile): Promise<void> {
  await mkdir(file.path, 0o700);
  await own(file, file.path);
  await syncDirectory(file.path);
}

/** Whether it was made by a hard link to its source. */
async function create(file: HostFile, temporary: string, selinux: Selinux): Promise<boolean> {
  if (file.kind === 'directory') {
    await makeOwnedFolder(file);
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
  await writeBytes(file, temporary, true);
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

async function writeBytes(file: HostFile, temporary: string, sync: boolean): Promise<void> {
  if (file.source !== undefined) {
    await copyFile(file.source, temporary, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
  }
  const handle = await open(temporary, file.source === undefined ? 'ax' : 'a', 0o600);
  try {
    if (file.source === undefined) await handle.writeFile(file.content ?? '');
    await own(file, temporary);
    if (sync) await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Owner before mode: chown takes setuid away. */
async function own({ uid, gid, mode }: HostFile, path: string): Promise<void> {
  await chown(path, uid, gid);
  await chmod(path, mode);
}

/** Links of the operating system's own that leave their folder: of systemd's hosts, and of those booted from ostree. */
const SYSTEM_LINKS: ReadonlySet<string> = new Set(['/usr/local', '/usr/tmp', '/var/lock', '/var/run']);

/**
 * /lib and /etc/init.d are links on some hosts, root's, and lead to a place beside them. Any other link above a path
 * would put an image's file elsewhere than it is named; one of another user (in /tmp, in a home) could lead anywhere by
 * the time that we write.
 */
async function checkParents(path: string): Promise<void> {
  for (let at = dirname(path); at !== '/'; at = dirname(at)) {
    const stats = await lstatOrAbsent(at);
    if (stats?.isSymbolicLink() !== true) continue;
    const isOwn = stats.uid === 0 || stats.uid === process.getuid?.();
    const found = isOwn ? await leadsOut(at) : `that belongs to user ${stats.uid}`;
    if (found === undefined) continue;
    throw new AtomicError('host-file', `Cannot create ${path}: ${at} is a symbolic link ${found}`, {
      hint: 'Remove the link, or put a folder or a bind mount in its place.',
    });
  }
}

/** Where a link leads, in words, if not to a place inside of its own folder. */
async function leadsOut(link: string): Promise<string | undefined> {
  if (SYSTEM_LINKS.has(link)) return undefined;
  const folder = await realpath(dirname(link));
  const target = await realpath(link).catch(() => undefined);
  if (target === undefined) return 'that leads nowhere';
  const isInside = folder === '/' || target.startsWith(`${folder}/`);
  return isInside ? undefined : `that leads out of its folder, to ${target}`;
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
