import type { HealthOption } from '../container/health-check.ts';
import { AtomicError } from '../errors.ts';
import { defaultContainerName, parseContainerName, type ContainerName } from '../container/name.ts';
import { findRuntime, type Runtime } from '../service/oci-runtime.ts';
import type { StoredImage } from '../store/image-store.ts';
import type { App } from './context.ts';
import { carryOut, placesOf, previewOf, requireRoot, withContainerLock, type Preview } from './change.ts';
import { findContainer, findDeployments, requirePlace } from './containers.ts';
import { checkStagedUnit } from './check-unit.ts';
import { planInstall, type HostSide } from './plan-change.ts';
import type { PackageMode } from './package.ts';
import { findOrPull, holdImage, readReference, type HeldImage, type RegistryAccess } from './pull-image.ts';
import { findPreinstalled } from './preinstalled.ts';
import { findRemoteRootfs, refuseTenants, tellRemote, withTreeHeld } from './remote-rootfs.ts';
import { runOnce, type OnceCommand } from './run-once.ts';
import { stageDeployment, type StagedDeployment } from './stage-deployment.ts';
import { deploymentPath } from './layout.ts';
import { runtimeSources } from './runtime-sources.ts';

export interface InstallRequest {
  readonly image: string;
  readonly name: string | undefined;
  readonly set: Readonly<Record<string, string>>;
  readonly runtime: string | undefined;
  /** Where its root file system is, instead of in its own deployment. */
  readonly rootfs: string | undefined;
  readonly start: boolean;
  readonly settleMs: number;
  /** The check that its service has to pass; undefined: the image's, if it has one. */
  readonly health: HealthOption | undefined;
  /** Ask the registry even when the store has an image of this name. */
  readonly pull: boolean;
  readonly systemPackage: Exclude<PackageMode, 'build'>;
  readonly dryRun: boolean;
  readonly access: RegistryAccess;
  /** Run it once instead, whatever it says of itself. */
  readonly once?: OnceCommand;
}

export type InstallOutcome =
  | { readonly kind: 'present'; readonly name: ContainerName }
  | { readonly kind: 'preview'; readonly preview: Preview }
  | { readonly kind: 'ran-once'; readonly name: ContainerName; readonly exitCode: number }
  | {
      readonly kind: 'installed';
      readonly name: ContainerName;
      readonly image: string;
      readonly digest: string;
      readonly deployment: string;
      readonly started: boolean;
      readonly devicesLeftOut: number;
    };

/**
 * From an image's name to a running service; or nothing at all changed but the store.
 * @throws AtomicError; what was begun is undone
 */
export async function installContainer(app: App, request: InstallRequest): Promise<InstallOutcome> {
  requireRoot(app, 'install a system container');
  const runtime = await findRuntime(app.exec, runtimeSources(app, request.runtime));
  const findImage = (): Promise<HeldImage> =>
    holdImage(app, () => findOrPull(app, request.image, request.access, request.pull));
  const given = chooseName(request);
  if (given !== undefined) return install(app, request, runtime, given, findImage);
  // A file's or folder's image says its name only when it is read.
  const held = await findImage();
  try {
    const name = defaultContainerName(held.image.name);
    return await install(app, request, runtime, name, () => Promise.resolve(held));
  } finally {
    await held.release();
  }
}

/** The name that was asked for, or that a registry's image goes by. */
function chooseName({ name, image }: InstallRequest): ContainerName | undefined {
  if (name !== undefined) return parseContainerName(name);
  const reference = readReference(image);
  return reference.transport === 'docker' ? defaultContainerName(reference.image.given) : undefined;
}

async function install(
  app: App,
  request: InstallRequest,
  runtime: Runtime,
  name: ContainerName,
  findImage: () => Promise<HeldImage>,
): Promise<InstallOutcome> {
  return withContainerLock(app, name, async () => {
    if (await isPresent(app, name)) return { kind: 'present', name };
    await requireFreePlaces(app, name);
    const { rootfs } = request;
    const remote = rootfs === undefined ? undefined : await findRemoteRootfs(app, name, rootfs);
    return withTreeHeld(app, remote, async () => {
      const { staged, once } = await stage(app, request, runtime, { name, remote }, await findImage());
      try {
        if (!request.dryRun && (once || request.once !== undefined)) {
          return { kind: 'ran-once', name, exitCode: await runOnce(app, staged, runtime.path, request.once) };
        }
        return await placeStaged(app, staged, request);
      } finally {
        await staged.discard();
      }
    });
  });
}

