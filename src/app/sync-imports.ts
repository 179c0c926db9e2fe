/** Imports do not wait for the disk; here they are made to, and what one lost with the machine's power is taken back. */
import type { LayerStore } from '../copy/import.ts';
import { collectGarbage } from '../store/collect-garbage.ts';
import {
  clearImportMark,
  dropUnsynced,
  listImportMarks,
  markImport,
  removeUnfinishedMarks,
} from '../store/import-mark.ts';
import { imageRef } from '../store/names.ts';
import type { App } from './context.ts';
import { journalFolder } from './layout.ts';

const BOOT_ID = '/proc/sys/kernel/random/boot_id';
const BOOT_ID_BYTES = 64;

/** An import whose bytes may not be on the disk yet. */
export interface MarkedImport {
  /** Waited for before its first ref is written: from then on the mark has to be there. */
  beforeVisible(): Promise<void>;
  /** Brings what was written to the disk and takes the mark away; may be called again. */
  end(): Promise<void>;
}

/**
 * Marks an import into the store. The mark is made while the first layer is fetched.
 * @param image its name, with the tag
 */
export function beginImport(app: App, image: string): MarkedImport {
  const marked = mark(app, image);
  // Whoever waits for it tells of its failure.
  marked.catch(() => undefined);
  let isVisible = false;
  let hasEnded = false;
  return {
    async beforeVisible() {
      await marked;
      isVisible = true;
    },
    async end() {
      if (hasEnded) return;
      hasEnded = true;
      const path = await marked.catch(() => undefined);
      const begun = new Date();
      if (isVisible) await app.files.syncFilesystem(journalFolder(app));
      if (path !== undefined) await clearImportMark(path, begun);
    },
  };
}

/**
 * Runs an import into the store, marked for as long as what it wrote may not be on the disk.
 * @param image its name, with the tag
 */
export async function importMarked<T>(
  app: App,
  image: string,
  work: (store: LayerStore, beforeVisible: () => Promise<void>) => Promise<T>,
): Promise<T> {
  const marked = beginImport(app, image);
  const beforeVisible = (): Promise<void> => marked.beforeVisible();
  const store: LayerStore = {
    findLayer: (digest) => app.store.findLayer(digest),
    importLayer: async (layer) => {
      const pending = await app.store.importLayer(layer);
      const publish = async (): Promise<void> => {
        await beforeVisible();
        await pending.publish();
      };
      const { entries, devicesLeftOut } = pending;
      return { entries, devicesLeftOut, publish, discard: () => pending.discard() };
    },
  };
  try {
    return await work(store, beforeVisible);
  } finally {
    await marked.end();
  }
}

async function mark(app: App, image: string): Promise<string> {
  const ref = imageRef(image);
  const previous = await app.store.repository.resolveRef(ref);
  return markImport(journalFolder(app), { pid: process.pid, boot: await readBoot(app), ref, previous });
}

/** Which boot of this machine it is. */
export async function readBoot(app: App): Promise<string> {
  return (await app.files.readIfExists(BOOT_ID, BOOT_ID_BYTES))?.toString('utf8').trim() ?? '';
}

/**
 * Ends the imports of dead processes. What they wrote in this boot is synced and stays; what an earlier boot wrote may
 * have been lost with its power and is taken back. The caller holds the store alone, so none of them lives.
 * @returns the refs that were taken back
 */
export async function endImports(app: App): Promise<string[]> {
  const marks = await listImportMarks(journalFolder(app));
  await removeUnfinishedMarks(journalFolder(app));
  if (marks.length === 0) return [];
  const boot = await readBoot(app);
  const lost = marks.filter((one) => one.boot !== boot);
  const { repository } = app.paths;
  const dropped = lost.length === 0 ? [] : await dropUnsynced(repository, lost);
  // An object without its bytes must not be taken for one that is there. Also where no ref is left to drop: whoever
  // dropped them may have died before this.
  if (lost.length > 0) await collectGarbage(app.exec, repository);
  const synced = new Date();
  await app.files.syncFilesystem(journalFolder(app));
  for (const { path } of marks) await clearImportMark(path, synced);
  return dropped;
}

export function describeLost(refs: readonly string[]): string {
  return `This host lost its power while images were pulled: ${refs.length} images, layers and configs are taken back; pull them again`;
}
