import { AtomicError } from '../../errors.ts';
import type { Digest } from '../../image/digest.ts';
import { DOCKER_MANIFEST } from '../../image/media-type.ts';
import { formatReference } from '../../image/reference.ts';
import { digestOf } from '../../stream/verify.ts';
import { openArchive, type Archive, type ArchiveFile } from '../archive/open-archive.ts';
import type { TempSpace } from '../temp-folder.ts';
import type { ImageSource } from '../transport.ts';
import { chooseImage } from './archive-manifest.ts';
import { findBlobs, type ArchivedBlobs } from './archived-image.ts';
import { readArchivedImages } from './list-names.ts';

export interface DockerArchiveSource extends ImageSource {
  /** The name in RepoTags that was chosen; undefined for an image that was saved by its id. */
  readonly imageName: string | undefined;
}

/**
 * Opens `docker-archive:FILE[:NAME:TAG|:@N]`: what `docker save` writes, before and since Docker 25, plain or with gzip.
 * Such a file has no manifest: one of Docker's schema 2 is made, with the same bytes each time.
 * @throws AtomicError `image-not-found`, `archive-invalid`, `config-invalid`, `reference-invalid`,
 *   `compression-unsupported`, `limit-exceeded`
 * @see moby image/spec/v1.2.md; containers-transports(5)
 */
export async function openDockerArchiveSource(
  path: string,
  image?: string,
  space: TempSpace = {},
  shown = path,
): Promise<DockerArchiveSource> {
  const archive = await openArchive(path, space, shown);
  try {
    return await readArchive(archive, image);
  } catch (error) {
    await archive.close();
    throw error;
  }
}

async function readArchive(archive: Archive, wanted: string | undefined): Promise<DockerArchiveSource> {
  const { path } = archive;
  const image = chooseImage(await readArchivedImages(archive), wanted, path);
  return {
    name: formatReference({ transport: 'docker-archive', path, image: wanted }),
    imageName: image.imageName,
    madeManifest: true,
    seekable: true,
    ...createAccess(archive, await findBlobs(archive, image)),
  };
}

function createAccess(
  archive: Archive,
  { config, layers }: ArchivedBlobs,
): Pick<ImageSource, 'getManifest' | 'getBlob' | 'close'> {
  const files = new Map<Digest, ArchiveFile>();
  for (const { descriptor, file } of [config, ...layers]) files.set(descriptor.digest, file);
  const manifest = {
    schemaVersion: 2,
    mediaType: DOCKER_MANIFEST,
    config: config.descriptor,
    layers: layers.map(({ descriptor }) => descriptor),
  };
  const bytes = Buffer.from(JSON.stringify(manifest));
  const own = digestOf(bytes);
  return {
    async getManifest(digest = own) {
      if (digest === own) return { bytes, mediaType: DOCKER_MANIFEST };
      throw new AtomicError('manifest-unknown', `${archive.path} has no manifest ${digest}`);
    },
    async getBlob({ digest }, from = 0) {
      const file = files.get(digest);
      if (file === undefined)
        throw new AtomicError('archive-invalid', `${archive.path} has no blob ${digest}`);
      return archive.stream(file, from);
    },
    close: () => archive.close(),
  };
}
