import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { AtomicError } from '../../errors.ts';
import type { Descriptor } from '../../image/descriptor.ts';
import { parseManifest } from '../../image/manifest.ts';
import { OCI_INDEX, OCI_MANIFEST } from '../../image/media-type.ts';
import { formatReference } from '../../image/reference.ts';
import { makeFolderToFill, type NewFolder } from '../../make-folder.ts';
import { isFileOfSize, readSmallFile } from '../local-file.ts';
import type { Claiming } from '../blob-claims.ts';
import { createPartialFiles } from '../partial-files.ts';
import type { DestinationTraits, ImageDestination } from '../transport.ts';
import {
  checkLayoutVersion,
  EMPTY_LAYOUT_INDEX,
  parseLayoutIndex,
  replaceEntry,
  requireTag,
} from './layout-index.ts';
import { blobName } from './layout-source.ts';

const LAYOUT_FILE = Buffer.from('{"imageLayoutVersion":"1.0.0"}');

/** What the image specification has words for; skopeo looks for tags among OCI manifests only. */
const OCI_TRAITS: DestinationTraits = {
  manifestTypes: [OCI_MANIFEST, OCI_INDEX],
  layers: 'compressed',
  foreignLayers: true,
  signatures: false,
  parallel: true,
};

/**
 * Opens `oci:DIR[:TAG]` for writing; the folder is made, or is a layout already and keeps its other images.
 * index.json changes in `commit`, in one rename; two copies into one layout at the same time are not kept apart.
 * @throws AtomicError `archive-invalid` when the folder holds something else, `disk-full`, `reference-invalid`
 * @see image-spec image-layout.md; containers-transports(5)
 */
export async function openOciLayoutDestination(
  path: string,
  tag?: string,
  claiming?: Claiming,
): Promise<ImageDestination> {
  if (tag !== undefined) requireTag(tag);
  const indexPath = join(path, 'index.json');
  const made = await prepareFolder(path);
  const files = await createPartialFiles(path, claiming).catch(async (error: unknown) => {
    await made.removeIfEmpty();
    throw error;
  });
  let reference: Descriptor | undefined;
  return {
    name: formatReference({ transport: 'oci', path, tag }),
    traits: OCI_TRAITS,
    folder: path,
    claims: files.claims,
    hasBlob: ({ digest, size }) => isFileOfSize(join(path, blobName(digest)), size),
    putBlob: ({ digest }, bytes) => files.writeBlob(digest, join(path, blobName(digest)), bytes),
    async putManifest(manifest, digest, role) {
      const { mediaType } = parseManifest(manifest, `the manifest ${digest}`);
      await files.write(join(path, blobName(digest)), manifest.bytes);
      if (role === 'reference') reference = { mediaType, digest, size: manifest.bytes.length };
    },
    async commit() {
      if (reference === undefined) throw new AtomicError('internal', `${path} was given no manifest`);
      const bytes = await readSmallFile(indexPath, 'manifest-size');
      const index = bytes === undefined ? EMPTY_LAYOUT_INDEX : parseLayoutIndex(bytes, indexPath);
      await files.write(join(path, 'oci-layout'), LAYOUT_FILE);
      await files.write(indexPath, replaceEntry(index, reference, tag));
      await files.removeKept();
    },
    async close() {
      await files.remove();
      await made.removeIfEmpty();
    },
  };
}

/** Makes the folder, or sees that it is ours to write in. */
async function prepareFolder(path: string): Promise<NewFolder> {
  const made = await makeFolderToFill(path, ['blobs/sha256', 'blobs']);
  const marker = join(path, 'oci-layout');
  const bytes = await readSmallFile(marker, 'manifest-size');
  if (bytes !== undefined) {
    checkLayoutVersion(bytes, marker);
    return made;
  }
  // Blobs alone are what an interrupted first copy leaves.
  const foreign = (await readdir(path)).find((name) => name !== 'blobs' && !name.startsWith('.partial-'));
  if (foreign === undefined) return made;
  throw new AtomicError('archive-invalid', `${path} is no OCI image layout and holds "${foreign}"`, {
    hint: 'Name an empty or a new folder.',
  });
}
