import { formatReference } from '../../image/reference.ts';
import { openArchive, type Archive } from '../archive/open-archive.ts';
import { createLayoutSource, type LayoutFiles } from '../oci-layout/layout-source.ts';
import type { TempSpace } from '../temp-folder.ts';
import type { ImageSource } from '../transport.ts';

/**
 * Opens `oci-archive:FILE[:TAG]` for reading: an OCI layout in a tar, plain or with gzip.
 * @throws AtomicError `image-not-found`, `archive-invalid`, `compression-unsupported`, `manifest-invalid`, `limit-exceeded`
 * @see image-spec image-layout.md; containers-transports(5)
 */
export async function openOciArchiveSource(
  path: string,
  tag?: string,
  space: TempSpace = {},
): Promise<ImageSource> {
  const archive = await openArchive(path, space);
  const name = formatReference({ transport: 'oci-archive', path, tag });
  return createLayoutSource(filesOf(archive), tag, name);
}

/** The layout that an archive holds. */
export function filesOf(archive: Archive): LayoutFiles {
  return {
    path: archive.path,
    async read(name, cap) {
      const file = archive.find(name);
      return file === undefined ? undefined : archive.read(file, cap);
    },
    async stream(name, from) {
      const file = archive.find(name);
      return file === undefined ? undefined : archive.stream(file, from);
    },
    close: () => archive.close(),
  };
}
