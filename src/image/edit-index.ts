import { AtomicError } from '../errors.ts';
import type { Descriptor } from './descriptor.ts';
import type { Digest } from './digest.ts';
import { isRecord, parseJson, writeJson, type JsonRecord } from './json.ts';
import { parseManifest, type RawManifest } from './manifest.ts';
import * as types from './media-type.ts';
import type { ManifestFormat } from './media-type.ts';
import { ZSTD_VARIANT } from './platform.ts';

export interface IndexEdit {
  /** Its own when not given. */
  readonly format?: ManifestFormat;
  /** By the digest of an entry: what stands there from now on. Digest, size and media type count. */
  readonly replaced?: ReadonlyMap<Digest, Descriptor>;
}

/** BuildKit's: the digest of the entry that an attestation is about. */
const ATTESTED = 'vnd.docker.reference.digest';
/** BuildKit's way to say that an entry is for no platform; a manifest list has to name one. */
const NO_PLATFORM = { architecture: 'unknown', os: 'unknown' };

/**
 * An index with other entries, or as a manifest list and the other way round. The order of the entries, their
 * platforms and all that it does not touch is carried through; attestations go on naming their image. When there is
 * nothing to change, `bytes` are the very same ones. From OCI to Docker's format all that a manifest list does not
 * define is lost: annotations, artifactType, subject, unknown fields.
 *
 * Entries that are not replaced keep their media type: whoever wants them in the other format converts them first.
 * @param what subject of the error's sentence: "the index of docker.io/x".
 * @throws AtomicError `manifest-invalid`
 * @see image-spec image-index.md; distribution "Image Manifest V 2, Schema 2", "Manifest List"
 */
export function editIndex(raw: RawManifest, edit: IndexEdit, what: string): RawManifest {
  const index = parseManifest(raw, what);
  if (index.kind === 'manifest') throw new AtomicError('internal', `${what} is a manifest, and no index`);
  const own = types.formatOf(index.mediaType) ?? 'oci';
  const format = edit.format ?? own;
  const converts = format !== own;
  const replaced = edit.replaced ?? new Map<Digest, Descriptor>();
  if (!converts && !index.manifests.some((entry) => isReplaced(entry, replaced))) {
    return { bytes: raw.bytes, mediaType: index.mediaType };
  }

  const document = parseJson(raw.bytes, what) as JsonRecord;
  const written = document['manifests'] as readonly JsonRecord[];
  const drops = converts && format === 'v2s2';
  const edited = {
    schemaVersion: 2,
    mediaType: format === 'oci' ? types.OCI_INDEX : types.DOCKER_LIST,
    manifests: index.manifests.map((from, i) => {
      const entry = editEntry(written[i] ?? {}, from, replaced);
      return drops ? listEntry(entry) : entry;
    }),
  };
  const carried = drops ? {} : document;
  return { bytes: writeJson({ ...edited, ...carried, ...edited }, what), mediaType: edited.mediaType };
}

function isReplaced(entry: Descriptor, replaced: ReadonlyMap<Digest, Descriptor>): boolean {
  const to = replaced.get(entry.digest);
  if (to === undefined) return false;
  return to.digest !== entry.digest || to.size !== entry.size || to.mediaType !== entry.mediaType;
}

function editEntry(
  written: JsonRecord,
  from: Descriptor,
  replaced: ReadonlyMap<Digest, Descriptor>,
): JsonRecord {
  const about = from.annotations?.[ATTESTED];
  const attested = about === undefined ? undefined : replaced.get(about as Digest)?.digest;
  const to = replaced.get(from.digest);
  if (to === undefined && attested === undefined) return written;
  const { mediaType, digest, size } = to ?? from;
  // Where the old bytes are, and what they are, is nothing to the new ones.
  const { urls, data, ...others } = written;
  const old = digest === from.digest ? { urls, data } : {};
  const annotations = editAnnotations(others['annotations'], digest !== from.digest, attested);
  return { ...others, ...old, mediaType, digest, size, annotations };
}

function editAnnotations(annotations: unknown, otherBytes: boolean, attested: Digest | undefined): unknown {
  if (!isRecord(annotations)) return undefined;
  const { [ZSTD_VARIANT]: zstd, ...others } = annotations;
  return {
    ...others,
    ...(otherBytes || zstd === undefined ? {} : { [ZSTD_VARIANT]: zstd }),
    ...(attested === undefined ? {} : { [ATTESTED]: attested }),
  };
}

/** What a manifest list has of an entry. */
function listEntry(entry: JsonRecord): JsonRecord {
  const { mediaType, digest, size, platform } = entry;
  return { mediaType, size, digest, platform: isRecord(platform) ? platform : NO_PLATFORM };
}
