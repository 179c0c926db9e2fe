import { AtomicError } from '../errors.ts';
import { createRuntimeContainers } from '../service/oci-runtime.ts';
import { createPackageManager } from '../rpm/manage.ts';
import { withoutWaitingAtBoot } from '../service/booting.ts';
import { collectGarbage } from '../store/collect-garbage.ts';
import type { StepContext } from '../transaction/context.ts';
import type { App } from './context.ts';

/** What a change has of its own: who runs a container on the terminal, and what ends the change before its time. */
export interface Special {
  readonly signal: AbortSignal;
  readonly run: StepContext['containers']['run'];
}

/** What the steps of a change may touch. */
export function stepContext(app: App, special?: Special): StepContext {
  const notPlanned = (): never => {
    throw new AtomicError('internal', 'This change runs no container on the terminal');
  };
  return {
    files: app.files,
    services: app.services,
    containers: { ...createRuntimeContainers(app.exec), run: special?.run ?? notPlanned },
    store: { collectGarbage: (repository) => collectGarbage(app.exec, repository) },
    packages: createPackageManager(app.exec, app.files),
    report: app.report,
    signal: special?.signal ?? app.signal,
  };
}

/** The same for the end of a change that was cut off, which may come while the host boots. */
export function recoveryContext(app: App): StepContext {
  return { ...stepContext(app), services: withoutWaitingAtBoot(app.services) };
}
