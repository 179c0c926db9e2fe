import { join } from 'node:path';
import { isAtomicError } from '../../errors.ts';
import type { LockRequest } from '../../host/ports.ts';
import type { App } from '../context.ts';
import { verifyFolder, verifyLockPath } from '../layout.ts';

/**
 * Gives `work` a folder of its own on the file system of the checkouts, and removes it. What processes that died have
 * left is removed first: whoever uses a folder shares a lock, so nobody does when it can be had alone.
 */
export async function withScratch<T>(app: App, work: (folder: string) => Promise<T>): Promise<T> {
  const request = { path: verifyLockPath(app), purpose: 'make a tree to compare with', signal: app.signal };
  await removeLeftovers(app, request);
  const lock = await app.locks.acquire({ ...request, mode: 'shared', waitMs: app.lockWaitMs });
  const folder = join(verifyFolder(app), String(process.pid));
  try {
    await app.files.makeDirectory(verifyFolder(app), 0o700);
    await app.files.makeDirectory(folder, 0o700);
    return await work(folder);
  } finally {
    await app.files.removeTree(folder);
    await lock.release();
  }
}

async function removeLeftovers(app: App, request: Pick<LockRequest, 'path' | 'purpose'>): Promise<void> {
  if ((await app.files.list(verifyFolder(app))).length === 0) return;
  try {
    const lock = await app.locks.acquire({ ...request, mode: 'exclusive', waitMs: 0 });
    try {
      for (const entry of await app.files.list(verifyFolder(app)))
        await app.files.removeTree(join(verifyFolder(app), entry));
    } finally {
      await lock.release();
    }
  } catch (error) {
    if (!isAtomicError(error, 'busy')) throw error;
  }
}
