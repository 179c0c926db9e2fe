/** The host files of deployments: what container/host-files.ts plans, with this host looked at. */
import { isUtf8 } from 'node:buffer';
import { join, posix } from 'node:path';
import { AtomicError } from '../errors.ts';
import { readExports, type Exports } from '../container/exports.ts';
import { planHostFileRemoval, planHostFiles, type PlannedHostFile } from '../container/host-files.ts';
import type { ContainerInfo } from '../container/info.ts';
import type { HostFile } from '../host/ports.ts';
import { substitute } from '../render/substitute.ts';
import type { App } from './context.ts';
import type { Deployment } from './containers.ts';

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
  readonly create: readonly HostFile[];
  /** Those that belong to the deployment, with what `info` keeps of each. */
  readonly owned: readonly { readonly path: string; readonly checksum: string }[];
  /** Those of the deployment before that go. */
  readonly remove: readonly string[];
  readonly messages: readonly string[];
  readonly preview: readonly PreviewFile[];
}

interface StagedTree {
  readonly rootfs: string;
  /** Where `rootfs` will stand. */
  readonly place: string;
  readonly exports: Exports;
  readonly values: ContainerInfo['values'];
  readonly previous: Deployment | undefined;
}

/** @throws AtomicError of the planning: see container/host-files.ts */
export async function planHostFilesOf(app: App, tree: StagedTree): Promise<PlannedHostFiles> {
  const { previous, rootfs, place } = tree;
  const removal =
    previous === undefined ? { paths: [], messages: [] } : await hostFilesToRemove(app, previous.info);
  const plan = await planTree(app, tree, removal.paths);
  const skipped = plan.skipped.map(({ path }) => `File ${path} already exists`);
  const preview: PreviewFile[] = [];
  for (const file of plan.files) preview.push(...(await previewFile(app, file, rootfs, place)));
  return {
    create: plan.files,
    owned: plan.files.map(({ path, checksum }) => ({ path, checksum })),
    remove: removal.paths,
    messages: [...removal.messages, ...skipped],
    preview,
  };
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

/**
 * The host files of a deployment that is there already, made from its own tree and values: what they were.
 * @throws AtomicError `unsupported` when its tree is gone (host files alone) but it had such files
 */
export async function hostFilesOfDeployment(
  app: App,
  { path, info }: Deployment,
  removal: HostFileRemoval,
): Promise<readonly HostFile[]> {
  if (info.installedFiles.length === 0) return [];
  const rootfs = join(path, 'rootfs');
  if (!(await app.files.isDirectory(rootfs))) {
    throw new AtomicError('unsupported', `The deployment ${path} has no tree to take its host files from`, {
      hint: 'Install the earlier image again under this name instead.',
    });
  }
  return hostFilesOfTree(app, { rootfs, place: rootfs }, info, removal.paths);
}

/**
 * The host files of a deployment, made from a tree of its image and its values.
 * @param place where the tree will stand when they are made
 * @param leaving paths that what stands there now is to leave
 */
export async function hostFilesOfTree(
  app: App,
  { rootfs, place }: { readonly rootfs: string; readonly place: string },
  info: ContainerInfo,
  leaving: readonly string[],
): Promise<readonly HostFile[]> {
  const exports = await readExports(rootfs);
  const tree = { rootfs, place, exports, values: info.values, previous: undefined };
  const owned = new Set(info.installedFiles.map((path) => posix.normalize(path)));
  return (await planTree(app, tree, leaving)).files.filter((file) => owned.has(file.path));
}

function planTree(
  app: App,
  { rootfs, place, exports, values }: StagedTree,
  leaving: readonly string[],
): ReturnType<typeof planHostFiles> {
  return planHostFiles({
    rootfs,
    place,
    manifest: exports.manifest,
    render: (text, path) => substitute(text, path, values),
    leaving,
    hostPathExists: (path) => app.files.exists(path),
    hostChecksum: (path) => app.files.checksum(path),
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
