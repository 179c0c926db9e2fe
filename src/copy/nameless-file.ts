import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { open, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { AtomicError, describeDiskFull, fileProblemOf, TEMP_SPACE_HINT } from '../errors.ts';

/**
 * A new file that only its handle leads to, so that nothing of it outlives us, however we end.
 * @throws AtomicError `disk-full`; `file-exists` when there can be none in that folder
 */
export async function openNameless(folder: string): Promise<FileHandle> {
  const path = join(folder, `atomic-ts-${randomUUID()}`);
  const { O_RDWR, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  const file = await open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600).catch((error: unknown) => {
    throw unwritable(error, folder);
  });
  await rm(path);
  return file;
}

function unwritable(error: unknown, folder: string): unknown {
  const described = describeDiskFull(error, folder, TEMP_SPACE_HINT);
  if (described !== error) return described;
  return new AtomicError('file-exists', `Cannot make a temp file in ${folder}: ${fileProblemOf(error)}`, {
    cause: error,
    hint: 'Name a folder that can be written in TMPDIR.',
  });
}
