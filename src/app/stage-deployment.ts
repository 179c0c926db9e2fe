/**
 * Makes a deployment next to its place: the image's tree and the files rendered for it. Nothing of the host knows of it
 * yet; a plan puts it in place, or it is thrown away.
 */
import { createHash, randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { readExports, type Exports } from '../container/exports.ts';
import { readImageFacts } from '../container/image-facts.ts';
import { chooseHealthCheck, type HealthOption } from '../container/health-check.ts';
import { formatInfo, type ContainerInfo } from '../container/info.ts';
import type { ContainerName } from '../container/name.ts';
import { hexOf } from '../image/digest.ts';
import type { StoredValues } from '../container/stored-values.ts';
import { OWN_JSON_BYTES } from '../limits.ts';
import { renderDeployment, type DeploymentFile, type RenderedDeployment } from '../render/bundle.ts';
import { checkHooks } from '../render/check-hooks.ts';
import { factPaths } from '../render/runtime-spec.ts';
import type { PackageContent } from '../rpm/read-package.ts';
import { checkoutLayers } from '../store/checkout.ts';
import type { StoredImage } from '../store/image-store.ts';
import type { Runtime } from '../service/oci-runtime.ts';
import type { App } from './context.ts';
import type { Deployment } from './containers.ts';
import { checksumExports } from './remote-rootfs.ts';
import { planHostFilesOf, type PlannedHostFiles } from './host-files.ts';
import { keepHostFiles } from './kept-host-files.ts';
import { deploymentPath, stagingFolder, tmpfilesPath, type Slot } from './layout.ts';
import { onDisk, packageFile, type PackageWish } from './package.ts';
import type { PackageSide } from './plan-change.ts';
import { stagePackage } from './stage-package.ts';

export interface StageRequest {
  readonly name: ContainerName;
  readonly slot: Slot;
  /** Where it is to stand when not in its slot: not on this host. */
  readonly at?: string;
  readonly image: StoredImage;
  readonly runtime: Runtime;
  readonly set: Readonly<Record<string, string>>;
  /** What was asked for on the command line. */
  readonly health: HealthOption | undefined;
  /** The deployment that this one follows; undefined for a first installation. */
  readonly previous: Deployment | undefined;
  /** What its service is to be, for `info` to keep. */
  readonly wanted: WantedState;
  /** A root file system elsewhere, without links; undefined: the image's own, checked out. */
  readonly remote?: string | undefined;
  /** Whether it is `previous` that is made a second time. */
  readonly again?: boolean;
  readonly package: PackageWish;
}

/** Whether a service is to be enabled and started; undefined where that is not known. */
export type WantedState = Pick<ContainerInfo, 'enabled' | 'started'>;

export interface StagedDeployment {
  readonly name: ContainerName;
  readonly slot: Slot;
  readonly image: StoredImage;
  /** Where it stands now, and where it belongs. */
  readonly stagedAt: string;
  readonly path: string;
  /** Files of the deployment, `info` included, by their paths inside it. */
  readonly files: readonly { readonly path: string; readonly mode: number; readonly content: string }[];
  readonly unit: DeploymentFile | undefined;
  readonly tmpfiles: DeploymentFile | undefined;
  readonly hasService: boolean;
  readonly hostFiles: PlannedHostFiles;
  /** What brings the host files in their place. */
  readonly package: PackageSide | undefined;
  readonly info: ContainerInfo;
  discard(): Promise<void>;
}

/** Where a deployment is made. */
export function stagedPath(app: App, name: ContainerName): string {
  return join(stagingFolder(app), `${name}.${process.pid}`);
}

/**
 * Checks out, reads /exports, renders, and writes the deployment's own files.
 * @throws AtomicError of any of these; nothing is left then
 */
export async function stageDeployment(app: App, request: StageRequest): Promise<StagedDeployment> {
  await app.selinux.requireTools();
  const { name, slot, image } = request;
  const stagedAt = stagedPath(app, name);
  const path = request.at ?? deploymentPath(app, name, slot);
  const discard = (): Promise<void> => app.files.removeTree(stagedAt);
  try {
    await app.files.makeDirectory(stagingFolder(app), 0o700);
    await app.files.makeDirectory(stagedAt, 0o755);
    const tree = await openTree(app, request, stagedAt, path);
    const exports = await readExports(tree.path);
    if (!exports.present) warnOfDefaults(app, path);
    const rendered = await render(app, request, path, tree, exports);
    for (const text of rendered.warnings) app.report({ event: 'warning', text });
    const { hostFiles, packed, coming } = await planFiles(app, request, {
      stagedAt,
      path,
      tree,
      exports,
      rendered,
    });
    const { healthCheck } = await app.store.readConfig(image);
    if (rendered.hasService && rendered.spec !== undefined)
      await checkHooks(rendered.spec, (hook) => coming.has(hook) || app.files.standsNow(hook));
    const check = chooseHealthCheck(request.health, request.previous?.info.healthCheck, healthCheck);
    const info = {
      ...describe(request, rendered, exports, hostFiles),
      ...describePackage(request, packed),
      healthCheck: check,
    };
    const files = [
      ...rendered.files.map(({ path: file, mode, content }) => ({ path: file, mode, content })),
      { path: 'info', mode: 0o644, content: formatInfo(info) },
    ];
    // Their labels are the checkouts folder's: the policy has none of its own for what is below it.
    for (const { path: file, mode, content } of files) {
      await app.files.writeFileAtomic(join(stagedAt, file), content, mode, { fsync: false });
    }
    const byRole = (role: DeploymentFile['role']): DeploymentFile | undefined =>
      rendered.files.find((file) => file.role === role);
    return {
      name,
      slot,
      image,
      stagedAt,
      path,
      files,
      unit: byRole('unit'),
      tmpfiles: byRole('tmpfiles'),
      hasService: rendered.hasService,
      hostFiles,
      package: packed === undefined ? undefined : sideOf(packed, join(path, packageFile(name))),
      info,
      discard,
    };
  } catch (error) {
    await discard();
    throw error;
  }
}

/** The tree that a deployment is made from: where it is, and where it will stand. */
interface Tree {
  readonly path: string;
  readonly place: string;
  readonly isForeign: boolean;
}

async function openTree(
  app: App,
  { image, remote }: StageRequest,
  stagedAt: string,
  deployment: string,
): Promise<Tree> {
  if (remote !== undefined) return { path: remote, place: remote, isForeign: true };
  const path = join(stagedAt, 'rootfs');
  const layers = image.manifest.layers.map(({ digest }) => digest);
  await checkoutLayers(app.exec, app.store.repository, layers, path, { scratch: stagedAt });
  return { path, place: join(deployment, 'rootfs'), isForeign: false };
}

interface Staging {
  readonly stagedAt: string;
  readonly path: string;
  readonly tree: Tree;
  readonly exports: Exports;
  readonly rendered: RenderedDeployment;
}

interface HostFilesStaged {
  readonly hostFiles: PlannedHostFiles;
  /** The package that brings them instead. */
  readonly packed: PackageContent | undefined;
  /** What is on the host then. */
  readonly coming: ReadonlySet<string>;
}

/** Plans the host files, or packs them; a deployment that will have no tree of its own keeps those that are no package's. */
async function planFiles(
  app: App,
  { name, image, previous, at, again = false, package: wish }: StageRequest,
  { stagedAt, path, tree, exports, rendered }: Staging,
): Promise<HostFilesStaged> {
  const { values, hasService } = rendered;
  const { path: rootfs, place, isForeign } = tree;
  const isElsewhere = at !== undefined;
  const files = { name, rootfs, place, exports, values, previous, again, isElsewhere };
  const planned = await planHostFilesOf(app, files);
  const leaving = [
    ...planned.remove,
    ...(planned.formerPackage?.content.files ?? []).map((file) => file.path),
  ];
  const packing = { name, image, wish, values, rootfs, place, files: planned.create, leaving, stagedAt };
  const packed = await stagePackage(app, packing);
  const keeps = packed === undefined && (!hasService || isForeign);
  const create = keeps
    ? await keepHostFiles(app, { path: stagedAt, place: path }, planned.create, tree)
    : planned.create;
  // One that is made for another host may bring a package of its own there.
  if (!hasService && !isForeign && !isElsewhere) await app.files.removeTree(rootfs);
  if (hasService && isForeign) await app.files.createSymlink(join(stagedAt, 'rootfs'), rootfs);
  if (packed === undefined) {
    const coming = new Set(create.map((file) => file.path));
    return { hostFiles: { ...planned, create }, packed, coming };
  }
  const coming = new Set(packed.files.map((file) => file.path));
  return { hostFiles: { ...planned, create: [], owned: [] }, packed, coming };
}

function warnOfDefaults(app: App, path: string): void {
  app.report({
    event: 'notice',
    text: `/exports directory not found.  Default config files will be generated in ${path}`,
  });
}

async function render(
  app: App,
  request: StageRequest,
  path: string,
  tree: Tree,
  exports: Exports,
): Promise<RenderedDeployment> {
  const { name, image, runtime, previous } = request;
  const config = await app.store.readConfig(image);
  const previousTmpfiles = await readPreviousTmpfiles(app, request);
  const { runDirectory, confDirectory, stateDirectory } = app.paths;
  return renderDeployment({
    name,
    deploymentDirectory: path,
    rootfs: tree.place,
    remote: tree.isForeign,
    exports,
    config,
    facts: await readImageFacts(tree.path, factPaths(config)),
    selinux: app.selinux.isOn,
    sourceMissing: (source) => !app.files.standsNow(source),
    ...(previousTmpfiles === undefined ? {} : { previousTmpfiles }),
    templates: await app.loadTemplates(),
    values: {
      runtime: runtime.path,
      runtimeFeatures: runtime.features,
      imageName: displayName(image),
      imageId: hexOf(image.digest),
      set: request.set,
      ...(previous === undefined ? {} : { stored: storedValues(previous.info) }),
      identity: app.identity,
      directories: { run: runDirectory, conf: confDirectory, state: stateDirectory },
      allCapabilities: await app.readKernelCapabilities(),
      program: app.program,
      uuid: randomUUID,
    },
  });
}

function storedValues({ values, valueSources }: ContainerInfo): StoredValues {
  return { values, ...(valueSources === undefined ? {} : { sources: valueSources }) };
}

async function readPreviousTmpfiles(app: App, { name, previous }: StageRequest): Promise<string | undefined> {
  if (previous === undefined) return undefined;
  return (await app.files.readIfExists(tmpfilesPath(app, name), OWN_JSON_BYTES))?.toString('utf8');
}

/** The name as atomic wrote it: `:latest` is not spelled out. */
export function displayName({ name }: StoredImage): string {
  return name.replace(/:latest$/, '');
}

function describe(
  { image, runtime, wanted, remote }: StageRequest,
  rendered: RenderedDeployment,
  exports: Exports,
  hostFiles: PlannedHostFiles,
): Omit<ContainerInfo, 'healthCheck' | PackageKey> {
  return {
    image: displayName(image),
    revision: hexOf(image.digest),
    ostreeCommit: image.commit,
    created: Math.floor(Date.now() / 1000),
    values: rendered.values,
    hasContainerService: rendered.hasService,
    installedFiles: hostFiles.owned.map(({ path }) => path),
    installedFilesChecksum: Object.fromEntries(hostFiles.owned.map(({ path, checksum }) => [path, checksum])),
    installedFilesTemplate: exports.manifest.installedFilesTemplate,
    renameInstalledFiles: rendered.renameFiles,
    remote,
    useLinks: exports.manifest.useLinks,
    runtime: runtime.path,
    valueSources: rendered.sources,
    source: image.source,
    manifestDigest: image.digest,
    filesChecksum: Object.fromEntries(rendered.files.map(({ path, content }) => [path, sha256(content)])),
    exportsChecksum: remote === undefined ? undefined : checksumExports(exports),
    enabled: rendered.hasService ? wanted.enabled : undefined,
    started: rendered.hasService ? wanted.started : undefined,
  };
}

type PackageKey = 'rpmInstalled' | 'systemPackage' | 'foreignPackage';

/** What was asked for is kept for the next deployment, also where there is nothing to pack this time. */
function describePackage(
  { name, package: wish }: StageRequest,
  packed: PackageContent | undefined,
): Pick<ContainerInfo, PackageKey> {
  return {
    rpmInstalled: packed === undefined ? undefined : packageFile(name),
    systemPackage: packed !== undefined || wish.mode === 'yes' ? 'yes' : 'no',
    foreignPackage: wish.foreign ? true : undefined,
  };
}

function sideOf(content: PackageContent, file: string): PackageSide {
  return { onDisk: onDisk(content, file), keep: [] };
}

function sha256(content: string): string {
  return createHash('sha256').update(content).digest('hex');
}
