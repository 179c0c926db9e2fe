import { realpath, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Locks } from '../../host/ports.ts';
import { makeFolderToFill, type NewFolder } from '../../make-folder.ts';
import { createPartialFiles } from '../partial-files.ts';
import { streamTar } from './tar-stream.ts';
import type { TarWriter } from './tar-writer.ts';

/** A tar that is written beside its place, and takes it when it is whole. */
export interface ArchiveOutput {
  /** @throws what `bytes` failed with; AtomicError `disk-full` */
  readonly add: TarWriter['add'];
  /** Ends the archive, flushes it to the disk and puts it in place of what was there. */
  finish(): Promise<void>;
  /** Removes what was not finished. */
  close(): Promise<void>;
}

/**
 * @param locks tell later runs that this one lives
 * @throws AtomicError `disk-full`; the system's error when the folder cannot be written in
 */
export async function createArchiveOutput(target: string, locks?: Locks): Promise<ArchiveOutput> {
  const files = await createPartialFiles(dirname(target), undefined, locks);
  const tar = streamTar((bytes) => files.write(target, bytes));
  return {
    add: tar.add,
    finish: () => tar.finish(),
    async close() {
      await tar.giveUp();
      await files.remove();
    },
  };
}

/** Where an archive is to be written: a link to one stays a link. Makes the folder, until it is known to stay empty. */
export async function resolveTarget(path: string): Promise<NewFolder & { readonly target: string }> {
  const target = await realpath(path).catch(() => path);
  return { target, ...(await makeFolderToFill(dirname(target))) };
}

/** Whether something is there already; an empty file, as mktemp makes it, is nothing. */
export async function isThere(path: string): Promise<boolean> {
  const stats = await stat(path).catch(() => undefined);
  return stats !== undefined && !(stats.isFile() && stats.size === 0);
}
