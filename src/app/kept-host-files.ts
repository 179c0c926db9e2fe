/**
 * The host files of deployments without a tree of their own (host files alone, or a rootfs elsewhere): each keeps its own,
 * as they were made, so that a rollback or a repair can put back exactly those.
 */
import { join, posix } from 'node:path';
import type { PlannedHostFile } from '../container/host-files.ts';
import type { ContainerInfo } from '../container/info.ts';
import { AtomicError } from '../errors.ts';
import type { HostFile } from '../host/ports.ts';
import type { App } from './context.ts';

/** The folder in a deployment; below it, files have their paths on the host. */
const FOLDER = 'hostfs';

/** A deployment, where it is now and where it will stand. */
export interface PlacedDeployment {
  readonly path: string;
  readonly place: string;
}

/**
 * Keeps planned host files in a staged deployment, and gives those that are to be made from there. Where their tree is a
 * checkout of ours, hard links to its files will do; one that is foreign may change while it is read.
 * @param tree where their sources are now, and where their plan says that they are
 * @throws AtomicError `host-file` for a file that changed between its plan and its copy
 */
export async function keepHostFiles(
  app: App,
  { path, place }: PlacedDeployment,
  files: readonly PlannedHostFile[],
  tree: PlacedDeployment & { readonly isForeign: boolean },
): Promise<readonly PlannedHostFile[]> {
  const kept: PlannedHostFile[] = [];
  for (const file of files) {
    const { content: _content, ...rest } = file;
    const inside = join(FOLDER, file.path);
    const source =
      file.source === undefined ? {} : { source: tree.path + file.source.slice(tree.place.length) };
    await app.files.reproduce({ ...file, ...source, link: !tree.isForeign }, join(path, inside));
    if (file.kind !== 'file') {
      kept.push(file);
      continue;
    }
    if (tree.isForeign && (await app.files.checksum(join(path, inside))) !== file.checksum)
      throw new AtomicError('host-file', `${file.source ?? file.path} was changed while it was read`);
    // In a foreign tree's stead, a hard link would let an edit on the host change what a rollback puts back.
    kept.push({ ...rest, source: join(place, inside), link: file.link && !tree.isForeign });
  }
  return kept;
}

/**
 * The host files that a deployment keeps, in the order of its record; undefined when it keeps none, or not all of them as
 * they were.
 */
export async function readKeptHostFiles(
  app: App,
  { path, place }: PlacedDeployment,
  info: ContainerInfo,
): Promise<readonly HostFile[] | undefined> {
  const files: HostFile[] = [];
  for (const listed of info.installedFiles) {
    const hostPath = posix.resolve('/', listed);
    const inside = join(FOLDER, hostPath);
    const file = await app.files.describe(join(path, inside));
    if (file === undefined) return undefined;
    const isAsMade =
      file.kind !== 'file' ||
      (await app.files.checksum(join(path, inside))) === info.installedFilesChecksum[listed];
    if (!isAsMade) return undefined;
    const link = info.useLinks && info.remote === undefined && hostPath.startsWith('/usr/');
    files.push({
      ...file,
      path: hostPath,
      ...(file.kind === 'file' ? { source: join(place, inside), link } : {}),
    });
  }
  return files;
}
