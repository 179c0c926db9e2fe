/**
 * The steps that change refs of the image store. Until it is certain, what a ref was waits in the repo, on its file system
 * and where it is no ref: so it can come back on a full disk.
 */
import { join } from 'node:path';
import type { Step } from '../transaction/plan.ts';
import type { App } from './context.ts';

/** @param index tells it from the other refs of the change */
export function removeRef(app: App, ref: string, index: number): Step {
  return { kind: 'remove-ref', ref, ...placesOf(app, ref, index) };
}

/** @param index tells it from the other refs of the change */
export function setRef(app: App, ref: string, commit: string, index: number): Step {
  return { kind: 'set-ref', ref, commit, ...placesOf(app, ref, index) };
}

function placesOf({ store, paths }: App, ref: string, index: number): { path: string; aside: string } {
  return {
    path: store.repository.refPath(ref),
    aside: join(paths.repository, 'extensions/atomic-ts/removed-refs', String(index)),
  };
}
