import { pipeline } from 'node:stream';
import { AtomicError, isAtomicError } from '../../errors.ts';
import type { Digest } from '../../image/digest.ts';
import { VerifyStream } from '../../stream/verify.ts';
import type { Archive, ArchiveFile } from './open-archive.ts';
import type { TarWriter } from './tar-writer.ts';

/**
 * Copies a member out of one archive into another, under a name of its own.
 * @throws AtomicError `archive-invalid` when it is not what its digest says
 */
export async function copyMember(
  archive: Archive,
  file: ArchiveFile,
  digest: Digest,
  name: string,
  add: TarWriter['add'],
): Promise<void> {
  const verified = new VerifyStream({ digest, size: file.size, what: `the member ${file.name}` });
  const bytes = archive.stream(file);
  // Its outcome is that of `verified`.
  pipeline(bytes, verified, () => undefined);
  try {
    await add(name, file.size, verified);
  } catch (error) {
    if (!isAtomicError(error, 'digest-mismatch')) throw error;
    throw new AtomicError('archive-invalid', `${archive.path} is damaged: ${error.message}`, {
      cause: error,
      hint: 'Write to another file.',
    });
  } finally {
    bytes.destroy();
  }
}