/** One that the operating system brings counts: its unit has that name. */
async function isPresent(app: App, name: ContainerName): Promise<boolean> {
  return (await findContainer(app, name)) !== undefined || (await findPreinstalled(app, name)) !== undefined;
}

async function stage(
  app: App,
  { set, health, start, systemPackage }: InstallRequest,
  runtime: Runtime,
  { name, remote }: { readonly name: ContainerName; readonly remote: string | undefined },
  { image, release }: HeldImage,
): Promise<{ staged: StagedDeployment; once: boolean }> {
  try {
    if (remote !== undefined) await tellRemote(app, remote);
    app.report({ event: 'step', text: `Extracting to ${deploymentPath(app, name, 0)}` });
    const once = await isRunOnce(app, image);
    const wanted = { enabled: true, started: start };
    // What runs once leaves nothing on the host.
    const mode = once ? 'no' : systemPackage;
    const staged = await stageDeployment(app, {
      name,
      slot: 0,
      image,
      runtime,
      set,
      health,
      previous: undefined,
      wanted,
      remote,
      package: { mode, foreign: mode === 'yes' },
    });
    return { staged, once };
  } finally {
    await release();
  }
}

async function placeStaged(
  app: App,
  staged: StagedDeployment,
  request: InstallRequest,
): Promise<InstallOutcome> {
  const { name, stagedAt } = staged;
  await checkStagedUnit(app, staged);
  const { start, settleMs } = request;
  const places = placesOf(app, name);
  const stale = await findDeployments(app, name);
  // Of a container that was not uninstalled by us.
  if (await app.files.exists(places.failed)) stale.push(places.failed);
  await refuseTenants(app, `install ${name}, and remove what is left of an earlier one`, stale);
  const { runtime, healthCheck: check } = staged.info;
  const options = { staged: stagedAt, stale, start, settling: { settleMs, runtime, check } };
  const steps = planInstall(places, hostSideOf(staged), options);
  const plan = { action: 'install', container: name, steps };
  if (request.dryRun) return { kind: 'preview', preview: previewOf(plan, staged) };
  for (const text of staged.hostFiles.messages) app.report({ event: 'step', text });
  await carryOut(app, plan);
  return {
    kind: 'installed',
    name,
    image: staged.info.image,
    digest: staged.image.digest,
    deployment: staged.path,
    started: start && staged.hasService,
    devicesLeftOut: await app.store.countDevicesLeftOut(staged.image.manifest),
  };
}

/** What a staged deployment puts on the host. */
export function hostSideOf(staged: StagedDeployment): HostSide {
  return {
    path: staged.path,
    unit: staged.unit?.content,
    tmpfiles: staged.tmpfiles?.content,
    hostFiles: staged.hostFiles.create,
    package: staged.package,
  };
}

/** atomic refuses before it pulls, and so do we. */
async function requireFreePlaces(app: App, name: ContainerName): Promise<void> {
  const places = placesOf(app, name);
  await requirePlace(app, name, 0);
  await requirePlace(app, name, 1);
  await refuseDeploymentName(app, name);
  for (const path of [places.unit, places.tmpfiles, places.link]) {
    if (!(await app.files.exists(path))) continue;
    throw new AtomicError('file-exists', `The file ${path} already exists.`, {
      hint: 'It belongs to something else: choose another --name, or remove it.',
    });
  }
}

/** `a.1` is where an update of an installed `a` puts its deployment. */
async function refuseDeploymentName(app: App, name: ContainerName): Promise<void> {
  const owner = /^(.+)\.[01]$/.exec(name)?.[1];
  if (owner === undefined || (await findContainer(app, parseContainerName(owner))) === undefined) return;
  throw new AtomicError(
    'file-exists',
    `Cannot call a container ${name}: that is a deployment of the container ${owner}`,
    { hint: 'Choose another --name.' },
  );
}

async function isRunOnce(app: App, image: StoredImage): Promise<boolean> {
  return (await app.store.readConfig(image)).labels['atomic.run'] === 'once';
}
