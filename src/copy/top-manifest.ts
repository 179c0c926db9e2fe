import type { Digest } from '../image/digest.ts';
import type { RawManifest } from '../image/manifest.ts';
import { digestedBytes } from '../image/schema1.ts';
import { limitExceeded, limitOf } from '../limits.ts';
import { digestOf, verifyBytes } from '../stream/verify.ts';
import type { ImageSource } from '../transport/transport.ts';

/** What a reference itself stands for: a manifest, or an index of several. */
export interface TopManifest {
  readonly raw: RawManifest;
  readonly digest: Digest;
  /** The source, which gives these bytes from now on: a tag that is moved meanwhile changes nothing. */
  readonly source: ImageSource;
}

/**
 * Reads the manifest or index that a source's reference names, whatever is in it.
 * @param expected the digest that the reference names
 * @throws AtomicError of the source; `digest-mismatch`, `limit-exceeded`
 */
export async function readTopManifest(
  source: ImageSource,
  expected: Digest | undefined,
): Promise<TopManifest> {
  const what = `the manifest of ${source.name}`;
  const raw = await source.getManifest(expected);
  const limit = limitOf('manifest-size');
  if (raw.bytes.length > limit) {
    throw limitExceeded('manifest-size', `${what} is larger than the limit of ${limit} bytes`);
  }
  const bytes = digestedBytes(raw.bytes, what);
  if (expected !== undefined) verifyBytes(bytes, { digest: expected, size: undefined, what });
  const digest = expected ?? digestOf(bytes);
  const isTop = (wanted: Digest | undefined): boolean => wanted === undefined || wanted === digest;
  return {
    raw,
    digest,
    source: withManifest(source, async (wanted) => (isTop(wanted) ? raw : source.getManifest(wanted))),
  };
}

/** A source with other manifests. */
export function withManifest(source: ImageSource, getManifest: ImageSource['getManifest']): ImageSource {
  const { name, madeManifest, seekable } = source;
  return {
    name,
    ...(madeManifest === undefined ? {} : { madeManifest }),
    ...(seekable === undefined ? {} : { seekable }),
    getManifest,
    getBlob: (descriptor, from) => source.getBlob(descriptor, from),
    // Bound, since a source may be an instance of a class.
    ...(source.layersForCopy === undefined ? {} : { layersForCopy: source.layersForCopy.bind(source) }),
    ...(source.getSignatures === undefined ? {} : { getSignatures: source.getSignatures.bind(source) }),
    close: () => source.close(),
  };
}
