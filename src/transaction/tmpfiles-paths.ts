import { dirname } from 'node:path';
import type { HostFiles } from '../host/ports.ts';
import { OWN_JSON_BYTES } from '../limits.ts';

/**
 * The folders and files that `systemd-tmpfiles --create` of this configuration would make, outermost first: paths that
 * are not there now. A way back removes them with their content.
 * @see tmpfiles.d(5)
 */
export async function missingTmpfilesPaths(path: string, files: HostFiles): Promise<string[]> {
  const text = (await files.readIfExists(path, OWN_JSON_BYTES))?.toString('utf8') ?? '';
  const missing = new Set<string>();
  for (const line of text.split('\n')) {
    const target = createdPath(line);
    for (let at = target; at !== undefined && at !== '/'; at = dirname(at)) {
      if (missing.has(at) || (await files.exists(at))) break;
      missing.add(at);
    }
  }
  return [...missing].sort();
}

/** The path of a line that creates something; undefined for any other line, and for a path with specifiers. */
function createdPath(line: string): string | undefined {
  const match = /^\s*[dDvqQfFpLcbC][+!\-=~^$?]*\s+(?:"((?:[^"\\]|\\.)*)"|(\S+))/.exec(line);
  const path = match?.[1] ?? match?.[2];
  return path?.startsWith('/') === true && !/[%\\]/.test(path) ? path.replace(/(?<=.)\/+$/, '') : undefined;
}
