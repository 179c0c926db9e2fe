import type { ContainerName } from '../container/name.ts';
import { describeSteps } from '../transaction/plan.ts';
import type { App } from './context.ts';
import { carryOut, placesOf, readPresent, requireRoot, withContainerLock } from './change.ts';
import { findContainer, findDeployments, unableToFind } from './containers.ts';
import { hostFilesToRemove } from './host-files.ts';
import { readDeployedPackage } from './package.ts';
import { planUninstall } from './plan-change.ts';
import { refusePreinstalled } from './preinstalled.ts';
import { refuseTenants } from './remote-rootfs.ts';

export interface UninstallOutcome {
  readonly name: ContainerName;
  readonly image: string;
  /** What was done, or would be. */
  readonly steps: readonly string[];
}

/**
 * Takes a container off the host: its service, its files, both deployments. Its image stays in the store, what it wrote
 * below STATE_DIRECTORY stays as well.
 * @param force also when another container has its root file system in one of them
 * @throws AtomicError `container-not-found`, `container-preinstalled`, `container-in-use`; on any other the container is as it was before
 */
export async function uninstallContainer(
  app: App,
  name: ContainerName,
  dryRun: boolean,
  force = false,
): Promise<UninstallOutcome> {
  requireRoot(app, 'uninstall a system container');
  return withContainerLock(app, name, async () => {
    const container = await findContainer(app, name);
    if (container === undefined) {
      await refusePreinstalled(app, 'uninstall', name);
      throw unableToFind(name);
    }
    const deployments = await findDeployments(app, name);
    if (!force) await refuseTenants(app, `uninstall ${name}`, deployments);
    const removal = await hostFilesToRemove(app, container.current.info);
    const former = await readDeployedPackage(app, name, container.current);
    const present = {
      ...(await readPresent(app, name)),
      hostFilesToRemove: removal.paths,
      package: former?.side,
    };
    const steps = planUninstall(placesOf(app, name), present, deployments, container.current.info.runtime);
    if (!dryRun) {
      await carryOut(app, { action: 'uninstall', container: name, steps });
      for (const text of [...removal.messages, ...(former?.messages ?? [])])
        app.report({ event: 'step', text });
    }
    return { name, image: container.current.info.image, steps: describeSteps(steps) };
  });
}
