import { isAtomicError, type AtomicError } from '../errors.ts';
import { hexOf } from '../image/digest.ts';
import type { ContainerName } from '../container/name.ts';
import { requireRoot } from './change.ts';
import { findContainer, listContainers } from './containers.ts';
import type { App } from './context.ts';
import { updateContainer, type UpdateOutcome, type UpdateRequest } from './update.ts';

/** atomic's words: now; already; its new deployment did not come up; anything else went wrong; its image is gone. */
export type UpdateStatus = 'Updated now' | 'Updated' | 'Not updated' | 'Failed' | 'Unknown';

export interface UpdateResult {
  readonly name: ContainerName;
  /** Hex of manifest digests; empty where none was recorded. */
  readonly before: string;
  readonly after: string;
  /** What the local storage has under the name of its image. */
  readonly latest: string | undefined;
  readonly status: UpdateStatus;
  readonly error: AtomicError | undefined;
}

/**
 * Updates one container after the other, each in a transaction of its own; one that fails keeps none of the others.
 * @param tell gets each outcome, or error, at its time
 * @throws AtomicError `interrupted`, and whatever is no error of ours
 */
export async function updateAll(
  app: App,
  request: Omit<UpdateRequest, 'name' | 'set' | 'rebase'>,
  tell: (outcome: UpdateOutcome | AtomicError) => void,
): Promise<UpdateResult[]> {
  requireRoot(app, 'update system containers');
  const results: UpdateResult[] = [];
  for (const { name, current } of await listContainers(app)) {
    app.report({ event: 'step', text: `Checking container ${name}...` });
    let failure: AtomicError | undefined;
    try {
      tell(await updateContainer(app, { ...request, name, set: {}, rebase: undefined }));
    } catch (error) {
      if (!isAtomicError(error) || app.signal.aborted) throw error;
      tell(error);
      failure = error;
    }
    const before = current.info.revision ?? '';
    results.push(await judge(app, name, before, failure));
  }
  return results;
}

async function judge(
  app: App,
  name: ContainerName,
  before: string,
  error: AtomicError | undefined,
): Promise<UpdateResult> {
  const info = (await findContainer(app, name))?.current.info;
  const after = info?.revision ?? '';
  const image = info === undefined ? undefined : await app.store.find(info.image);
  const latest = image === undefined ? undefined : hexOf(image.digest);
  return { name, before, after, latest, status: statusOf({ before, after, latest, error }), error };
}

export function statusOf({
  before,
  after,
  latest,
  error,
}: Pick<UpdateResult, 'before' | 'after' | 'latest' | 'error'>): UpdateStatus {
  // One that did not come up was taken back in good order, which atomic does not call a failure.
  if (error !== undefined) return error.code === 'update-failed' ? 'Not updated' : 'Failed';
  if (latest === undefined) return 'Unknown';
  if (after !== latest) return 'Not updated';
  return before === latest ? 'Updated' : 'Updated now';
}
