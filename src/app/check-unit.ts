import { join } from 'node:path';
import { AtomicError } from '../errors.ts';
import { verifyUnit } from '../service/systemd.ts';
import type { App } from './context.ts';
import type { StagedDeployment } from './stage-deployment.ts';

/**
 * Lets systemd read a staged unit before the host has it.
 * @throws AtomicError `unit-invalid` with what systemd-analyze said
 */
export async function checkStagedUnit(app: App, { name, stagedAt, unit }: StagedDeployment): Promise<void> {
  if (unit === undefined) return;
  const problems = await verifyUnit(app.exec, join(stagedAt, unit.path));
  if (problems.length === 0) return;
  throw new AtomicError('unit-invalid', `The unit of ${name} is not one that systemd can run`, {
    details: problems.join('\n'),
    hint: 'Its template comes with the image: mend it there, or set its values with --set.',
  });
}
