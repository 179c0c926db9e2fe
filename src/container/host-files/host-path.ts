import { posix } from 'node:path';
import { AtomicError } from '../../errors.ts';
import { PATH_BYTES } from '../../limits.ts';

/**
 * A path on the host that an image asked for, in its plain form.
 * @param what subject of the error's sentence
 * @throws AtomicError `exports-invalid` when it is not absolute, has `..` or control characters, or is the root
 */
export function parseHostPath(path: string, what: string): string {
  const invalid = (found: string): AtomicError =>
    new AtomicError('exports-invalid', `${what} is ${JSON.stringify(path.slice(0, 200))}: ${found}`);
  if (!path.startsWith('/')) throw invalid('it is no absolute path');
  if (path.split('/').includes('..')) throw invalid('".." is not allowed');
  if (/[\u0000-\u001f\u007f]/.test(path)) throw invalid('it has control characters');
  if (Buffer.byteLength(path) > PATH_BYTES) throw invalid(`it has more than ${PATH_BYTES} bytes`);
  const plain = posix.normalize(path).replace(/\/$/, '');
  if (plain === '') throw invalid('it is the root folder');
  return plain;
}

/**
 * Where a path of /exports/hostfs goes on the host: each prefix of it, from the first component on, is looked up under
 * the name that it has by then.
 * @param renamed from manifest.json's renameFiles, with rendered names
 */
export function renamePath(path: string, renamed: Readonly<Record<string, string>>): string {
  let name = '';
  for (const part of path.split('/').slice(1)) {
    const next = `${name}/${part}`;
    name = Object.hasOwn(renamed, next) ? (renamed[next] ?? next) : next;
  }
  return name;
}
