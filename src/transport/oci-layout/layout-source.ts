import type { Readable } from 'node:stream';
import { AtomicError } from '../../errors.ts';
import { algorithmOf, hexOf, type Digest } from '../../image/digest.ts';
import { digestedBytes } from '../../image/schema1.ts';
import type { Cap } from '../../limits.ts';
import { verifyBytes } from '../../stream/verify.ts';
import type { ImageSource } from '../transport.ts';
import { checkLayoutVersion, chooseEntry, parseLayoutIndex, type LayoutIndex } from './layout-index.ts';

/** The files of a layout, in a folder or in an archive. A name that is not there gives undefined. */
export interface LayoutFiles {
  /** As a person knows it: the path of the folder or the archive. */
  readonly path: string;
  /** @throws AtomicError `limit-exceeded` */
  read(name: string, cap: Cap): Promise<Buffer | undefined>;
  stream(name: string, from: number): Promise<Readable | undefined>;
  close(): Promise<void>;
}

/** Where a blob stands in a layout: `blobs/ALGORITHM/HEX`. */
export function blobName(digest: Digest): string {
  return `blobs/${algorithmOf(digest)}/${hexOf(digest)}`;
}

/**
 * One image, or an index, of an OCI image layout. Closes `files` when the layout is not good.
 * @throws AtomicError `archive-invalid`, `image-not-found`, `manifest-invalid`, `limit-exceeded`; from `getManifest`
 * `digest-mismatch` when the tag's manifest is not the one that index.json names
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
  const chosen = chooseEntry(await readLayoutIndex(files), tag, files.path);
  return {
    name,
    seekable: true,
    async getManifest(wanted) {
      const digest = wanted ?? chosen.digest;
      const bytes = await files.read(blobName(digest), 'manifest-size');
      if (bytes === undefined) {
        throw new AtomicError('manifest-unknown', `${files.path} has no manifest ${digest}`);
      }
      // Only index.json knows what digest its tag stands for.
      if (wanted === undefined) {
        verifyBytes(digestedBytes(bytes, name), { digest, size: undefined, what: `the manifest of ${name}` });
      }
      return { bytes, mediaType: digest === chosen.digest ? chosen.mediaType : '' };
    },
    async getBlob({ digest }, from = 0) {
      const stream = await files.stream(blobName(digest), from);
      if (stream === undefined)
        throw new AtomicError('archive-invalid', `${files.path} has no blob ${digest}`);
      return stream;
    },
    close: () => files.close(),
  };
}

/** Reads index.json of what says that it is a layout. @throws AtomicError `archive-invalid`, `limit-exceeded` */
export async function readLayoutIndex(files: LayoutFiles): Promise<LayoutIndex> {
  checkLayoutVersion(await readLayoutFile(files, 'oci-layout'), `${files.path}, oci-layout`);
  return parseLayoutIndex(await readLayoutFile(files, 'index.json'), `${files.path}, index.json`);
}

/** One of the two files that every layout has. @throws AtomicError `archive-invalid`, `limit-exceeded` */
export async function readLayoutFile(files: LayoutFiles, file: 'oci-layout' | 'index.json'): Promise<Buffer> {
  const bytes = await files.read(file, 'manifest-size');
  if (bytes !== undefined) return bytes;
  throw new AtomicError('archive-invalid', `${files.path} is no OCI image layout: it has no ${file}`);
}
