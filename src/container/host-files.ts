/**
 * What an image's /exports/hostfs puts on the host, and what of it goes again. Plans only: nothing of the host is
 * touched here, and it is looked at through functions that are handed in.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { posix } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { AtomicError, messageOf } from '../errors.ts';
import type { HostFile } from '../host/ports.ts';
import type { ExportsManifest } from './exports-manifest.ts';
import { parseHostPath, renamePath } from './host-files/host-path.ts';
import { walkHostfs, type HostfsEntry } from './host-files/walk.ts';
import { readInRoot, resolveInRoot } from './rooted-path.ts';

export interface HostFilesInput {
  /** The image's checked-out tree, and where it will stand: absolute paths. */
  readonly rootfs: string;
  readonly place: string;
  readonly manifest: Pick<ExportsManifest, 'renameFiles' | 'installedFilesTemplate' | 'useLinks'>;
  /** Fills in a template; `path` is for the error's sentence. */
  readonly render: (text: string, path: string) => string;
  /** Paths that the deployment before this one gives up: the `remove` of planHostFileRemoval. */
  readonly leaving: readonly string[];
  /** Whether anything stands at a path of the host, a broken link included. */
  readonly hostPathExists: (path: string) => Promise<boolean>;
  /** As HostFiles.checksum. */
  readonly hostChecksum: (path: string) => Promise<string | undefined>;
}

/** `source` is absolute, below `place`; `content` is a rendered template, in place of it. */
export interface PlannedHostFile extends HostFile {
  /** As `info` keeps it: sha256 of a file, or of the file that a link points to; "0" for folders and broken links. */
  readonly checksum: string;
}

export interface HostFilesPlan {
  /** In the order in which they are to be made and listed. */
  readonly files: readonly PlannedHostFile[];
  /** Files that the host has already: they stay, and are not ours. */
  readonly skipped: readonly { readonly path: string; readonly reason: 'exists' }[];
  /** manifest.json's renameFiles with their names filled in. */
  readonly renamed: Readonly<Record<string, string>>;
}

/**
 * Plans the host files of a checked-out image. Folders are listed only when they are empty in the image and new on the
 * host: the others are not ours to remove. Whoever carries the plan out looks after links among the host's folders.
 * @throws AtomicError `exports-invalid`, `limit-exceeded`, or what `render` throws
 */
export async function planHostFiles(input: HostFilesInput): Promise<HostFilesPlan> {
  const { rootfs, leaving, hostPathExists } = input;
  const renamed = renderRenames(input);
  const hostfs = resolveInRoot(rootfs, '/exports/hostfs');
  if (hostfs === undefined) return { files: [], skipped: [], renamed };
  const leavingPaths = new Set(leaving);
  const planned = new Map<string, PlannedHostFile>();
  const skipped: { path: string; reason: 'exists' }[] = [];
  for (const entry of await walkHostfs(hostfs)) {
    if (entry.kind === 'directory' && !entry.isEmpty) continue;
    const path = parseHostPath(renamePath(entry.path, renamed), "A path of the image's /exports/hostfs");
    const isTaken = planned.has(path) || (!leavingPaths.has(path) && (await hostPathExists(path)));
    if (!isTaken) planned.set(path, await planFile(entry, path, hostfs.slice(rootfs.length), input));
    else if (entry.kind !== 'directory') skipped.push({ path, reason: 'exists' });
  }
  refuseFilesAsFolders(planned);
  const files: PlannedHostFile[] = [];
  for (const file of planned.values()) {
    const isLink = file.kind === 'symlink';
    files.push(isLink ? { ...file, checksum: await linkChecksum(file, planned, input) } : file);
  }
  return { files, skipped, renamed };
}

function renderRenames({ manifest, place, render }: HostFilesInput): Record<string, string> {
  const where = `${place}/exports/manifest.json`;
  return Object.fromEntries(
    Object.entries(manifest.renameFiles).map(([from, template]) => [
      from,
      parseHostPath(
        render(template, where),
        `The name for ${JSON.stringify(from)} in manifest.json's renameFiles`,
      ),
    ]),
  );
}

