import { AtomicError } from '../../errors.ts';
import { openArchive, type Archive } from '../archive/open-archive.ts';
import type { TempSpace } from '../temp-folder.ts';
import { parseArchiveManifest, type ArchivedImage } from './archive-manifest.ts';

/**
 * The names of all images in a `docker save` file, in its order, `@N` for the N-th where it has none: what
 * `list-tags docker-archive:FILE` shows, and what an image is asked for by.
 * They are foreign text: whoever prints them escapes them.
 * @throws AtomicError `image-not-found` when there is no such file, `archive-invalid`, `limit-exceeded`
 */
export async function listArchiveNames(path: string, space: TempSpace = {}): Promise<string[]> {
  const archive = await openArchive(path, space);
  try {
    const images = await readArchivedImages(archive);
    return images.flatMap(({ repoTags }, i) => (repoTags.length === 0 ? `@${i}` : repoTags));
  } finally {
    await archive.close();
  }
}

/**
 * What an archive's manifest.json lists.
 * @throws AtomicError `archive-invalid`, `limit-exceeded`
 */
export async function readArchivedImages(archive: Archive): Promise<ArchivedImage[]> {
  const { path } = archive;
  const file = archive.find('manifest.json');
  if (file === undefined) {
    throw new AtomicError('archive-invalid', `${path} is no docker save file: it has no manifest.json`);
  }
  return parseArchiveManifest(await archive.read(file, 'manifest-size'), `${path}, manifest.json`);
}
