import { createHash } from 'node:crypto';
import { pipeline } from 'node:stream/promises';
import { AtomicError } from '../../errors.ts';
import { parseImageConfig } from '../../image/config.ts';
import type { Descriptor } from '../../image/descriptor.ts';
import { digestFromHex, type Digest } from '../../image/digest.ts';
import { DOCKER_CONFIG, layerMediaType, type Compression } from '../../image/media-type.ts';
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

/** What reading members told, by their names: images share them, and a hostile archive lists one again and again. */
export class KnownMembers {
  readonly configs = new Map<string, { readonly digest: Digest; readonly diffIds: readonly Digest[] }>();
  /** Without a digest where it is not compressed. */
  readonly layers = new Map<string, { readonly compression: Compression; readonly digest?: Digest }>();
}

/**
 * Finds what an image of an archive consists of. A plain layer's digest is the DiffID that the config claims; only
 * whoever reads it to its end knows whether that is true.
 * @param known of the same archive
 * @throws AtomicError `archive-invalid`, `config-invalid`, `compression-unsupported`, `limit-exceeded`; its signal's reason
 */
export async function findBlobs(
  archive: Archive,
  image: ArchivedImage,
  known = new KnownMembers(),
): Promise<ArchivedBlobs> {
  const file = resolveMember(archive, image.config);
  const config = known.configs.get(file.name) ?? (await readConfig(archive, file));
  known.configs.set(file.name, config);
  const descriptor = { mediaType: DOCKER_CONFIG, size: file.size, digest: config.digest };
  const layerFiles = image.layers.map((name) => resolveMember(archive, name));
  return {
    config: { descriptor, file },
    layers: await describeLayers(archive, layerFiles, config.diffIds, known),
  };
}

async function readConfig(
  archive: Archive,
  file: ArchiveFile,
): Promise<{ readonly digest: Digest; readonly diffIds: readonly Digest[] }> {
  const bytes = await archive.read(file, 'config-size');
  const { diffIds } = parseImageConfig(bytes, `${archive.path}, the config of the image,`);
  return { digest: digestOf(bytes), diffIds };
}

async function describeLayers(
  archive: Archive,
  files: readonly ArchiveFile[],
  diffIds: readonly Digest[],
  { layers: known }: KnownMembers,
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
    if (diffId === undefined) continue;
    const { compression, digest = diffId } = known.get(file.name) ?? (await readLayer(archive, file));
    known.set(file.name, compression === 'none' ? { compression } : { compression, digest });
    const mediaType = layerMediaType('v2s2', compression);
    layers.push({ descriptor: { mediaType, size: file.size, digest }, file });
  }
  return layers;
}

/** Hashes only when nothing states the digest: whoever reads the blob compares it anyway. */
async function readLayer(
  archive: Archive,
  file: ArchiveFile,
): Promise<{ readonly compression: Compression; readonly digest?: Digest }> {
  if (file.size > limitOf('layer-size')) {
    throw tooLong(`${archive.path}, member ${file.name},`, file.size, 'layer-size');
  }
  const compression = storedAs(await archive.readStart(file, MAGIC_BYTES));
  if (compression === 'none') return { compression };
  if (compression === 'other') {
    throw new AtomicError(
      'compression-unsupported',
      `${archive.path} has the layer ${file.name} in a compression that layers cannot have`,
    );
  }
  return { compression, digest: digestInName(file.name) ?? (await hashMember(archive, file)) };
}

/** Since Docker 25 blobs stand under `blobs/sha256/HEX`, as in an OCI layout. */
function digestInName(name: string): Digest | undefined {
  const hex = /^blobs\/sha256\/([0-9a-f]{64})$/.exec(name)?.[1];
  return hex === undefined ? undefined : digestFromHex('sha256', hex);
}

async function hashMember(archive: Archive, file: ArchiveFile): Promise<Digest> {
  const hash = createHash('sha256');
  const read = async (chunks: AsyncIterable<Buffer>): Promise<void> => {
    for await (const chunk of chunks) hash.update(chunk);
  };
  const { signal } = archive;
  await pipeline(archive.stream(file), read, { signal }).catch((error: unknown) => {
    signal?.throwIfAborted();
    throw error;
  });
  return digestFromHex('sha256', hash.digest('hex'));
}
