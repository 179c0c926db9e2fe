import { join } from 'node:path';
import { AtomicError } from '../errors.ts';
import type { ContainerName } from '../container/name.ts';
import { OWN_JSON_BYTES } from '../limits.ts';
import type { App } from './context.ts';
import { placesOf, readPresent, requireRoot, withContainerLock } from './change.ts';
import { findContainer, readOtherDeployment, type Container, type Deployment } from './containers.ts';
import { hostFilesToRemove } from './host-files.ts';
import { openHostFiles } from './host-files-again.ts';
import { carryOutSwitch } from './failed-update.ts';
import { deploymentPath } from './layout.ts';
import { readDeployedPackage, readReturningPackage } from './package.ts';
import { planSwitch } from './plan-change.ts';
import { refusePreinstalled } from './preinstalled.ts';
import { requireTree } from './remote-rootfs.ts';

export interface RollbackOutcome {
  readonly name: ContainerName;
  readonly image: string;
  readonly digest: string | undefined;
  readonly deployment: string;
}

/**
 * Takes a container back to its other deployment, as that was: its files are put back as they lie there, not made anew.
 * @throws AtomicError `deployment-missing`; on any other the container is as it was before
 */
export async function rollBackContainer(
  app: App,
  name: ContainerName,
  settleMs: number,
): Promise<RollbackOutcome> {
  requireRoot(app, 'roll a system container back');
  return withContainerLock(app, name, async () => {
    app.report({ event: 'step', text: `Attempting to roll back system container: ${name}` });
    const container = await findContainer(app, name);
    if (container === undefined) await refusePreinstalled(app, 'roll back', name);
    const other = container === undefined ? undefined : await readOtherDeployment(app, container);
    if (container === undefined || other === undefined) {
      const place = container === undefined ? 0 : container.current.slot === 0 ? 1 : 0;
      throw new AtomicError(
        'deployment-missing',
        `Error: Cannot find a previous deployment to rollback located at ${deploymentPath(app, name, place)}`,
        { hint: 'A container has one after its first update.' },
      );
    }
    app.report({ event: 'step', text: `Rolling back container ${name} to the checkout at ${other.path}` });
    await requireTree(app, other.info);
    return switchBack(app, container, other, settleMs);
  });
}

async function switchBack(
  app: App,
  { name, current }: Container,
  other: Deployment,
  settleMs: number,
): Promise<RollbackOutcome> {
  const { path, info } = other;
  const removal = await hostFilesToRemove(app, current.info);
  const former = await readDeployedPackage(app, name, current);
  const leaving = [...removal.paths, ...(former?.intact ?? [])];
  const again = await openHostFiles(app, name, { path, place: path, info });
  try {
    const { files: hostFiles, messages } = await again.plan(leaving);
    for (const text of [...removal.messages, ...(former?.messages ?? []), ...messages])
      app.report({ event: 'step', text });
    const next = {
      path,
      unit: info.hasContainerService ? await readOwn(app, other, `${name}.service`) : undefined,
      tmpfiles: await readOwn(app, other, `tmpfiles-${name}.conf`),
      hostFiles,
      package: await readReturningPackage(app, name, other, leaving),
    };
    const present = {
      ...(await readPresent(app, name)),
      hostFilesToRemove: removal.paths,
      package: former?.side,
    };
    const { image, runtime, healthCheck } = info;
    const digest = info.manifestDigest ?? info.revision;
    const action = 'rollback';
    const steps = planSwitch(placesOf(app, name), present, next, {
      staged: undefined,
      settling: { settleMs, runtime, check: healthCheck },
      goal: { action, image, digest },
      // What has host files alone ran nothing in between.
      starts: !current.info.hasContainerService && info.started === true,
    });
    await carryOutSwitch(app, { action, container: name, steps }, `The rollback of ${name} to ${path}`);
    return { name, image, digest, deployment: path };
  } finally {
    await again.discard();
  }
}

async function readOwn(app: App, { path }: Deployment, file: string): Promise<string | undefined> {
  return (await app.files.readIfExists(join(path, file), OWN_JSON_BYTES))?.toString('utf8');
}
