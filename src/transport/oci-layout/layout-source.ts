import type { Readable } from 'node:stream';
import { AtomicError } from '../../errors.ts';
import { algorithmOf, hexOf, type Digest } from '../../image/digest.ts';
import type { Cap } from '../../limits.ts';
import type { ImageSource } from '../transport.ts';
import { checkLayoutVersion, chooseEntry, parseLayoutIndex } from './layout-index.ts';

/** The files of a layout, in a folder or in an archive. A name that is not there gives undefined. */
export interface LayoutFiles {
  /** As a person knows it: the path of the folder or the archive. */
  readonly path: string;
  /** @throws AtomicError `limit-exceeded` */
  read(name: string, cap: Cap): Promise<Buffer | undefined>;
  stream(name: string): Promise<Readable | undefined>;
  close(): Promise<void>;
}

/** Where a blob stands in a layout: `blobs/ALGORITHM/HEX`. */
export function blobName(digest: Digest): string {
  return `blobs/${algorithmOf(digest)}/${hexOf(digest)}`;
}

/**
 * One image, or an index, of an OCI image layout. Closes `files` when the layout is not good.
 * @throws AtomicError `archive-invalid`, `image-not-found`, `manifest-invalid`, `limit-exceeded`
 * @see image-spec image-layout.md
 */
export async function createLayoutSource(
  files: LayoutFiles,
  tag: string | undefined,
  name: string,
): Promise<ImageSource> {
  try {
    return await readLayout(files, tag, name);
  } catch (error) {
    await files.close();
    throw error;
  }
}

async function readLayout(files: LayoutFiles, tag: string | undefined, name: string): Promise<ImageSource> {
  checkLayoutVersion(await readRequired(files, 'oci-layout'), `${files.path}, oci-layout`);
  const index = parseLayoutIndex(await readRequired(files, 'index.json'), `${files.path}, index.json`);
  const chosen = chooseEntry(index, tag, files.path);
  return {
    name,
    async getManifest(digest = chosen.digest) {
      const bytes = await files.read(blobName(digest), 'manifest-size');
      if (bytes === undefined) {
        throw new AtomicError('manifest-unknown', `${files.path} has no manifest ${digest}`);
      }
      return { bytes, mediaType: digest === chosen.digest ? chosen.mediaType : '' };
    },
    async getBlob({ digest }) {
      const stream = await files.stream(blobName(digest));
      if (stream === undefined)
        throw new AtomicError('archive-invalid', `${files.path} has no blob ${digest}`);
      return stream;
    },
    close: () => files.close(),
  };
}

async function readRequired(files: LayoutFiles, file: string): Promise<Buffer> {
  const bytes = await files.read(file, 'manifest-size');
  if (bytes !== undefined) return bytes;
  throw new AtomicError('archive-invalid', `${files.path} is no OCI image layout: it has no ${file}`);
}
