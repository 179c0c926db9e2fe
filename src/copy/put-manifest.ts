import { isAtomicError, messageOf } from '../errors.ts';
import type { Descriptor } from '../image/descriptor.ts';
import type { Digest } from '../image/digest.ts';
import type { RawManifest } from '../image/manifest.ts';
import type { ManifestFormat } from '../image/media-type.ts';
import { digestOf } from '../stream/verify.ts';
import type { CopyRun } from './copy-run.ts';

/** A manifest or an index as it is to be stored. */
export interface ManifestToPut {
  /** It, in one format; its source's bytes when nothing has changed. */
  readonly write: (format: ManifestFormat) => RawManifest;
  readonly format: ManifestFormat;
  /** Tried when the destination refuses the first one. */
  readonly otherFormat: ManifestFormat | undefined;
  /** Whether the bytes are still those of `digest`. */
  readonly source: { readonly raw: RawManifest; readonly digest: Digest };
  readonly role: 'reference' | 'entry';
}

/**
 * Stores a manifest, in the other format when the destination refuses the first: some registries know one alone.
 * @returns what stands there now
 * @throws AtomicError the first refusal, with what was said of the other format
 */
export async function putManifest(run: CopyRun, manifest: ManifestToPut): Promise<Descriptor> {
  const { write, format, otherFormat, source, role } = manifest;
  const put = async (raw: RawManifest): Promise<Descriptor> => {
    run.signal.throwIfAborted();
    const { bytes, mediaType } = raw;
    const digest = bytes === source.raw.bytes ? source.digest : digestOf(bytes);
    await run.destination.putManifest(raw, digest, role);
    run.counts.manifests++;
    return { mediaType, digest, size: bytes.length };
  };
  try {
    return await put(write(format));
  } catch (error) {
    if (otherFormat === undefined || !isAtomicError(error, 'manifest-refused')) throw error;
    run.report({ event: 'notice', text: `${error.message}: trying the other format of manifests` });
    return put(write(otherFormat)).catch((second: unknown) => {
      error.addTrouble(messageOf(second));
      throw error;
    });
  }
}
