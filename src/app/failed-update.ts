/** Updates that did not come up: how they are told of, and what is kept of them. */
import { join } from 'node:path';
import type { ContainerName } from '../container/name.ts';
import { AtomicError, isAtomicError } from '../errors.ts';
import { parseJson, isRecord } from '../image/json.ts';
import { OWN_JSON_BYTES } from '../limits.ts';
import type { Plan } from '../transaction/plan.ts';
import { FAILED_REPORT } from '../transaction/steps/failed.ts';
import { carryOut } from './change.ts';
import type { App } from './context.ts';
import { failedFolder, failedPath } from './layout.ts';

/** What is known of the last update of a container that failed. */
export interface FailedUpdate {
  readonly image: string;
  /** ISO 8601. */
  readonly time: string;
  readonly reason: string;
  /** The folder to look at. */
  readonly path: string;
}

/**
 * Carries out the plan of an update or a rollback.
 * @throws AtomicError `update-failed` when the new deployment's service did not come up; all is undone then
 */
export async function carryOutSwitch(app: App, plan: Plan, goal: string): Promise<void> {
  try {
    await carryOut(app, plan);
  } catch (error) {
    if (!isAtomicError(error, 'service-failed')) throw error;
    const back = error.trouble.length === 0 ? '; the deployment before it runs again' : '';
    const message = `${goal} failed and was undone: ${lower(error.message)}${back}`;
    const hint = (await describeKept(app, plan)) ?? error.hint;
    const failed = new AtomicError('update-failed', message, {
      ...(error.details === undefined ? {} : { details: error.details }),
      ...(hint === undefined ? {} : { hint }),
      cause: error,
    });
    for (const sentence of error.trouble) failed.addTrouble(sentence);
    throw failed;
  }
}

/** Where to look; undefined when a full disk has kept nothing. */
async function describeKept(app: App, { steps }: Plan): Promise<string | undefined> {
  const step = steps.find(({ kind }) => kind === 'keep-failed');
  if (step?.kind !== 'keep-failed' || !(await app.files.exists(join(step.to, FAILED_REPORT))))
    return undefined;
  return step.staged === undefined
    ? `What did not start is in ${step.deployment}, and ${step.to} tells why.`
    : `What did not start is kept in ${step.to} for a look. Mend it, and update again.`;
}

/** `The service web did not start: …` behind a colon. */
function lower(sentence: string): string {
  return sentence.slice(0, 1).toLowerCase() + sentence.slice(1);
}

/** Names of containers whose last update failed; where we may not look, there are none. */
export async function listFailed(app: App): Promise<ReadonlySet<string>> {
  try {
    return new Set(await app.files.list(failedFolder(app)));
  } catch (error) {
    if (isAtomicError(error, 'not-root')) return new Set();
    throw error;
  }
}

/** What is kept of a container's failed update; undefined for nothing that can be read. */
export async function readFailed(app: App, name: ContainerName): Promise<FailedUpdate | undefined> {
  const path = failedPath(app, name);
  const file = join(path, FAILED_REPORT);
  const bytes = await app.files.readIfExists(file, OWN_JSON_BYTES);
  if (bytes === undefined) return undefined;
  const report = parseJson(bytes, `The file ${file}`, 'store-invalid');
  if (!isRecord(report)) return undefined;
  const text = (key: string): string => (typeof report[key] === 'string' ? report[key] : '');
  return { image: text('image'), time: text('time'), reason: text('reason'), path };
}
