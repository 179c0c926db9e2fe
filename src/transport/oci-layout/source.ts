import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AtomicError } from '../../errors.ts';
import { formatReference } from '../../image/reference.ts';
import { readSmallFile, streamFile } from '../local-file.ts';
import type { ImageSource } from '../transport.ts';
import { createLayoutSource } from './layout-source.ts';

/**
 * Opens `oci:DIR[:TAG]` for reading. Blobs that are links or no regular files are refused.
 * @throws AtomicError `image-not-found`, `archive-invalid`, `manifest-invalid`, `limit-exceeded`
 * @see image-spec image-layout.md; containers-transports(5)
 */
export async function openOciLayoutSource(path: string, tag?: string): Promise<ImageSource> {
  const folder = await stat(path).catch(() => undefined);
  if (folder === undefined) throw new AtomicError('image-not-found', `There is no folder ${path}`);
  return createLayoutSource(
    {
      path,
      read: (name, cap) => readSmallFile(join(path, name), cap),
      stream: (name, from) => streamFile(join(path, name), from),
      close: async () => {},
    },
    tag,
    formatReference({ transport: 'oci', path, tag }),
  );
}
