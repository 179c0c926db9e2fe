import { open } from 'node:fs/promises';
import { systemCodeOf } from '../../errors.ts';
import type { JournalFile } from '../ports.ts';
import { fileError } from './file-error.ts';
import { alreadyExists } from './replace.ts';

export async function createJournal(path: string): Promise<JournalFile> {
  try {
    const file = await open(path, 'ax', 0o600);
    return {
      async append(line) {
        try {
          await file.writeFile(line);
          await file.datasync();
        } catch (error) {
          throw fileError(error, `write ${path}`);
        }
      },
      close: () => file.close(),
    };
  } catch (error) {
    if (systemCodeOf(error) === 'EEXIST') throw alreadyExists(path, error);
    throw fileError(error, `write ${path}`);
  }
}
