/** What every change of a container has in common: its lock, the end of an earlier one that was cut off, its transaction. */
import { join } from 'node:path';
import { AtomicError } from '../errors.ts';
import type { ContainerName } from '../container/name.ts';
import { applyPlan } from '../transaction/apply.ts';
import { describeSteps, type Plan } from '../transaction/plan.ts';
import type { App } from './context.ts';
import {
  failedPath,
  journalFolder,
  linkPath,
  stagingFolder,
  tmpfilesPath,
  trashPath,
  unitPath,
} from './layout.ts';
import type { PreviewFile } from './host-files.ts';
import type { Places, Present } from './plan-change.ts';
import { lockOf, recoverAndTell, removeLeftovers } from './recover.ts';
import type { StagedDeployment } from './stage-deployment.ts';
import { stepContext, type Special } from './step-context.ts';

/** Seconds that a service has to stay up after its start before a change counts as done. */
export const SETTLE_SECONDS = 5;

/** What a change would do, as `--dry-run` gives it. */
export interface Preview {
  readonly name: ContainerName;
  readonly image: string;
  readonly digest: string;
  readonly files: readonly PreviewFile[];
  readonly steps: readonly string[];
}

export function placesOf(app: App, name: ContainerName): Places {
  return {
    name,
    link: linkPath(app, name),
    unit: unitPath(app, name),
    tmpfiles: tmpfilesPath(app, name),
    trash: (what) => trashPath(app, name, what),
    failed: failedPath(app, name),
  };
}

/** Whether the container's unit and tmpfiles configuration are on the host, and its service runs. */
export async function readPresent(
  app: App,
  name: ContainerName,
): Promise<Omit<Present, 'hostFilesToRemove' | 'package'>> {
  const places = placesOf(app, name);
  const hasUnit = await app.files.exists(places.unit);
  return {
    hasUnit,
    hasTmpfiles: await app.files.exists(places.tmpfiles),
    hasFailed: await app.files.exists(places.failed),
    active: hasUnit && (await app.services.state(name)).active,
  };
}

/** @throws AtomicError `not-root` */
export function requireRoot(app: App, what: string): void {
  if (app.identity.uid === 0) return;
  throw new AtomicError(
    'not-root',
    `Cannot ${what}: system containers belong to root, and this is uid ${app.identity.uid}`,
    {
      hint: 'Run it as root, for example with sudo.',
    },
  );
}

/**
 * Holds a container's lock while `work` runs; before that, ends an earlier change that died with its process.
 * @throws AtomicError `busy` when another process is changing the container
 */
export async function withContainerLock<T>(
  app: App,
  name: ContainerName,
  work: () => Promise<T>,
): Promise<T> {
  const purpose = `change the container ${name}`;
  const lock = await app.locks.acquire({ ...lockOf(app, name, purpose), waitMs: app.lockWaitMs });
  try {
    await recoverAndTell(app, name);
    await removeLeftovers(app, name, stagingFolder(app));
    return await work();
  } finally {
    await lock.release();
  }
}

export async function carryOut(app: App, plan: Plan, special?: Special): Promise<void> {
  await applyPlan(plan, journalFolder(app), stepContext(app, special));
}

/** Every file that a plan would write, and its steps in words. */
export function previewOf(plan: Plan, staged: StagedDeployment): Preview {
  const octal = (mode: number): string => mode.toString(8).padStart(4, '0');
  const deployment = staged.files.map(({ path, mode, content }) => ({
    path: join(staged.path, path),
    mode: octal(mode),
    content,
  }));
  const host = plan.steps.flatMap((step) => {
    if (step.kind === 'create-file' || step.kind === 'replace-file') {
      return [{ path: step.path, mode: octal(step.mode), content: step.content }];
    }
    return [];
  });
  return {
    name: staged.name,
    image: staged.info.image,
    digest: staged.image.digest,
    files: [...deployment, ...host, ...staged.hostFiles.preview],
    steps: describeSteps(plan.steps),
  };
}
