import { AtomicError } from '../errors.ts';
import { defaultContainerName, parseContainerName, type ContainerName } from '../container/name.ts';
import { formatReference } from '../image/reference.ts';
import { findRuntime } from '../service/oci-runtime.ts';
import type { StoredImage } from '../store/image-store.ts';
import type { App } from './context.ts';
import { carryOut, placesOf, previewOf, requireRoot, withContainerLock, type Preview } from './change.ts';
import { findContainer } from './containers.ts';
import { checkStagedUnit } from './check-unit.ts';
import { planInstall } from './plan-change.ts';
import { findOrPull, readReference, type RegistryAccess } from './pull-image.ts';
import { runOnce } from './run-once.ts';
import { stageDeployment, type StagedDeployment } from './stage-deployment.ts';
import { deploymentPath } from './layout.ts';

export interface InstallRequest {
  readonly image: string;
  readonly name: string | undefined;
  readonly set: Readonly<Record<string, string>>;
  readonly runtime: string | undefined;
  readonly start: boolean;
  readonly settleMs: number;
  /** Ask the registry even when the store has an image of this name. */
  readonly pull: boolean;
  readonly dryRun: boolean;
  readonly access: RegistryAccess;
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
    };

/**
 * From an image's name to a running service; or nothing at all changed but the store.
 * @throws AtomicError; what was begun is undone
 */
export async function installContainer(app: App, request: InstallRequest): Promise<InstallOutcome> {
  requireRoot(app, 'install a system container');
  const name = chooseName(request);
  const runtime = await findRuntime(app.exec, {
    option: request.runtime,
    environment: app.environment['RUNC_PATH'],
    conf: app.conf.runtime,
  });
  return withContainerLock(app, name, async () => {
    if ((await findContainer(app, name)) !== undefined) return { kind: 'present', name };
    await requireFreePlaces(app, name);
    const image = await findOrPull(app, request.image, request.access, request.pull);
    app.report({ event: 'step', text: `Extracting to ${deploymentPath(app, name, 0)}` });
    const { set } = request;
    const staged = await stageDeployment(app, { name, slot: 0, image, runtime, set, previous: undefined });
    try {
      if (await isRunOnce(app, image)) {
        if (!request.dryRun) return { kind: 'ran-once', name, exitCode: await runOnce(app, staged, runtime) };
      }
      return await placeStaged(app, staged, request);
    } finally {
      await staged.discard();
    }
  });
}

async function placeStaged(
  app: App,
  staged: StagedDeployment,
  request: InstallRequest,
): Promise<InstallOutcome> {
  const { name } = staged;
  await checkStagedUnit(app, staged);
  const { start, settleMs } = request;
  const plan = {
    action: 'install',
    container: name,
    steps: planInstall(placesOf(app, name), staged.stagedAt, hostSideOf(staged), { start, settleMs }),
  };
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
  };
}

/** What a staged deployment puts on the host. */
export function hostSideOf(staged: StagedDeployment): Parameters<typeof planInstall>[2] {
  return {
    path: staged.path,
    unit: staged.unit?.content,
    tmpfiles: staged.tmpfiles?.content,
    hostFiles: staged.hostFiles.create,
    dropRootfs: !staged.hasService,
  };
}

function chooseName({ name, image }: InstallRequest): ContainerName {
  if (name !== undefined) return parseContainerName(name);
  const reference = readReference(image);
  return defaultContainerName(
    reference.transport === 'docker'
      ? reference.image.given
      : formatReference(reference).replace(/^[a-z-]+:/, ''),
  );
}

/** atomic refuses before it pulls, and so do we. */
async function requireFreePlaces(app: App, name: ContainerName): Promise<void> {
  const places = placesOf(app, name);
  for (const path of [places.unit, places.tmpfiles, places.link]) {
    if (!(await app.files.exists(path))) continue;
    throw new AtomicError('file-exists', `The file ${path} already exists.`, {
      hint: 'It belongs to something else: choose another --name, or remove it.',
    });
  }
}

async function isRunOnce(app: App, image: StoredImage): Promise<boolean> {
  return (await app.store.readConfig(image)).labels['atomic.run'] === 'once';
}
