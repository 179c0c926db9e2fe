import { join } from 'node:path';
import type { Runtime } from '../service/oci-runtime.ts';
import type { App } from './context.ts';
import { carryOut } from './change.ts';
import { planRun } from './plan-change.ts';
import type { StagedDeployment } from './stage-deployment.ts';

/**
 * Runs an image that is meant to run once (label `atomic.run=once`): in its staged bundle, on our terminal, with its
 * tmpfiles made for that time. A transaction like any other: what a run leaves that was killed with us, the next command
 * takes away.
 * @returns the container's exit status
 */
export async function runOnce(app: App, staged: StagedDeployment, runtime: Runtime): Promise<number> {
  app.signal.throwIfAborted();
  const { name, stagedAt } = staged;
  const tmpfiles = staged.tmpfiles === undefined ? undefined : join(stagedAt, staged.tmpfiles.path);
  const steps = planRun(name, { path: stagedAt, tmpfiles }, runtime.path);
  let exitCode = 0;
  await carryOut(
    app,
    { action: 'run', container: name, steps },
    {
      // The terminal's signals are the container's: how it ends is its own affair.
      signal: new AbortController().signal,
      run: async (program, container, folder) => {
        exitCode = await app.exec.attach(program, ['run', container], { cwd: folder });
      },
    },
  );
  return exitCode;
}
