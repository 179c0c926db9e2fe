import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AtomicError, isAtomicError } from '../errors.ts';
import type { ImageReference } from '../image/reference.ts';
import { openArchive } from './archive/open-archive.ts';

/**
 * The error of an image that is not where a path leads, with what there is instead: nothing, or an image of another
 * transport. Everything else unchanged.
 */
export async function adviseTransport(reference: ImageReference, error: unknown): Promise<unknown> {
  if (!('path' in reference) || !isAtomicError(error, 'image-not-found', 'archive-invalid')) return error;
  const { path, transport } = reference;
  const found = await recognise(path).catch(() => undefined);
  const hint =
    found === 'nothing'
      ? 'There is no such file or folder: check the path.'
      : found !== undefined && found !== transport
        ? `There is an image of another kind: write it ${found}:${path}`
        : error.hint;
  return hint === undefined ? error : new AtomicError(error.code, error.message, { hint, cause: error });
}

/** What stands at a path; undefined for what is no image. */
async function recognise(path: string): Promise<'nothing' | ImageReference['transport'] | undefined> {
  const stats = await stat(path).catch(() => undefined);
  if (stats === undefined) return 'nothing';
  if (stats.isDirectory()) {
    if (await isFile(join(path, 'oci-layout'))) return 'oci';
    return (await isFile(join(path, 'manifest.json'))) ? 'dir' : undefined;
  }
  if (!stats.isFile()) return undefined;
  const archive = await openArchive(path);
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
