/** The file `config` of a repo: ostree.repo-config(5). */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemCodeOf } from '../errors.ts';
import { CONFIG_FILE_BYTES } from '../limits.ts';
import { withRegularFile } from './regular-file.ts';

/** Its text; empty where there is none. @throws AtomicError `store-invalid`, `limit-exceeded`; system errors */
export async function readRepositoryConfig(repository: string): Promise<string> {
  const path = join(repository, 'config');
  try {
    const where = { what: path, limit: CONFIG_FILE_BYTES, links: 'follow' } as const;
    return withRegularFile(path, where, (file) => readFileSync(file, 'utf8'));
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return '';
    throw error;
  }
}

/** The keys of the section [core]; of one that comes twice the last counts, as for GLib. */
export function parseCore(config: string): Map<string, string> {
  const keys = new Map<string, string>();
  let section = '';
  for (const line of config.split('\n').map((text) => text.trim())) {
    const header = /^\[(.*)\]$/.exec(line)?.[1];
    const [, key, value] = /^([^#=\s]+)\s*=\s*(.*)$/.exec(line) ?? [];
    if (header !== undefined) section = header;
    else if (section === 'core' && key !== undefined) keys.set(key, value ?? '');
  }
  return keys;
}
