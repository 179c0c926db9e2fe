import type { HealthOption } from '../container/health-check.ts';
import { readExports } from '../container/exports.ts';
import type { ContainerInfo } from '../container/info.ts';
import type { ContainerName } from '../container/name.ts';
import { AtomicError } from '../errors.ts';
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
import { wishOf } from './package.ts';
import { planSwitch } from './plan-change.ts';
import {
  findOrPull,
  holdImage,
  imageNotInStore,
  importImage,
  type HeldImage,
  type RegistryAccess,
} from './pull-image.ts';
import { checksumExports, refuseTenants, requireTree, tellRemote, withTreeHeld } from './remote-rootfs.ts';
import { displayName, stageDeployment } from './stage-deployment.ts';
import { readWanted } from './drift/wanted.ts';
import { runtimeSources } from './runtime-sources.ts';

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
  /** Also when the tree that it replaces is another container's root file system. */
  readonly force?: boolean;
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
    const container = await getContainer(app, request.name, 'update');
    const { remote } = container.current.info;
    return withTreeHeld(app, remote, async () => {
      const held = await holdImage(app, () => chooseImage(app, container, request));
      try {
        const { image } = held;
        if (isUnchanged(container, image, request) && (await hasSameExports(app, container))) {
          return { kind: 'unchanged', name: request.name, image: displayName(image), digest: image.digest };
        }
        return await switchTo(app, container, held, request);
      } finally {
        await held.release();
      }
    });
  });
}

/** The image that the container is to have, pulled where that was asked for. */
async function chooseImage(app: App, container: Container, request: UpdateRequest): Promise<StoredImage> {
  const { current } = container;
  if (current.info.remote !== undefined) return findImageOfRemote(app, container, request);
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

/** A container whose tree is elsewhere stays with the image that it was installed with, whatever its name means now. */
async function findImageOfRemote(
  app: App,
  { name, current: { info } }: Container,
  { rebase }: UpdateRequest,
): Promise<StoredImage> {
  if (rebase !== undefined) {
    throw new AtomicError(
      'unsupported',
      `Cannot take ${name} to the image ${rebase}: its root file system is elsewhere (${info.remote ?? ''})`,
      { hint: 'Uninstall it, and install the other image.' },
    );
  }
  const image = await app.store.findRecorded(info.image, info.ostreeCommit, info.revision);
  if (image === undefined) throw imageNotInStore(info.image);
  return image;
}

/** Whether a tree elsewhere brings the same configuration as it did. */
async function hasSameExports(app: App, { current: { info } }: Container): Promise<boolean> {
  if (info.remote === undefined || info.exportsChecksum === undefined) return true;
  await requireTree(app, info);
  return checksumExports(await readExports(info.remote)) === info.exportsChecksum;
}

function isUnchanged({ current }: Container, image: StoredImage, request: UpdateRequest): boolean {
  const { info } = current;
  // What was a default becomes the user's own when it is set, and later updates keep it.
  const sameValues = Object.entries(request.set).every(
    ([key, value]) => String(info.values[key]) === value && (info.valueSources?.[key] ?? 'set') === 'set',
  );
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
  const runtime = await findRuntime(app.exec, runtimeSources(app, current.info.runtime));
  const slot = otherSlot(current.slot);
  await requirePlace(app, name, slot);
  if (request.force !== true) await refuseTenants(app, `update ${name}`, [deploymentPath(app, name, slot)]);
  const { remote } = current.info;
  if (remote !== undefined) {
    app.report({
      event: 'step',
      text: 'Updating a container with a remote rootfs. Only changes to config will be applied.',
    });
    await tellRemote(app, remote);
  }
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
    remote,
    package: wishOf(current.info),
  });
  await release();
  try {
    await checkStagedUnit(app, staged);
    const present = {
      ...(await readPresent(app, name)),
      hostFilesToRemove: staged.hostFiles.remove,
      package: staged.hostFiles.formerPackage?.side,
    };
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