async function planFile(
  entry: HostfsEntry,
  path: string,
  hostfs: string,
  input: HostFilesInput,
): Promise<PlannedHostFile> {
  const { kind, mode, uid, gid, target } = entry;
  const common = { path, kind, mode, uid, gid, link: false, checksum: '0' };
  if (kind === 'directory') return common;
  if (kind === 'symlink') return { ...common, target: target ?? '' };
  const inside = `${hostfs}${entry.path}`;
  const source = `${input.place}${inside}`;
  if (input.manifest.installedFilesTemplate.includes(path)) {
    const content = input.render(await readTemplate(input.rootfs, inside), source);
    return { ...common, content, checksum: createHash('sha256').update(content).digest('hex') };
  }
  const hash = createHash('sha256');
  await pipeline(createReadStream(`${input.rootfs}${inside}`), hash);
  const link = input.manifest.useLinks && path.startsWith('/usr/');
  return { ...common, source, link, checksum: hash.digest('hex') };
}

async function readTemplate(rootfs: string, path: string): Promise<string> {
  const bytes = await readInRoot(rootfs, path, 'export-size', 'exports-invalid');
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    return text.replaceAll(/\r\n?/g, '\n');
  } catch (error) {
    throw new AtomicError('exports-invalid', `${path} in the image is not UTF-8: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** A rename can put a file where another needs a folder; a link there would even lead out of the way. */
function refuseFilesAsFolders(planned: ReadonlyMap<string, PlannedHostFile>): void {
  for (const path of planned.keys()) {
    for (let above = posix.dirname(path); above !== '/'; above = posix.dirname(above)) {
      const kind = planned.get(above)?.kind;
      if (kind === undefined || kind === 'directory') continue;
      throw new AtomicError(
        'exports-invalid',
        `The image's host file ${path} is below ${above}, which is a ${kind} of the same image`,
      );
    }
  }
}

async function linkChecksum(
  link: PlannedHostFile,
  planned: ReadonlyMap<string, PlannedHostFile>,
  { hostChecksum }: HostFilesInput,
): Promise<string> {
  let file: PlannedHostFile | undefined = link;
  let path = link.path;
  for (let hops = 0; file?.kind === 'symlink'; hops++) {
    if (hops === planned.size) return '0';
    path = posix.resolve(posix.dirname(path), file.target ?? '');
    file = planned.get(path);
  }
  return file?.checksum ?? (await hostChecksum(path)) ?? '0';
}

export interface HostFileRemoval {
  readonly remove: readonly string[];
  readonly keep: readonly { readonly path: string; readonly message: string }[];
}

/**
 * Which of a deployment's host files go with it: those that are as they were made. What is gone already is in neither
 * list. A checksum that was never taken (old deployments) lets the file go, as it did for atomic.
 * @param checksums by path, as `info` has them
 * @param currentChecksum as HostFiles.checksum
 */
export async function planHostFileRemoval({
  installedFiles,
  checksums,
  currentChecksum,
}: {
  readonly installedFiles: readonly string[];
  readonly checksums: Readonly<Record<string, string>>;
  readonly currentChecksum: (path: string) => Promise<string | undefined>;
}): Promise<HostFileRemoval> {
  const remove: string[] = [];
  const keep: { path: string; message: string }[] = [];
  for (const listed of installedFiles) {
    // atomic lists files of the root folder as "/./x".
    const path = posix.normalize(listed);
    if (!path.startsWith('/') || listed.split('/').includes('..')) {
      keep.push({ path: listed, message: `Will not delete ${listed} as it is no absolute path.` });
      continue;
    }
    const current = await currentChecksum(path);
    if (current === undefined) continue;
    const recorded = (Object.hasOwn(checksums, listed) ? checksums[listed] : undefined) ?? '';
    if (recorded === '' || recorded === current) remove.push(path);
    else keep.push({ path, message: `Will not delete ${path} as it was manually modified.` });
  }
  return { remove, keep };
}
