import { createHash } from 'node:crypto';
import { pipeline } from 'node:stream/promises';
import { AtomicError } from '../../errors.ts';
import { parseImageConfig } from '../../image/config.ts';
import type { Descriptor } from '../../image/descriptor.ts';
import { digestFromHex, type Digest } from '../../image/digest.ts';
import { DOCKER_CONFIG, DOCKER_LAYER } from '../../image/media-type.ts';
import { limitOf } from '../../limits.ts';
import { digestOf } from '../../stream/verify.ts';
import { MAGIC_BYTES, storedAs } from '../archive/magic.ts';
import type { Archive, ArchiveFile } from '../archive/open-archive.ts';
import { tooLong } from '../local-file.ts';
import type { ArchivedImage } from './archive-manifest.ts';
import { resolveMember } from './resolve-member.ts';

/** A blob of an image, and the member that holds it. */
export interface ArchivedBlob {
  readonly descriptor: Descriptor;
  readonly file: ArchiveFile;
}

export interface ArchivedBlobs {
  readonly config: ArchivedBlob;
  /** Base first. */
  readonly layers: readonly ArchivedBlob[];
}

/**
 * Finds what an image of an archive consists of. A plain layer's digest is the DiffID that the config claims; only
 * whoever reads it to its end knows whether that is true.
 * @throws AtomicError `archive-invalid`, `config-invalid`, `compression-unsupported`, `limit-exceeded`
 */
export async function findBlobs(archive: Archive, image: ArchivedImage): Promise<ArchivedBlobs> {
  const file = resolveMember(archive, image.config);
  const bytes = await archive.read(file, 'config-size');
  const layerFiles = image.layers.map((name) => resolveMember(archive, name));
  const descriptor = { mediaType: DOCKER_CONFIG, size: file.size, digest: digestOf(bytes) };
  const { diffIds } = parseImageConfig(bytes, `${archive.path}, the config of the image,`);
  return { config: { descriptor, file }, layers: await describeLayers(archive, layerFiles, diffIds) };
}

async function describeLayers(
  archive: Archive,
  files: readonly ArchiveFile[],
  diffIds: readonly Digest[],
): Promise<ArchivedBlob[]> {
  if (files.length !== diffIds.length) {
    throw new AtomicError(
      'archive-invalid',
      `${archive.path} lists ${files.length} layers, but the image's config ${diffIds.length}`,
    );
  }
  const layers: ArchivedBlob[] = [];
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
