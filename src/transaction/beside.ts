/** Names beside a file's own, on its file system and in its folder. */
import { createHash, randomBytes } from 'node:crypto';
import { basename, dirname } from 'node:path';

/** Of the 255 bytes that Linux allows a name, what ours leave for the file's. */
const NAME_BYTES = 200;

/**
 * Where a file waits that a change replaces or removes, until the change has ended well. A hidden name with this ending
 * is passed over by systemd, by systemd-tmpfiles and by whatever else reads the folders of /etc.
 */
export function besideOld(path: string): string {
  return `${dirname(path)}/.${shorten(basename(path))}.atomic-old`;
}

/** A name that no other step and no other process takes, for a file that gets its place when it is whole. */
export function besideNew(path: string): string {
  return `${dirname(path)}/.${shorten(basename(path))}.${randomBytes(4).toString('hex')}.atomic-new`;
}

function shorten(name: string): string {
  if (Buffer.byteLength(name) <= NAME_BYTES) return name;
  return createHash('sha256').update(name).digest('hex');
}
