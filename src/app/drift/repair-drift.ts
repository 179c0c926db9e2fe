/** Puts right what of a container is not as it was recorded, and touches nothing else: one transaction, whole or not at all. */
import { join } from 'node:path';
import type { ContainerName } from '../../container/name.ts';
import { AtomicError } from '../../errors.ts';
import { findRuntime } from '../../service/oci-runtime.ts';
import { describeSteps } from '../../transaction/plan.ts';
import { carryOut, placesOf, requireRoot, withContainerLock } from '../change.ts';
import { getContainer, type Container } from '../containers.ts';
import type { App } from '../context.ts';
import { hostFilesOfTree } from '../host-files.ts';
import type { RegistryAccess } from '../pull-image.ts';
import type { Remedies } from './parts.ts';
import { planRepair, type RepairedFile } from './plan-repair.ts';
import { restoreObjects, sourceOf } from './restore-objects.ts';
import { stageAgain, stageTree, type Restaged } from './stage-again.ts';
import { readRemedies } from './status.ts';

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
    const container = await getContainer(app, request.name);
    const remedies = await readRemedies(app, container);
    if (isNothing(remedies)) return { name: request.name, steps: [], kept: [] };
    return putRight(app, container, remedies, request);
  });
}

function isNothing(remedies: Remedies): boolean {
  return Object.values(remedies).every(
    (remedy) => remedy === false || (Array.isArray(remedy) && remedy.length === 0),
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
  const staged = await stage(app, container, remedies);
  try {
    const hostFiles = await repairedFiles(app, container, remedies, staged);
    const active = current.info.hasContainerService && (await app.services.state(name)).active;
    const steps = planRepair(placesOf(app, name), {
      deployment:
        remedies.deployment && staged !== undefined
          ? { staged: staged.path, path: current.path, dropRootfs: !current.info.hasContainerService }
          : undefined,
      unit: remedies.unit ? await readRendered(app, container, staged, `${name}.service`) : undefined,
      tmpfiles: remedies.tmpfiles
        ? await readRendered(app, container, staged, `tmpfiles-${name}.conf`)
        : undefined,
      hostFiles,
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
      kept: hostFiles.flatMap(({ keep }) => (keep === undefined ? [] : [keep])),
    };
  } finally {
    await staged?.discard();
  }
}

/** The deployment made again, or only its tree where host files have to be made of one and it has none. */
async function stage(
  app: App,
  container: Container,
  { deployment, hostFiles }: Remedies,
): Promise<Restaged | undefined> {
  const { info, path } = container.current;
  if (deployment) {
    const found = await findRuntime(app.exec, {
      option: info.runtime,
      environment: app.environment['RUNC_PATH'],
      conf: app.conf.runtime,
    });
    return stageAgain(app, container, found);
  }
  const hasTree = await app.files.isDirectory(join(path, 'rootfs'));
  return hostFiles.length === 0 || hasTree ? undefined : stageTree(app, container);
}

async function repairedFiles(
  app: App,
  { current }: Container,
  { hostFiles, deployment }: Remedies,
  staged: Restaged | undefined,
): Promise<RepairedFile[]> {
  if (hostFiles.length === 0) return [];
  const rootfs = join(staged?.path ?? current.path, 'rootfs');
  const place = deployment ? join(current.path, 'rootfs') : rootfs;
  const paths = hostFiles.map(({ path }) => path);
  const files = new Map(
    (await hostFilesOfTree(app, { rootfs, place }, current.info, paths)).map((file) => [file.path, file]),
  );
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
