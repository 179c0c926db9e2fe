import { mkdtemp } from 'node:fs/promises';
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
    const described = describeDiskFull(error, parent, TEMP_SPACE_HINT);
    if (described !== error) throw described;
    throw new AtomicError('file-exists', `Cannot make a temp folder in ${parent}: ${fileProblemOf(error)}`, {
      cause: error,
      hint: 'Name a folder that can be written in TMPDIR.',
    });
  });
}
