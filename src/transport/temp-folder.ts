import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { mkdtemp, open, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { AtomicError, describeDiskFull, fileProblemOf, TEMP_SPACE_HINT } from '../errors.ts';

/** What decides where bytes wait that are converted or unpacked, and until when anybody waits for that. */
export interface TempSpace {
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly signal?: AbortSignal | undefined;
}

/** `$TMPDIR`; without it not in memory, as /tmp may be. */
export function tempFolderOf({ environment = {} }: TempSpace): string {
  return environment['TMPDIR'] || '/var/tmp';
}

/**
 * A new private folder (mode 0700) in the temp folder.
 * @param prefix of its name
 * @throws AtomicError `file-exists` when there can be none, `disk-full`
 */
export async function makeTempFolder(space: TempSpace, prefix: string): Promise<string> {
  const parent = tempFolderOf(space);
  return mkdtemp(join(parent, prefix)).catch((error: unknown) => {
    throw unwritable(error, 'folder', parent);
  });
}

/**
 * A new file that only its handle leads to, so that nothing of it outlives us, however we end.
 * @throws AtomicError `disk-full`; `file-exists` when there can be none in that folder
 */
export async function openNameless(folder: string): Promise<FileHandle> {
  const path = join(folder, `atomic-ts-${randomUUID()}`);
  const { O_RDWR, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  const file = await open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600).catch((error: unknown) => {
    throw unwritable(error, 'file', folder);
  });
  await rm(path);
  return file;
}

function unwritable(error: unknown, kind: 'file' | 'folder', parent: string): unknown {
  const described = describeDiskFull(error, parent, TEMP_SPACE_HINT);
  if (described !== error) return described;
  return new AtomicError('file-exists', `Cannot make a temp ${kind} in ${parent}: ${fileProblemOf(error)}`, {
    cause: error,
    hint: 'Name a folder that can be written in TMPDIR.',
  });
}
