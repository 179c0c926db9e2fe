import { isAtomicError } from '../errors.ts';
import type { App } from './context.ts';
import { journalFolder, mountsFolder } from './layout.ts';

/**
 * What every command begins with. Where nothing is open, it costs a look into two folders.
 *
 * Only root ends what is open; another user, who may seldom look there, is told.
 */
export async function endOpenChanges(app: App): Promise<void> {
  if (app.identity.uid === 0 && (await listFolder(app, mountsFolder(app))).length > 0) {
    const { endDeadMountsQuietly } = await import('./mount/dead-mounts.ts');
    await endDeadMountsQuietly(app);
  }
  if ((await listFolder(app, journalFolder(app))).length === 0) return;
  if (app.identity.uid === 0) {
    const { recoverOpenChanges } = await import('./recover.ts');
    await recoverOpenChanges(app);
  } else {
    app.report({
      event: 'notice',
      text: 'A change of this host is going on or was cut off; `atomic-ts repair`, run by root, tells which.',
    });
  }
}

async function listFolder(app: App, folder: string): Promise<string[]> {
  try {
    return await app.files.list(folder);
  } catch (error) {
    if (isAtomicError(error, 'not-root')) return [];
    throw error;
  }
}
