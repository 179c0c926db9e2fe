import { AtomicError } from '../errors.ts';
import type { Digest } from '../image/digest.ts';
import { parseManifest, type ImageIndex, type ImageManifest, type RawManifest } from '../image/manifest.ts';
import { limitExceeded, limitOf } from '../limits.ts';
import { digestOf, verifyBytes } from '../stream/verify.ts';
import type { ImageSource } from '../transport/transport.ts';

/** A manifest or an index whose bytes are what their digest says. */
export interface SourceDocument<Kind extends ImageManifest | ImageIndex = ImageManifest | ImageIndex> {
  readonly raw: RawManifest;
  readonly digest: Digest;
  readonly content: Kind;
}

/**
 * Reads the document that a source's reference names, or the one with `wanted`.
 * @param wanted the digest that it must have
 * @throws AtomicError `digest-mismatch`, `manifest-invalid`, `limit-exceeded`
 */
export async function readDocument(source: ImageSource, wanted?: Digest): Promise<SourceDocument> {
  const what = `the manifest ${wanted === undefined ? '' : `${wanted} `}of ${source.name}`;
  const raw = await source.getManifest(wanted);
  const limit = limitOf('manifest-size');
  if (raw.bytes.length > limit) {
    throw limitExceeded('manifest-size', `${what} is larger than the limit of ${limit} bytes`);
  }
  return { raw, digest: verifyManifest(raw, wanted, what), content: parseManifest(raw, what) };
}

/**
 * The digest of a manifest, which is the wanted one when there is one. What was made from a schema 1 manifest
 * (schema1-source.ts) has another than the one that the reference names.
 * @throws AtomicError `digest-mismatch`
 */
function verifyManifest(raw: RawManifest, wanted: Digest | undefined, what: string): Digest {
  if (raw.madeFrom === undefined) {
    if (wanted === undefined) return digestOf(raw.bytes);
    verifyBytes(raw.bytes, { digest: wanted, size: undefined, what });
    return wanted;
  }
  if (wanted === undefined || wanted === raw.madeFrom) return digestOf(raw.bytes);
  throw new AtomicError(
    'digest-mismatch',
    `${what} does not have the digest it should: expected ${wanted}, got ${raw.madeFrom}`,
  );
}

export function isIndex(document: SourceDocument): document is SourceDocument<ImageIndex> {
  return document.content.kind === 'index';
}

export function isManifest(document: SourceDocument): document is SourceDocument<ImageManifest> {
  return document.content.kind === 'manifest';
}
