/** A package that holds a whole container, for hosts that have it preinstalled; nothing of this host is changed. */
import { join } from 'node:path';
import { defaultContainerName, parseContainerName, type ContainerName } from '../container/name.ts';
import { escapeLine } from '../escape.ts';
import type { HostFile } from '../host/ports.ts';
import { hexOf } from '../image/digest.ts';
import { buildPackage, sourceTree } from '../rpm/build.ts';
import { readPackageFacts } from '../rpm/facts.ts';
import { placeFiles } from '../rpm/place-files.ts';
import { readPackage } from '../rpm/read-package.ts';
import type { SpecFile } from '../rpm/spec.ts';
import { findRuntime, type Runtime } from '../service/oci-runtime.ts';
import { besideNew } from '../transaction/beside.ts';
import type { App } from './context.ts';
import { requireRoot, withContainerLock } from './change.ts';
import { checkStagedUnit } from './check-unit.ts';
import { packageFile } from './package.ts';
import { findOrPull, holdImage, type HeldImage, type RegistryAccess } from './pull-image.ts';
import { stageDeployment, stagedPath, type StagedDeployment } from './stage-deployment.ts';
import { hasForeign, inBuildFolder, makeForeign, nameOwners, readEpoch } from './stage-package.ts';
import { runtimeSources } from './runtime-sources.ts';

export interface BuildRequest {
  readonly image: string;
  readonly name: string | undefined;
  readonly set: Readonly<Record<string, string>>;
  readonly runtime: string | undefined;
  readonly pull: boolean;
  readonly access: RegistryAccess;
  /** Where the package is left. */
  readonly folder: string;
}

export interface BuiltContainer {
  readonly name: ContainerName;
  readonly image: string;
  readonly digest: string;
  /** The package. */
  readonly path: string;
}

/** Where units and tmpfiles configurations of packages are. */
const UNITS = '/usr/lib/systemd/system';
const TMPFILES = '/usr/lib/tmpfiles.d';

/** @throws AtomicError; nothing is left then */
export async function buildContainerPackage(app: App, request: BuildRequest): Promise<BuiltContainer> {
  requireRoot(app, 'build the package of a system container');
  const runtime = await findRuntime(app.exec, runtimeSources(app, request.runtime));
  const held = await holdImage(app, () => findOrPull(app, request.image, request.access, request.pull));
  try {
    const name =
      request.name === undefined ? defaultContainerName(held.image.name) : parseContainerName(request.name);
    return await withContainerLock(app, name, () => build(app, request, runtime, name, held));
  } finally {
    await held.release();
  }
}

async function build(
  app: App,
  { set, folder }: BuildRequest,
  runtime: Runtime,
  name: ContainerName,
  { image }: HeldImage,
): Promise<BuiltContainer> {
  app.report({ event: 'step', text: `Extracting to ${stagedPath(app, name)}` });
  const staged = await stageDeployment(app, {
    name,
    slot: 0,
    at: join(app.paths.preinstalled, name),
    image,
    runtime,
    set,
    health: undefined,
    previous: undefined,
    wanted: { enabled: undefined, started: undefined },
    package: { mode: 'no', foreign: false },
  });
  try {
    await checkStagedUnit(app, staged);
    const destination = join(folder, packageFile(name));
    const make = async (output: string): Promise<void> => {
      const built = join(output, packageFile(name));
      if (hasForeign({ rootfs: join(staged.stagedAt, 'rootfs') })) await takeOut(app, staged, built);
      else await pack(app, staged, built);
      await leave(app, built, destination);
    };
    await inBuildFolder(app, name, make, 'out');
    return { name, image: staged.info.image, digest: image.digest, path: destination };
  } finally {
    await staged.discard();
  }
}

/** The image's own package: it is only left here, so all that is done about its scriptlets is to tell of them. */
async function takeOut(app: App, staged: StagedDeployment, target: string): Promise<void> {
  const { name, image, info, stagedAt, path, hostFiles } = staged;
  const rootfs = join(stagedAt, 'rootfs');
  const place = join(path, 'rootfs');
  await makeForeign(
    app,
    { name, image, values: info.values, rootfs, place, files: hostFiles.create },
    target,
  );
  const { label, scriptlets } = await readPackage(app.exec, target);
  if (scriptlets.length === 0) return;
  const text = `The image's own package ${label} has scriptlets, which run as root when it is installed: ${scriptlets.map(escapeLine).join(' | ')}`;
  app.report({ event: 'warning', text });
}

async function pack(app: App, staged: StagedDeployment, target: string): Promise<void> {
  const { name, image, path, stagedAt, hostFiles, hasService } = staged;
  const { labels } = await app.store.readConfig(image);
  const facts = readPackageFacts(name, labels, { revision: hexOf(image.digest), defaultVersion: '1' });
  const files = [...unitFiles(staged), ...hostFiles.create];
  const specFiles: SpecFile[] = [
    { path, user: 'root', group: 'root', isTree: true },
    ...(await nameOwners(app, files)),
  ];
  await inBuildFolder(app, name, async (folder) => {
    const tree = sourceTree(folder);
    const rootfs = join(stagedAt, 'rootfs');
    if (hasService) await warnOfOwners(app, rootfs);
    await placeFiles(tree, files, (source) => stagedAt + source.slice(path.length));
    if (!hasService) await app.files.removeTree(rootfs);
    await app.files.makeDirectory(join(tree, app.paths.preinstalled), 0o755);
    await app.files.rename(stagedAt, join(tree, path));
    const epoch = await readEpoch(app, image);
    const built = await buildPackage(app.exec, { folder, facts, files: specFiles, epoch });
    await app.files.rename(built.path, target);
  });
}

/** A package knows accounts by name, and those of an image are none of the host's. */
async function warnOfOwners(app: App, rootfs: string): Promise<void> {
  const others = ['(', '!', '-uid', '0', '-o', '!', '-gid', '0', ')', '-print', '-quit'];
  const { stdout } = await app.exec.run('find', [rootfs, ...others]);
  if (stdout === '') return;
  const path = escapeLine(stdout.trimEnd().slice(rootfs.length));
  const text = `Files of the image that belong to other users than root, as ${path} does, are root's in the package`;
  app.report({ event: 'warning', text });
}

function unitFiles({ name, unit, tmpfiles }: StagedDeployment): HostFile[] {
  const file = (path: string, content: string): HostFile => ({
    path,
    kind: 'file',
    mode: 0o644,
    uid: 0,
    gid: 0,
    content,
    link: false,
  });
  return [
    ...(unit === undefined ? [] : [file(join(UNITS, `${name}.service`), unit.content)]),
    ...(tmpfiles === undefined ? [] : [file(join(TMPFILES, `${name}.conf`), tmpfiles.content)]),
  ];
}

/** In place of an earlier package, whole or not at all. */
async function leave(app: App, built: string, destination: string): Promise<void> {
  const { uid, gid } = app.identity;
  const whole = besideNew(destination);
  const making = besideNew(destination);
  try {
    await app.files.install(
      { path: whole, kind: 'file', mode: 0o644, uid, gid, source: built, link: false },
      making,
    );
    await app.files.rename(whole, destination);
  } finally {
    await app.files.remove(making);
    await app.files.remove(whole);
  }
}
