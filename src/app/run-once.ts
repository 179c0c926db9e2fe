import { join } from 'node:path';
import type { Runtime } from '../service/oci-runtime.ts';
import type { App } from './context.ts';
import type { StagedDeployment } from './stage-deployment.ts';

/**
 * Runs an image that is meant to run once (label `atomic.run=once`): in its staged bundle, on our terminal, with its
 * tmpfiles made for that time.
 * @returns the container's exit status
 */
export async function runOnce(app: App, staged: StagedDeployment, runtime: Runtime): Promise<number> {
  const tmpfiles = staged.tmpfiles === undefined ? undefined : join(staged.stagedAt, staged.tmpfiles.path);
  if (tmpfiles !== undefined) await app.services.tmpfilesCreate(tmpfiles);
  try {
    return await app.exec.attach(runtime.path, ['run', staged.name], { cwd: staged.stagedAt });
  } finally {
    if (tmpfiles !== undefined) await app.services.tmpfilesRemove(tmpfiles);
  }
}
