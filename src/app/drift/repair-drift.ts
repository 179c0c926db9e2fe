/** Puts right what of a container is not as it was recorded, and touches nothing else: one transaction, whole or not at all. */
import { join } from 'node:path';
import type { ContainerName } from '../../container/name.ts';
import { AtomicError } from '../../errors.ts';
import { findRuntime } from '../../service/oci-runtime.ts';
import { describeSteps } from '../../transaction/plan.ts';
import { carryOut, placesOf, requireRoot, withContainerLock } from '../change.ts';
import { getContainer, type Container } from '../containers.ts';
import type { App } from '../context.ts';
import { openHostFiles, type HostFilesAgain } from '../host-files-again.ts';
import type { RegistryAccess } from '../pull-image.ts';
import { listTenants } from '../remote-rootfs.ts';
import type { Remedies } from './parts.ts';
import { planRepair, type RepairedFile, type RepairedPackage } from './plan-repair.ts';
import { restoreObjects, sourceOf } from './restore-objects.ts';
import { stageAgain, type Restaged } from './stage-again.ts';
import { readRemedies } from './status.ts';
import { runtimeSources } from '../runtime-sources.ts';

export interface RepairRequest {
  readonly name: ContainerName;
  readonly dryRun: boolean;
  readonly settleMs: number;
  /** For an image whose layers have to be fetched again. */
  readonly access: RegistryAccess;
}

export interface DriftRepair {
  readonly name: ContainerName;
  /** What was done, or would be; empty when all was as recorded. */
  readonly steps: readonly string[];
  /** Where files that somebody had changed are kept. */
  readonly kept: readonly string[];
}

/**
 * After it the container is what was recorded, or on an error what it was before: only damaged files of the store that
 * could be made whole stay so.
 * @throws AtomicError `container-not-found`, `busy`; `image-not-found` and `store-invalid` when what is needed is not to
 * be had; `service-failed`
 */
export async function repairDrift(app: App, request: RepairRequest): Promise<DriftRepair> {
  requireRoot(app, 'repair a system container');
  return withContainerLock(app, request.name, async () => {
    const container = await getContainer(app, request.name, 'repair');
    const remedies = await readRemedies(app, container);
    if (isNothing(remedies)) return { name: request.name, steps: [], kept: [] };
    return putRight(app, container, remedies, request);
  });
}

function isNothing(remedies: Remedies): boolean {
  return Object.values(remedies).every(
    (remedy) => remedy === false || remedy === undefined || (Array.isArray(remedy) && remedy.length === 0),
  );
}

async function putRight(
  app: App,
  container: Container,
  remedies: Remedies,
  request: RepairRequest,
): Promise<DriftRepair> {
  const { name, current } = container;
  const { damaged } = remedies;
  const fetching =
    damaged.length === 0
      ? []
      : [`replace ${damaged.length} damaged files of the store by those of ${sourceOf(current)}`];
  if (damaged.length > 0 && !request.dryRun) await restoreObjects(app, current, damaged, request.access);
  const staged = remedies.deployment ? await stage(app, container) : undefined;
  let again: HostFilesAgain | undefined;
  try {
    const now = { path: staged?.path ?? current.path, place: current.path, info: current.info };
    again = remedies.hostFiles.length === 0 ? undefined : await openHostFiles(app, name, now);
    const hostFiles = await repairedFiles(app, container, remedies, again);
    const repairedPackage = await repairPackage(app, remedies);
    const active = current.info.hasContainerService && (await app.services.state(name)).active;
    const steps = planRepair(placesOf(app, name), {
      deployment: staged === undefined ? undefined : { staged: staged.path, path: current.path },
      unit: remedies.unit ? await readRendered(app, container, staged, `${name}.service`) : undefined,
      tmpfiles: remedies.tmpfiles
        ? await readRendered(app, container, staged, `tmpfiles-${name}.conf`)
        : undefined,
      hostFiles,
      package: repairedPackage,
      enable: remedies.enable,
      start: remedies.start,
      active,
      settling: {
        settleMs: request.settleMs,
        runtime: current.info.runtime,
        check: current.info.healthCheck,
      },
    });
    if (!request.dryRun) await carryOut(app, { action: 'repair', container: name, steps });
    return {
      name,
      steps: [...fetching, ...describeSteps(steps)],
      kept: [...hostFiles, ...(repairedPackage?.changed ?? [])].flatMap(({ keep }) =>
        keep === undefined ? [] : [keep],
      ),
    };
  } finally {
    await again?.discard();
    await staged?.discard();
  }
}

/** @throws AtomicError `container-in-use` while somebody runs on the tree that would be replaced */
async function stage(app: App, container: Container): Promise<Restaged> {
  const { info, path } = container.current;
  for (const { name, rootfs } of await listTenants(app, [path])) {
    if (!(await app.services.state(name)).active) continue;
    throw new AtomicError(
      'container-in-use',
      `Cannot make ${container.name} again: the container ${name} runs on its tree, ${rootfs}`,
      { hint: `Stop ${name}, repair ${container.name}, and start ${name} again.` },
    );
  }
  const found = await findRuntime(app.exec, runtimeSources(app, info.runtime));
  return stageAgain(app, container, found);
}

async function repairedFiles(
  app: App,
  { current }: Container,
  { hostFiles }: Remedies,
  again: HostFilesAgain | undefined,
): Promise<RepairedFile[]> {
  if (again === undefined) return [];
  const planned = await again.plan(hostFiles.map(({ path }) => path));
  const files = new Map(planned.files.map((file) => [file.path, file]));
  const repaired: RepairedFile[] = [];
  for (const { path, state } of hostFiles) {
    const file = files.get(path);
    if (file === undefined)
      throw new AtomicError(
        'host-file',
        `Cannot make ${path} again: the image ${current.info.image} does not bring it`,
      );
    repaired.push({
      file,
      keep: state === 'changed' ? await freeName(app, `${path}.atomic-save`) : undefined,
    });
  }
  return repaired;
}

async function repairPackage(app: App, remedies: Remedies): Promise<RepairedPackage | undefined> {
  if (remedies.package === undefined) return undefined;
  const changed = [];
  for (const path of remedies.package.changed)
    changed.push({ path, keep: await freeName(app, `${path}.atomic-save`) });
  return { side: remedies.package.side, changed };
}

async function freeName(app: App, wanted: string): Promise<string> {
  for (let number = 0; ; number++) {
    const name = number === 0 ? wanted : `${wanted}.${number}`;
    if (!(await app.files.exists(name))) return name;
  }
}

/** What was rendered, out of the deployment as it will be. */
async function readRendered(
  app: App,
  { name, current }: Container,
  staged: Restaged | undefined,
  file: string,
): Promise<string> {
  const path = join(staged?.path ?? current.path, file);
  const bytes = await app.files.readIfExists(path, 'export-size');
  if (bytes !== undefined) return bytes.toString('utf8');
  throw new AtomicError('store-invalid', `The deployment of ${name} has no ${file} to put on the host`, {
    hint: `Make it anew: atomic-ts containers update ${name}.`,
  });
}
