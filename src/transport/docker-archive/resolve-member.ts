import { posix } from 'node:path';
import { AtomicError } from '../../errors.ts';
import type { Archive, ArchiveFile } from '../archive/open-archive.ts';

/** Links followed for one member; Docker writes links to files, never to links. */
const HOPS = 8;

/**
 * A regular member, through the links that older versions of Docker write between layers with the same content.
 * A target is only ever looked up among the archive's own names.
 * @throws AtomicError `archive-invalid` when nothing is there, for a link out of the archive and for a ring of links
 */
export function resolveMember(archive: Archive, wanted: string): ArchiveFile {
  let name = posix.normalize(wanted);
  for (let hop = 0; hop <= HOPS; hop++) {
    const member = archive.members.get(name);
    if (member?.kind !== 'symlink') {
      const file = archive.find(name);
      if (file !== undefined) return file;
      throw new AtomicError('archive-invalid', `${archive.path} has no member ${JSON.stringify(name)}`);
    }
    const target = posix.join(posix.dirname(name), member.target);
    if (member.target.startsWith('/') || target === '..' || target.startsWith('../')) {
      throw new AtomicError('archive-invalid', `${archive.path} has the link ${name} out of the archive`);
    }
    name = target;
  }
  throw new AtomicError(
    'archive-invalid',
    `${archive.path} has links in a ring at ${JSON.stringify(wanted)}`,
  );
}
