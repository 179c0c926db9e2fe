/** The containers' part of a diagnosis. */
import type { ContainerName } from '../../container/name.ts';
import { isAtomicError } from '../../errors.ts';
import { listContainers } from '../containers.ts';
import type { App } from '../context.ts';
import type { Check } from '../diagnose.ts';
import { listPreinstalled } from '../preinstalled.ts';
import { readStatus, type InspectOptions } from './status.ts';

/** A line for each container: whether it is as it was recorded. Root alone can tell. */
export async function diagnoseContainers(app: App, options: InspectOptions): Promise<Check[]> {
  if (app.identity.uid !== 0) return [];
  const checks: Check[] = [];
  const names = [...(await listContainers(app)), ...(await listPreinstalled(app))].map(({ name }) => name);
  for (const name of new Set(names)) {
    app.report({ event: 'notice', text: `Checking the container ${name}` });
    checks.push(await checkContainer(app, name, options));
  }
  return checks;
}

async function checkContainer(app: App, container: ContainerName, options: InspectOptions): Promise<Check> {
  const name = `container ${container}`;
  try {
    const { change, drift, parts, preinstalled } = await readStatus(app, container, options);
    if (change !== undefined)
      return {
        name,
        status: 'ok',
        found: `process ${change.pid} is at its ${change.action} now`,
        advice: '',
      };
    if (!drift) return { name, status: 'ok', found: 'as it was recorded', advice: '' };
    const drifted = parts.filter(({ status }) => status === 'drift');
    return {
      name,
      status: 'drift',
      found: drifted.map((part) => `${part.name}: ${part.found}`).join('; '),
      advice: preinstalled
        ? `atomic-ts status ${container} tells more; it is part of the operating system, whose package manager can put it right.`
        : `atomic-ts status ${container} tells more, atomic-ts repair ${container} puts it right.`,
    };
  } catch (error) {
    if (!isAtomicError(error) || error.code === 'interrupted') throw error;
    return { name, status: 'warning', found: `cannot be judged: ${error.message}`, advice: error.hint ?? '' };
  }
}
