/** What a container is, and whether it still is what was recorded when it was installed. Nothing is changed. */
import { join } from 'node:path';
import type { ContainerName } from '../../container/name.ts';
import { isAtomicError, messageOf } from '../../errors.ts';
import type { UnitProperties } from '../../service/systemd.ts';
import { readJournal } from '../../transaction/journal.ts';
import { requireRoot } from '../change.ts';
import {
  findContainer,
  getContainer,
  readOtherDeployment,
  type Container,
  type Deployment,
} from '../containers.ts';
import type { App } from '../context.ts';
import type { FailedUpdate } from '../failed-update.ts';
import { journalPath, tmpfilesPath, unitPath } from '../layout.ts';
import { readFailedUpdate } from '../list-containers.ts';
import { findPreinstalled, type InstalledContainer } from '../preinstalled.ts';
import { judgeConfig, judgeHostFiles, judgeOnHost } from './judge-files.ts';
import { judgePackage } from './judge-package.ts';
import { judgeRootfs } from './judge-rootfs.ts';
import { describeState, judgeEnabled, judgeStarted, SERVICE_PROPERTIES } from './judge-service.ts';
import { drift, joinRemedies, notRecorded, type Judgement, type Part, type Remedies } from './parts.ts';

/** Where packages put units, for one that systemd does not know. */
const VENDOR_UNITS = '/usr/lib/systemd/system';

export interface ContainerStatus {
  readonly name: ContainerName;
  readonly current: Deployment;
  /** Whether it is the operating system's: nothing of it is ours to change. */
  readonly preinstalled: boolean;
  /** Where a rollback would go. */
  readonly other: Deployment | undefined;
  /** What is kept of its last update, when that did not come up. */
  readonly failed: FailedUpdate | undefined;
  readonly service: ServiceStatus | undefined;
  /** A change of it that a living process is at: what is told may be of before or after. */
  readonly change: { readonly pid: number; readonly action: string } | undefined;
  readonly parts: readonly Part[];
  /** Whether something is not as it was recorded, and nobody is changing it now. */
  readonly drift: boolean;
}

export interface ServiceStatus {
  /** `running since …` */
  readonly state: string;
  readonly enabled: string;
  /** An administrator's additions to its unit. */
  readonly dropIns: readonly string[];
}

export interface InspectOptions {
  /** Reads every file of the tree; without it the part is left out. */
  readonly rootfs: boolean;
}

/** @throws AtomicError `not-root`, `container-not-found`; of the store, of systemd */
export async function readStatus(
  app: App,
  name: ContainerName,
  options: InspectOptions,
): Promise<ContainerStatus> {
  requireRoot(app, 'read the whole state of a system container');
  const container = await findContainer(app, name);
  const preinstalled = container === undefined ? await findPreinstalled(app, name) : undefined;
  if (preinstalled !== undefined) return readPreinstalled(app, preinstalled);
  return readInstalled(app, container ?? (await getContainer(app, name)), options);
}

async function readInstalled(
  app: App,
  container: Container,
  options: InspectOptions,
): Promise<ContainerStatus> {
  const { name } = container;
  const { judgements, service, change } = await inspect(app, container, options);
  const parts = judgements.map(({ part }) => part);
  return {
    name,
    current: container.current,
    preinstalled: false,
    other: await readOtherDeployment(app, container),
    failed: await readFailedUpdate(app, name),
    service,
    change,
    parts,
    drift: change === undefined && parts.some(({ status }) => status === 'drift'),
  };
}

/** Its tree, and whether it is enabled, are the operating system's affair: only its own files can be compared. */
async function readPreinstalled(
  app: App,
  { name, path, info }: InstalledContainer,
): Promise<ContainerStatus> {
  const { files } = app;
  const current = { slot: 0, path, info } as const;
  const unit = info.hasContainerService ? await askService(app, name) : undefined;
  const unitAt = unit?.['FragmentPath'] || join(VENDOR_UNITS, `${name}.service`);
  const judgements = [
    await judgeOnHost(files, current, 'unit', `${name}.service`, unitAt),
    await judgeConfig(files, current),
    await judgeHostFiles(files, current),
    notRecorded('rootfs', 'it is part of the operating system, whose package manager can verify it'),
    ...(unit === undefined ? [] : [judgeEnabled(info, unit), judgeStarted(info, unit)]),
  ];
  const parts = judgements.map(({ part }) => part);
  return {
    name,
    current,
    preinstalled: true,
    other: undefined,
    failed: undefined,
    service: describeService(unit),
    change: undefined,
    parts,
    drift: parts.some(({ status }) => status === 'drift'),
  };
}

/** What a repair of the container has to see to. */
export async function readRemedies(app: App, container: Container): Promise<Remedies> {
  return joinRemedies((await inspect(app, container, { rootfs: true })).judgements);
}

interface Inspection {
  readonly judgements: readonly Judgement[];
  readonly service: ServiceStatus | undefined;
  readonly change: ContainerStatus['change'];
}

async function inspect(
  app: App,
  { name, current }: Container,
  { rootfs }: InspectOptions,
): Promise<Inspection> {
  const { files } = app;
  const { info } = current;
  const change = await readChange(app, name);
  const unit = info.hasContainerService ? await askService(app, name) : undefined;
  const packaged = await judgePackage(app, name, current);
  const judgements = [
    ...(change?.judgement === undefined ? [] : [change.judgement]),
    await judgeOnHost(files, current, 'unit', `${name}.service`, unitPath(app, name)),
    await judgeOnHost(files, current, 'tmpfiles', `tmpfiles-${name}.conf`, tmpfilesPath(app, name)),
    await judgeConfig(files, current),
    await judgeHostFiles(files, current),
    ...(packaged === undefined ? [] : [packaged]),
    ...(rootfs ? [await judgeRootfs(app, current)] : []),
    ...(unit === undefined ? [] : [judgeEnabled(info, unit), judgeStarted(info, unit)]),
  ];
  return { judgements, service: describeService(unit), change: change?.living };
}

async function askService(app: App, name: ContainerName): Promise<UnitProperties> {
  return (await app.services.show([name], [...SERVICE_PROPERTIES, 'FragmentPath'])).get(name) ?? {};
}

function describeService(unit: UnitProperties | undefined): ServiceStatus | undefined {
  if (unit === undefined) return undefined;
  return {
    state: describeState(unit),
    enabled: unit['UnitFileState'] ?? '',
    dropIns: (unit['DropInPaths'] ?? '').split(' ').filter((path) => path !== ''),
  };
}

/** An open journal: somebody is at a change, or died over it. No lock is taken, so nobody is kept from anything. */
async function readChange(
  app: App,
  name: ContainerName,
): Promise<{ living: ContainerStatus['change']; judgement: Judgement | undefined } | undefined> {
  try {
    const journal = await readJournal(journalPath(app, name), app.files);
    if (journal === undefined) return undefined;
    const { pid, plan } = journal;
    if (await app.files.exists(`/proc/${pid}`))
      return { living: { pid, action: plan.action }, judgement: undefined };
    const found = `its ${plan.action} by process ${pid} was cut off`;
    return { living: undefined, judgement: drift('change', found, {}) };
  } catch (error) {
    if (!isAtomicError(error, 'store-invalid')) throw error;
    return { living: undefined, judgement: drift('change', messageOf(error), {}) };
  }
}
