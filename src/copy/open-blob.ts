import type { Readable } from 'node:stream';
import type { Descriptor } from '../image/descriptor.ts';
import type { ImageSource } from '../transport/transport.ts';

/** A blob's bytes from its first one on, unverified: the one way in which an import and a copy get them. */
export function openBlob(source: ImageSource, descriptor: Descriptor): Promise<Readable> {
  return source.getBlob(descriptor);
}
