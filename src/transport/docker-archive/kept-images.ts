import type { Descriptor } from '../../image/descriptor.ts';
import type { Digest } from '../../image/digest.ts';
import { copyMember } from '../archive/copy-member.ts';
import { openArchive, type Archive } from '../archive/open-archive.ts';
import type { TarWriter } from '../archive/tar-writer.ts';
import type { TempSpace } from '../temp-folder.ts';
import { completeName, isNamed, type ArchivedImage } from './archive-manifest.ts';
import { findBlobs, KnownMembers, type ArchivedBlob, type ArchivedBlobs } from './archived-image.ts';
import { configMember, layerMember, type ImageWriter } from './image-writer.ts';
import { readArchivedImages } from './list-names.ts';

/** The images of an archive that another one is added to. */
export interface KeptImages {
  /** Whether the archive claims to have this layer, so that it need not be fetched. */
  hasLayer(descriptor: Descriptor): boolean;
  /**
   * Copies what stays of the archive, and those of its layers that the new image shares, each verified on its way.
   * @returns what manifest.json is to list, the new image included
   * @throws AtomicError `archive-invalid` when a layer is not what its image's config says
   */
  copyTo(add: TarWriter['add'], written: ImageWriter): Promise<ArchivedImage[]>;
  close(): Promise<void>;
}

interface KeptImage extends ArchivedBlobs {
  /** Those of its names that the new image does not take. */
  readonly repoTags: readonly string[];
}

/**
 * @param names of the image that is added: they move to it, and an image that loses its last one goes
 * @throws AtomicError `archive-invalid`, `config-invalid`, `limit-exceeded`, `compression-unsupported`
 */
export async function openKeptImages(
  path: string,
  names: readonly string[],
  space: TempSpace,
): Promise<KeptImages> {
  const archive = await openArchive(path, space);
  try {
    return await readKeptImages(archive, names);
  } catch (error) {
    await archive.close();
    throw error;
  }
}

async function readKeptImages(archive: Archive, names: readonly string[]): Promise<KeptImages> {
  const taken = names.map(completeName);
  const kept: KeptImage[] = [];
  const layers = new Map<Digest, ArchivedBlob>();
  const known = new KnownMembers();
  for (const image of await readArchivedImages(archive)) {
    const blobs = await findBlobs(archive, image, known);
    for (const layer of blobs.layers) layers.set(layer.descriptor.digest, layer);
    const repoTags = image.repoTags.filter((name) => !taken.some((complete) => isNamed(name, complete)));
    if (repoTags.length > 0 || image.repoTags.length === 0) kept.push({ ...blobs, repoTags });
  }
  return {
    hasLayer: ({ digest, size }) => layers.get(digest)?.descriptor.size === size,
    async copyTo(add, written) {
      const members = new Set(written.members);
      const copy = async (name: string, blob: ArchivedBlob): Promise<void> => {
        if (members.has(name)) return;
        await copyMember(archive, blob.file, blob.descriptor.digest, name, add);
        members.add(name);
      };
      const { layers: shared, listed } = written.image();
      for (const { digest } of shared) {
        const layer = layers.get(digest);
        if (layer !== undefined) await copy(layerMember(digest), layer);
      }
      for (const image of kept) {
        await copy(configMember(image.config.descriptor.digest), image.config);
        for (const layer of image.layers) await copy(layerMember(layer.descriptor.digest), layer);
      }
      return joinLists(kept.map(toListed), listed);
    },
    close: () => archive.close(),
  };
}

function toListed({ config, layers, repoTags }: KeptImage): ArchivedImage {
  return {
    config: configMember(config.descriptor.digest),
    repoTags,
    layers: layers.map(({ descriptor }) => layerMember(descriptor.digest)),
  };
}

/** The new image comes last, unless the archive has it already: then that one has more names. */
function joinLists(kept: readonly ArchivedImage[], added: ArchivedImage): ArchivedImage[] {
  const same = kept.find(({ config }) => config === added.config);
  if (same === undefined) return [...kept, added];
  const repoTags = [...same.repoTags, ...added.repoTags];
  return kept.map((image) => (image === same ? { ...added, repoTags } : image));
}
