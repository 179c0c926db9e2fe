import { createRuntimeContainers } from '../service/oci-runtime.ts';
import { withoutWaitingAtBoot } from '../service/booting.ts';
import { collectGarbage } from '../store/collect-garbage.ts';
import type { StepContext } from '../transaction/context.ts';
import type { App } from './context.ts';

/** What the steps of a change may touch. */
export function stepContext(app: App): StepContext {
  return {
    files: app.files,
    services: app.services,
    containers: createRuntimeContainers(app.exec),
    store: { collectGarbage: (repository) => collectGarbage(app.exec, repository) },
    report: app.report,
    signal: app.signal,
  };
}

/** The same for the end of a change that was cut off, which may come while the host boots. */
export function recoveryContext(app: App): StepContext {
  return { ...stepContext(app), services: withoutWaitingAtBoot(app.services) };
}
