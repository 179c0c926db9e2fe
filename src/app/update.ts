import type { HealthOption } from '../container/health-check.ts';
import type { ContainerInfo } from '../container/info.ts';
import type { ContainerName } from '../container/name.ts';
import { hexOf } from '../image/digest.ts';
import { findRuntime } from '../service/oci-runtime.ts';
import type { StoredImage } from '../store/image-store.ts';
import type { App } from './context.ts';
import { placesOf, previewOf, readPresent, requireRoot, withContainerLock, type Preview } from './change.ts';
import { checkStagedUnit } from './check-unit.ts';
import { getContainer, requirePlace, type Container } from './containers.ts';
import { hostSideOf } from './install.ts';
import { carryOutSwitch } from './failed-update.ts';
import { deploymentPath, otherSlot } from './layout.ts';
import { planSwitch } from './plan-change.ts';
import {
  findOrPull,
  holdImage,
  imageNotInStore,
  importImage,
  type HeldImage,
  type RegistryAccess,
} from './pull-image.ts';
import { displayName, stageDeployment } from './stage-deployment.ts';
import { readWanted } from './drift/wanted.ts';

export interface UpdateRequest {
  readonly name: ContainerName;
  readonly set: Readonly<Record<string, string>>;
  /** Another image to take the container to. */
  readonly rebase: string | undefined;
  /** Ask the image's source for a newer one first. */
  readonly pull: boolean;
  readonly settleMs: number;
  /** The check that its service is to pass from now on; undefined: what it was. */
  readonly health: HealthOption | undefined;
  readonly dryRun: boolean;
  readonly access: RegistryAccess;
}

export type UpdateOutcome =
  | {
      readonly kind: 'unchanged';
      readonly name: ContainerName;
      readonly image: string;
      readonly digest: string;
    }
  | { readonly kind: 'preview'; readonly preview: Preview }
  | {
      readonly kind: 'updated';
      readonly name: ContainerName;
      readonly image: string;
      readonly digest: string;
      readonly previousDigest: string | undefined;
      readonly deployment: string;
      readonly devicesLeftOut: number;
    };

/**
 * Takes a container to a newer image, to another one, or to other values. Without a change of either, nothing happens.
 * @throws AtomicError; the container is then as it was before, and runs if it ran
 */
export async function updateContainer(app: App, request: UpdateRequest): Promise<UpdateOutcome> {
  requireRoot(app, 'update a system container');
  return withContainerLock(app, request.name, async () => {
    const container = await getContainer(app, request.name);
    const held = await holdImage(app, () => chooseImage(app, container, request));
    try {
      const { image } = held;
      if (isUnchanged(container, image, request)) {
        return { kind: 'unchanged', name: request.name, image: displayName(image), digest: image.digest };
      }
      return await switchTo(app, container, held, request);
    } finally {
      await held.release();
    }
  });
}

/** The image that the container is to have, pulled where that was asked for. */
async function chooseImage(app: App, { current }: Container, request: UpdateRequest): Promise<StoredImage> {
  if (request.rebase !== undefined) return findOrPull(app, request.rebase, request.access, request.pull);
  const { image, source } = current.info;
  // An image whose name holds a digest can have no newer one.
  if (request.pull && !image.includes('@')) {
    return (await importImage(app, source ?? image, request.access)).image;
  }
  const stored = await app.store.find(image);
  if (stored === undefined) throw imageNotInStore(image);
  return stored;
}

function isUnchanged({ current }: Container, image: StoredImage, request: UpdateRequest): boolean {
  const { info } = current;
  const sameValues = Object.entries(request.set).every(([key, value]) => String(info.values[key]) === value);
  const sameName = request.rebase === undefined || info.image === displayName(image);
  return info.revision === hexOf(image.digest) && sameValues && sameName && isSameCheck(info, request.health);
}

/** Whether a check that is asked for is the one that the container has. */
function isSameCheck({ healthCheck }: ContainerInfo, option: HealthOption | undefined): boolean {
  if (option === undefined) return true;
  if (option === 'image') return healthCheck?.source !== 'option';
  return (
    healthCheck?.source === 'option' && JSON.stringify(healthCheck.command) === JSON.stringify(option.command)
  );
}

async function switchTo(
  app: App,
  container: Container,
  { image, release }: HeldImage,
  request: UpdateRequest,
): Promise<UpdateOutcome> {
  const { name, current } = container;
  const { set, settleMs, health } = request;
  const runtime = await findRuntime(app.exec, {
    option: current.info.runtime,
    environment: app.environment['RUNC_PATH'],
    conf: app.conf.runtime,
  });
  const slot = otherSlot(current.slot);
  await requirePlace(app, name, slot);
  app.report({ event: 'step', text: `Extracting to ${deploymentPath(app, name, slot)}` });
  const wanted = await readWanted(app, container);
  const staged = await stageDeployment(app, {
    name,
    slot,
    image,
    runtime,
    set,
    health,
    previous: current,
    wanted,
  });
  await release();
  try {
    await checkStagedUnit(app, staged);
    const present = { ...(await readPresent(app, name)), hostFilesToRemove: staged.hostFiles.remove };
    const action = 'update';
    const goal = { action, image: staged.info.image, digest: image.digest };
    const steps = planSwitch(placesOf(app, name), present, hostSideOf(staged), {
      staged: staged.stagedAt,
      settling: { settleMs, runtime: runtime.path, check: staged.info.healthCheck },
      goal,
    });
    const plan = { action, container: name, steps };
    if (request.dryRun) return { kind: 'preview', preview: previewOf(plan, staged) };
    for (const text of staged.hostFiles.messages) app.report({ event: 'step', text });
    await carryOutSwitch(app, plan, `The update of ${name} to ${goal.image}`);
    return {
      kind: 'updated',
      name,
      image: staged.info.image,
      digest: image.digest,
      previousDigest: current.info.revision,
      deployment: staged.path,
      devicesLeftOut: await app.store.countDevicesLeftOut(image.manifest),
    };
  } finally {
    await staged.discard();
  }
}
