import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AtomicError, isAtomicError, systemCodeOf } from '../errors.ts';
import type { ImageReference } from '../image/reference.ts';
import { openArchive } from './archive/open-archive.ts';
import type { TempSpace } from './temp-folder.ts';

/**
 * The error of an image that is not where a path leads, with what there is instead: nothing, or an image of another
 * transport. Everything else unchanged.
 * @throws the signal's reason
 */
export async function adviseTransport(
  reference: ImageReference,
  error: unknown,
  space: TempSpace = {},
): Promise<unknown> {
  if (!('path' in reference) || !isAtomicError(error, 'image-not-found', 'archive-invalid')) return error;
  const { path, transport } = reference;
  const found = await recognise(path, space).catch(() => undefined);
  space.signal?.throwIfAborted();
  if (found === undefined || found === transport) return error;
  const hint =
    found === 'nothing' || found === 'no image'
      ? HINTS[found]
      : `There is an image of another kind: write it ${found}:${path}`;
  return new AtomicError(error.code, error.message, { hint, cause: error });
}

const HINTS = {
  nothing: 'Nothing is there: check the path.',
  'no image': 'What is there is no image of any kind: check the path.',
};

/** What stands at a path; undefined for a file that is no archive. Fails where nobody may look. */
async function recognise(
  path: string,
  space: TempSpace,
): Promise<keyof typeof HINTS | ImageReference['transport'] | undefined> {
  const stats = await stat(path).catch((error: unknown) => {
    if (['ENOENT', 'ENOTDIR'].includes(systemCodeOf(error) ?? '')) return undefined;
    throw error;
  });
  if (stats === undefined) return 'nothing';
  if (stats.isDirectory()) {
    if (await isFile(join(path, 'oci-layout'))) return 'oci';
    return (await isFile(join(path, 'manifest.json'))) ? 'dir' : 'no image';
  }
  if (!stats.isFile()) return undefined;
  const archive = await openArchive(path, space);
  try {
    // Docker writes both since 25, and its own comes first for everybody.
    if (archive.find('manifest.json') !== undefined) return 'docker-archive';
    return archive.find('oci-layout') === undefined ? undefined : 'oci-archive';
  } finally {
    await archive.close();
  }
}

async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() === true;
}
