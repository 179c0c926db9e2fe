/** The steps that take images out of the store. */
import { dirname } from 'node:path';
import { makeOwnFolder, moveAndSync, removeAndSync } from '../durable.ts';
import { captureNothing, doNothing, type Of } from './handler.ts';

export const removeRef: Of<'remove-ref'> = {
  capture: async ({ aside }, { files }) => {
    await removeAndSync(files, aside);
    return null;
  },
  apply: async ({ path, aside }, { files }) => {
    if (!(await files.exists(path))) return;
    await makeOwnFolder(files, dirname(aside));
    await moveAndSync(files, path, aside);
  },
  // An import may have come in between a death and its repair: its ref is as good.
  undo: async ({ path, aside }, _before, { files }) => {
    if (await files.exists(path)) await removeAndSync(files, aside);
    else if (await files.exists(aside)) await moveAndSync(files, aside, path);
    await removeAndSync(files, dirname(aside));
  },
  clean: async ({ aside }, _before, { files }) => {
    await removeAndSync(files, aside);
    // The folder of those that wait, once it is empty.
    await removeAndSync(files, dirname(aside));
  },
};

export const collectGarbage: Of<'collect-garbage'> = {
  capture: captureNothing,
  apply: doNothing,
  undo: doNothing,
  clean: ({ repository }, _before, { store }) => store.collectGarbage(repository),
};
