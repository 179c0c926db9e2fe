/** What is left of a deployment that did not come up. */
import { join } from 'node:path';
import { messageOf } from '../../errors.ts';
import type { HostFiles } from '../../host/ports.ts';
import { makeOwnFolder, moveAndSync, removeAndSync, removeTreeAndSync } from '../durable.ts';
import { captureNothing, doNothing, type Of } from './handler.ts';

/** Where a deployment that did not come up is kept for a look. */
export const FAILED_TREE = 'deployment';
export const FAILED_REPORT = 'failure.json';

/**
 * Undone last, once everything is as it was: the tree that was staged and did not come up moves to where it can be
 * looked at, and the report is written. Cut off anywhere, it is begun again by the next recovery. A disk without space
 * keeps nothing, and is no reason to leave the change open.
 */
export const keepFailed: Of<'keep-failed'> = {
  capture: captureNothing,
  apply: doNothing,
  undo: async ({ staged, to, ...about }, _before, { files, report, failure }) => {
    if (failure === undefined) return;
    const tree = join(to, FAILED_TREE);
    try {
      if (staged === undefined) await removeTreeAndSync(files, tree);
      else if (await files.exists(staged)) {
        await removeTreeAndSync(files, to);
        await makeOwnFolder(files, to);
        await moveAndSync(files, staged, tree);
      } else if (!(await files.exists(tree))) return;
      await makeOwnFolder(files, to);
      const { action, image, digest, deployment } = about;
      await writeReport(
        join(to, FAILED_REPORT),
        { ...failure, action, image, digest, deployment: staged === undefined ? deployment : tree },
        files,
      );
    } catch (error) {
      await removeTreeAndSync(files, to);
      report({
        event: 'warning',
        text: `The deployment that failed could not be kept: ${messageOf(error)}`,
      });
    }
  },
};

async function writeReport(path: string, content: object, files: HostFiles): Promise<void> {
  const temporary = `${path}.new`;
  await removeAndSync(files, temporary);
  await files.createFile(temporary, `${JSON.stringify(content, undefined, 4)}\n`, 0o600);
  await moveAndSync(files, temporary, path);
}
