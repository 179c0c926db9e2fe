/** The host files of deployments: what container/host-files.ts plans, with this host looked at. */
import { isUtf8 } from 'node:buffer';
import { posix } from 'node:path';
import type { Exports } from '../container/exports.ts';
import { planHostFileRemoval, planHostFiles, type PlannedHostFile } from '../container/host-files.ts';
import type { ContainerInfo } from '../container/info.ts';
import type { ContainerName } from '../container/name.ts';
import { substitute } from '../render/substitute.ts';
import type { App } from './context.ts';
import type { Deployment } from './containers.ts';
import { readDeployedPackage, type DeployedPackage } from './package.ts';

/** A file that would be written, as a preview shows it; `encoding` when its content is no text. */
export interface PreviewFile {
  readonly path: string;
  readonly mode: string;
  readonly content: string;
  readonly encoding?: 'base64';
}

export interface HostFileRemoval {
  readonly paths: readonly string[];
  /** What stays, in atomic's words. */
  readonly messages: readonly string[];
}

export interface PlannedHostFiles {
  readonly create: readonly PlannedHostFile[];
  /** Those that belong to the deployment, with what `info` keeps of each. */
  readonly owned: readonly { readonly path: string; readonly checksum: string }[];
  /** Those of the deployment before that go. */
  readonly remove: readonly string[];
  /** The package of the deployment before. */
  readonly formerPackage: DeployedPackage | undefined;
  readonly messages: readonly string[];
  readonly preview: readonly PreviewFile[];
}

export interface StagedTree {
  readonly name: ContainerName;
  /** Whether it is made for another host, on which nothing is in its way. */
  readonly isElsewhere: boolean;
  readonly rootfs: string;
  /** Where `rootfs` will stand. */
  readonly place: string;
  readonly exports: Exports;
  readonly values: ContainerInfo['values'];
  readonly previous: Deployment | undefined;
  /** Whether it is the previous deployment that is made a second time: all that it has is its own, and nothing else. */
  readonly again: boolean;
}

/** @throws AtomicError of the planning: see container/host-files.ts */
export async function planHostFilesOf(app: App, tree: StagedTree): Promise<PlannedHostFiles> {
  const { previous, rootfs, place, again, name } = tree;
  const removal = await removalOf(app, tree);
  const formerPackage =
    previous === undefined || again ? undefined : await readDeployedPackage(app, name, previous);
  const plan = await planTree(app, tree, [...removal.paths, ...(formerPackage?.intact ?? [])]);
  const files = again && previous !== undefined ? plan.files.filter(ownedBy(previous.info)) : plan.files;
  const preview: PreviewFile[] = [];
  for (const file of files) preview.push(...(await previewFile(app, file, rootfs, place)));
  return {
    create: files,
    owned: files.map(({ path, checksum }) => ({ path, checksum })),
    remove: removal.paths,
    formerPackage,
    messages: [
      ...removal.messages,
      ...(formerPackage?.messages ?? []),
      ...plan.skipped.map(({ path }) => tellTaken(path)),
    ],
    preview,
  };
}

/** In atomic's words: the host has such a file already. */
export function tellTaken(path: string): string {
  return `File ${path} already exists`;
}

/** Whether a file is one of a deployment's record. */
export function ownedBy({ installedFiles }: ContainerInfo): (file: { readonly path: string }) => boolean {
  const owned = new Set(installedFiles.map((path) => posix.normalize(path)));
  return ({ path }) => owned.has(path);
}

async function removalOf(app: App, { previous, again }: StagedTree): Promise<HostFileRemoval> {
  if (previous === undefined) return { paths: [], messages: [] };
  if (!again) return hostFilesToRemove(app, previous.info);
  return { paths: previous.info.installedFiles.map((path) => posix.normalize(path)), messages: [] };
}

/** Which of a deployment's host files go with it: those that nobody has changed. Folders stay, as with atomic. */
export async function hostFilesToRemove(app: App, info: ContainerInfo): Promise<HostFileRemoval> {
  const { remove, keep } = await planHostFileRemoval({
    installedFiles: info.installedFiles,
    checksums: info.installedFilesChecksum,
    currentChecksum: (path) => app.files.checksum(path),
  });
  const paths: string[] = [];
  for (const path of remove) {
    const isFolder = (await app.files.readLink(path)) === undefined && (await app.files.isDirectory(path));
    if (!isFolder && (await app.files.exists(path))) paths.push(path);
  }
  return { paths, messages: keep.map(({ message }) => message) };
}

/** The whole of a tree's host files; `leaving` are paths that what stands there now is to leave. */
export function planTree(
  app: App,
  tree: Pick<StagedTree, 'rootfs' | 'place' | 'exports' | 'values'> & { readonly isElsewhere?: boolean },
  leaving: readonly string[],
): ReturnType<typeof planHostFiles> {
  const { rootfs, place, exports, values, isElsewhere = false } = tree;
  return planHostFiles({
    rootfs,
    place,
    manifest: exports.manifest,
    render: (text, path) => substitute(text, path, values),
    leaving,
    hostPathExists: (path) => (isElsewhere ? Promise.resolve(false) : app.files.exists(path)),
    hostChecksum: (path) => (isElsewhere ? Promise.resolve(undefined) : app.files.checksum(path)),
  });
}

async function previewFile(
  app: App,
  file: PlannedHostFile,
  rootfs: string,
  place: string,
): Promise<PreviewFile[]> {
  if (file.kind !== 'file') return [];
  const { path, content, source } = file;
  const mode = file.mode.toString(8).padStart(4, '0');
  if (content !== undefined) return [{ path, mode, content }];
  const staged = rootfs + (source ?? '').slice(place.length);
  const bytes = (await app.files.readIfExists(staged, 'export-size')) ?? Buffer.alloc(0);
  return [
    isUtf8(bytes)
      ? { path, mode, content: bytes.toString('utf8') }
      : { path, mode, content: bytes.toString('base64'), encoding: 'base64' },
  ];
}
