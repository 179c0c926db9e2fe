/** The steps that name images of the store, and take them out of it. */
import { dirname } from 'node:path';
import type { HostFiles } from '../../host/ports.ts';
import { besideNew } from '../beside.ts';
import { keepBeside, makeOwnFolder, moveAndSync, putBack, removeAndSync } from '../durable.ts';
import { as, captureNothing, doNothing, type Of } from './handler.ts';

/** A checksum and the end of its line. */
const REF_BYTES = 1024;

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
  clean: ({ aside }, _before, { files }) => forget(aside, files),
};

export const setRef: Of<'set-ref'> = {
  capture: async ({ path, aside }, { files }) => {
    await removeAndSync(files, aside);
    // In the folder of those that wait: among refs ostree would take it for one.
    return { temporary: besideNew(aside), existed: await files.exists(path) };
  },
  apply: async ({ path, commit, aside }, { files }, before) => {
    const { temporary = besideNew(aside), existed } = as<SetRef>(before);
    await makeOwnFolder(files, dirname(aside));
    if (existed === true) await keepBeside(files, path, aside);
    await files.createFile(temporary, `${commit}\n`, 0o644);
    await moveAndSync(files, temporary, path);
  },
  undo: async ({ path, commit, aside }, before, { files }) => {
    const { temporary, existed } = as<SetRef>(before);
    if (temporary !== undefined) await removeAndSync(files, temporary);
    const content = await files.readIfExists(path, REF_BYTES);
    // Another image may have got the name between a death and its repair: it keeps it.
    if (content?.toString('latin1').trim() === commit) {
      if (existed === true) await putBack(files, path, aside);
      else await removeAndSync(files, path);
    }
    await forget(aside, files);
  },
  clean: ({ aside }, _before, { files }) => forget(aside, files),
};

interface SetRef {
  readonly temporary: string;
  readonly existed: boolean;
}

/** Removes what waited, and the folder of those that wait once it is empty. */
async function forget(aside: string, files: HostFiles): Promise<void> {
  await removeAndSync(files, aside);
  await removeAndSync(files, dirname(aside));
}

export const collectGarbage: Of<'collect-garbage'> = {
  capture: captureNothing,
  apply: doNothing,
  undo: doNothing,
  clean: ({ repository }, _before, { store }) => store.collectGarbage(repository),
};
