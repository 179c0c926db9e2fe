/**
 * The end of a checkout whose layers have names that ostree cannot hold: what is stored under another name gets its own.
 * All layers are applied before, so that whiteouts, links and redirects only ever see stored names.
 */
import {
  lchownSync,
  lstatSync,
  readdirSync,
  readlinkSync,
  renameSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs';
import { AtomicError } from '../errors.ts';
import { lstatIfThere } from '../tree/resolve.ts';
import { rawName, rawPath } from '../stream/tar/stored-name.ts';

/**
 * Renames what is stored under another name, and makes links anew whose target has such a name.
 * @throws AtomicError `layer-invalid` when a name is taken: only a layer that another tool imported can bring that about
 */
export function restoreNames(root: string): void {
  restoreIn(Buffer.from(root));
}

function restoreIn(directory: Buffer): void {
  const stored: string[] = [];
  for (const entry of readdirSync(directory, { encoding: 'buffer', withFileTypes: true })) {
    const name = Buffer.from(entry.name).toString('latin1');
    if (entry.isDirectory()) restoreIn(within(directory, name));
    else if (entry.isSymbolicLink()) restoreTarget(within(directory, name));
    if (rawName(name) !== name) stored.push(name);
  }
  // One name may be what another is stored under, which is longer: the shorter makes way first.
  for (const name of stored.sort((a, b) => a.length - b.length)) {
    renameToFree(within(directory, name), within(directory, rawName(name)));
  }
}

/** The link is a hard link to the repo's: a new one takes its place. */
function restoreTarget(path: Buffer): void {
  const stored = readlinkSync(path, { encoding: 'buffer' }).toString('latin1');
  const target = rawPath(stored);
  if (target === stored) return;
  const { uid, gid } = lstatSync(path);
  unlinkSync(path);
  symlinkSync(Buffer.from(target, 'latin1'), path);
  lchownSync(path, uid, gid);
}

function renameToFree(from: Buffer, to: Buffer): void {
  if (lstatIfThere(to) !== undefined) {
    throw new AtomicError(
      'layer-invalid',
      `${JSON.stringify(from.toString('latin1'))} stands for a name that is taken`,
    );
  }
  renameSync(from, to);
}

function within(directory: Buffer, name: string): Buffer {
  return Buffer.concat([directory, Buffer.from('/'), Buffer.from(name, 'latin1')]);
}
