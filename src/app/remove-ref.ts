import { join } from 'node:path';
import type { Step } from '../transaction/plan.ts';
import type { App } from './context.ts';

/**
 * The step that takes a ref out of the image store. Until it is certain the ref waits in the repo, on its file system and
 * where it is no ref: so it can come back on a full disk.
 * @param index tells it from the other refs of the change
 */
export function removeRef({ store, paths }: App, ref: string, index: number): Step {
  return {
    kind: 'remove-ref',
    ref,
    path: store.repository.refPath(ref),
    aside: join(paths.repository, 'extensions/atomic-ts/removed-refs', String(index)),
  };
}
