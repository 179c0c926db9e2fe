import type { HeldLock } from '../host/ports.ts';
import type { App } from './context.ts';
import { storeLockPath } from './layout.ts';
import { lockOf, recoverAndTell } from './recover.ts';

/**
 * Keeps the image store from losing anything: for who adds layers to it or checks them out. Many may share it; one that
 * holds a container's lock may wait for it, and whoever holds it alone waits for no other lock.
 */
export function shareStore(app: App, purpose: string): Promise<HeldLock> {
  const { lockWaitMs: waitMs, signal } = app;
  return app.locks.acquire({ path: storeLockPath(app), mode: 'shared', purpose, waitMs, signal });
}

/**
 * Holds the image store alone while `work` runs, for who takes something out of it; before that, ends an earlier such
 * change that died with its process.
 * @throws AtomicError `busy`
 */
export async function withStoreAlone<T>(app: App, purpose: string, work: () => Promise<T>): Promise<T> {
  const lock = await app.locks.acquire({ ...lockOf(app, undefined, purpose), waitMs: app.lockWaitMs });
  try {
    await recoverAndTell(app, undefined);
    return await work();
  } finally {
    await lock.release();
  }
}
