import { createReadStream } from 'node:fs';
import { AtomicError, fileProblemOf, isAtomicError, systemCodeOf } from '../errors.ts';
import { CONFIG_FILE_BYTES } from '../limits.ts';
import { readAll } from '../stream/read-all.ts';

/** What to do about a file or folder that is there and cannot be read. */
export const UNREADABLE_HINT = 'Check whose it is, and who may read it.';

/**
 * Reads a configuration file of the host whole; undefined when there is none.
 * @param what subject of the error's sentence: "the credentials file /root/.docker/config.json".
 * @throws AtomicError `config-invalid` when it cannot be read, `limit-exceeded` past CONFIG_FILE_BYTES
 */
export async function readConfigFile(path: string, what: string): Promise<Buffer | undefined> {
  try {
    return await readAll(createReadStream(path), CONFIG_FILE_BYTES, what);
  } catch (error) {
    const code = systemCodeOf(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    if (isAtomicError(error)) throw error;
    throw new AtomicError('config-invalid', `${what} cannot be read: ${fileProblemOf(error)}`, {
      hint: UNREADABLE_HINT,
      cause: error,
    });
  }
}
