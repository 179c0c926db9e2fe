import { createHash } from 'node:crypto';
import { pipeline } from 'node:stream/promises';
import { AtomicError } from '../../errors.ts';
import { parseImageConfig } from '../../image/config.ts';
import type { Descriptor } from '../../image/descriptor.ts';
import { digestFromHex, type Digest } from '../../image/digest.ts';
import { DOCKER_CONFIG, DOCKER_LAYER, DOCKER_MANIFEST } from '../../image/media-type.ts';
import { formatReference } from '../../image/reference.ts';
import { limitOf } from '../../limits.ts';
import { MAGIC_BYTES, storedAs } from '../archive/magic.ts';
import { openArchive, type Archive, type ArchiveFile } from '../archive/open-archive.ts';
import { tooLong } from '../local-file.ts';
import type { ImageSource } from '../transport.ts';
import { chooseImage } from './archive-manifest.ts';
import { readArchivedImages } from './list-names.ts';
import { resolveMember } from './resolve-member.ts';

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
export async function openDockerArchiveSource(path: string, image?: string): Promise<DockerArchiveSource> {
  const archive = await openArchive(path);
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
  const configFile = resolveMember(archive, image.config);
  const configBytes = await archive.read(configFile, 'config-size');
  const layerFiles = image.layers.map((name) => resolveMember(archive, name));
  const config = {
    mediaType: DOCKER_CONFIG,
    size: configFile.size,
    digest: digestFromHex('sha256', createHash('sha256').update(configBytes).digest('hex')),
  };
  const { diffIds } = parseImageConfig(configBytes, `${path}, the config of the image,`);
  const layers = await describeLayers(archive, layerFiles, diffIds);
  const blobs = new Map<Digest, ArchiveFile>([[config.digest, configFile]]);
  for (const { descriptor, file } of layers) blobs.set(descriptor.digest, file);
  return {
    name: formatReference({ transport: 'docker-archive', path, image: wanted }),
    imageName: image.imageName,
    ...createAccess(
      archive,
      config,
      layers.map(({ descriptor }) => descriptor),
      blobs,
    ),
  };
}

function createAccess(
  archive: Archive,
  config: Descriptor,
  layers: readonly Descriptor[],
  blobs: ReadonlyMap<Digest, ArchiveFile>,
): Pick<ImageSource, 'getManifest' | 'getBlob' | 'close'> {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: DOCKER_MANIFEST, config, layers }));
  const own = digestFromHex('sha256', createHash('sha256').update(bytes).digest('hex'));
  return {
    async getManifest(digest = own) {
      if (digest === own) return { bytes, mediaType: DOCKER_MANIFEST };
      throw new AtomicError('manifest-unknown', `${archive.path} has no manifest ${digest}`);
    },
    async getBlob({ digest }) {
      const file = blobs.get(digest);
      if (file === undefined)
        throw new AtomicError('archive-invalid', `${archive.path} has no blob ${digest}`);
      return archive.stream(file);
    },
    close: () => archive.close(),
  };
}

interface Layer {
  readonly descriptor: Descriptor;
  readonly file: ArchiveFile;
}

async function describeLayers(
  archive: Archive,
  files: readonly ArchiveFile[],
  diffIds: readonly Digest[],
): Promise<Layer[]> {
  if (files.length !== diffIds.length) {
    throw new AtomicError(
      'archive-invalid',
      `${archive.path} lists ${files.length} layers, but the image's config ${diffIds.length}`,
    );
  }
  const layers: Layer[] = [];
  for (const [i, file] of files.entries()) {
    const diffId = diffIds[i];
    if (diffId !== undefined) layers.push({ descriptor: await describeLayer(archive, file, diffId), file });
  }
  return layers;
}

/** Hashes only when nothing states the digest: whoever reads the blob compares it anyway. */
async function describeLayer(archive: Archive, file: ArchiveFile, diffId: Digest): Promise<Descriptor> {
  if (file.size > limitOf('layer-size')) {
    throw tooLong(`${archive.path}, member ${file.name},`, file.size, 'layer-size');
  }
  const compression = storedAs(await archive.readStart(file, MAGIC_BYTES));
  if (compression === 'none') return { mediaType: DOCKER_LAYER, size: file.size, digest: diffId };
  if (compression === 'other') {
    throw new AtomicError(
      'compression-unsupported',
      `${archive.path} has the layer ${file.name} in a compression that layers cannot have`,
    );
  }
  const digest = digestInName(file.name) ?? (await hashMember(archive, file));
  return { mediaType: `${DOCKER_LAYER}.${compression}`, size: file.size, digest };
}

/** Since Docker 25 blobs stand under `blobs/sha256/HEX`, as in an OCI layout. */
function digestInName(name: string): Digest | undefined {
  const hex = /^blobs\/sha256\/([0-9a-f]{64})$/.exec(name)?.[1];
  return hex === undefined ? undefined : digestFromHex('sha256', hex);
}

async function hashMember(archive: Archive, file: ArchiveFile): Promise<Digest> {
  const hash = createHash('sha256');
  await pipeline(archive.stream(file), async (chunks: AsyncIterable<Buffer>) => {
    for await (const chunk of chunks) hash.update(chunk);
  });
  return digestFromHex('sha256', hash.digest('hex'));
}
