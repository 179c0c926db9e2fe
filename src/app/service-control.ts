/** Starting and stopping what is installed. */
import { AtomicError, isAtomicError } from '../errors.ts';
import type { ContainerName } from '../container/name.ts';
import { carryOut, requireRoot, withContainerLock } from './change.ts';
import { unableToFind } from './containers.ts';
import type { App } from './context.ts';
import { findInstalled } from './find-installed.ts';
import type { InstalledContainer } from './preinstalled.ts';
import { start } from './plan-change.ts';

export interface ServiceOutcome {
  readonly name: ContainerName;
  /** Whether it was in that state already. */
  readonly unchanged: boolean;
}

/**
 * Starts a container's service; one that runs is left alone.
 * @throws AtomicError `service-failed` when it does not stay up; it is down then, as it was before
 */
export async function startContainer(
  app: App,
  name: ContainerName,
  settleMs: number,
): Promise<ServiceOutcome> {
  requireRoot(app, 'start a system container');
  return withContainerLock(app, name, async () => {
    const { info } = await getServiceOf(app, name);
    if ((await app.services.state(name)).active) return { name, unchanged: true };
    const settling = { settleMs, runtime: info.runtime, check: info.healthCheck };
    try {
      await carryOut(app, { action: 'start', container: name, steps: start(name, true, settling) });
    } catch (error) {
      throw isAtomicError(error, 'service-failed') ? startFailed(name, error) : error;
    }
    return { name, unchanged: false };
  });
}

/** What to do about it is another thing than with an image that is being installed. */
function startFailed(name: ContainerName, error: AtomicError): AtomicError {
  const failed = new AtomicError(error.code, error.message, {
    cause: error,
    hint: `It is down again. atomic-ts containers update ${name} changes its values (--set) or its health check.`,
    ...(error.details === undefined ? {} : { details: error.details }),
  });
  for (const sentence of error.trouble) failed.addTrouble(sentence);
  return failed;
}

/** Stops a container's service; one that is down is left alone. */
export async function stopContainer(app: App, name: ContainerName): Promise<ServiceOutcome> {
  requireRoot(app, 'stop a system container');
  return withContainerLock(app, name, async () => {
    await getServiceOf(app, name);
    if (!(await app.services.state(name)).active) return { name, unchanged: true };
    await carryOut(app, { action: 'stop', container: name, steps: [{ kind: 'stop', unit: name }] });
    return { name, unchanged: false };
  });
}

/** @throws AtomicError `container-not-found`; `unsupported` for a container that has no service */
async function getServiceOf(app: App, name: ContainerName): Promise<InstalledContainer> {
  const container = await findInstalled(app, name);
  if (container === undefined) throw unableToFind(name);
  if (container.info.hasContainerService) return container;
  throw new AtomicError('unsupported', `The container ${name} has no service: its image only brings files`);
}
