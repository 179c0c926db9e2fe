import { readdir } from 'node:fs/promises';
import { AtomicError, systemCodeOf } from '../errors.ts';

/** Names in a folder of the store, sorted; empty when there is none. @throws AtomicError `store-invalid` */
export async function listFolder(path: string): Promise<string[]> {
  try {
    return (await readdir(path)).sort();
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return [];
    throw new AtomicError('store-invalid', `Cannot list ${path}: ${systemCodeOf(error)}`, { cause: error });
  }
}
