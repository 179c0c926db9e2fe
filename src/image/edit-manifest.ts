import { AtomicError } from '../errors.ts';
import type { Descriptor } from './descriptor.ts';
import { isRecord, parseJson, writeJson, type JsonRecord } from './json.ts';
import { parseManifest, type ImageManifest, type RawManifest } from './manifest.ts';
import * as types from './media-type.ts';
import type { ManifestFormat } from './media-type.ts';

export interface ManifestEdit {
  /** Its own when not given. */
  readonly format?: ManifestFormat;
  /** As many as there are, base first: each gives its layer's digest, size, media type (of either format) and urls.
   * Those of other bytes lose `urls` and annotations that spoke of the old ones. */
  readonly layers?: readonly Descriptor[];
  readonly config?: Descriptor;
}

/** Annotations of a layer that speak of its compressed bytes: zstd:chunked's and eStargz' tables of contents. */
const OF_COMPRESSED_BYTES = [
  'io.github.containers.zstd-chunked.',
  'io.containers.estargz.',
  'containerd.io/snapshot/stargz/',
];

/**
 * A manifest with other layers, another config, or in the other format. What it does not touch is carried through:
 * annotations, artifactType, subject, fields that nobody knows. Blobs stay as they are, so DiffIDs and the config's
 * digest do. When there is nothing to change, `bytes` are the very same ones, so `bytes === raw.bytes` tells.
 *
 * From OCI to Docker's format all that schema 2 does not define is lost, as with other tools: annotations (also the
 * layers'), artifactType, subject, unknown fields.
 * @param what subject of the error's sentence: "the manifest of docker.io/x".
 * @throws AtomicError `unsupported` for what the format cannot hold; `manifest-invalid`, `limit-exceeded`
 * @see image-spec manifest.md; distribution "Image Manifest V 2, Schema 2"
 */
export function editManifest(raw: RawManifest, edit: ManifestEdit, what: string): RawManifest {
  const manifest = parseManifest(raw, what);
  if (manifest.kind === 'index') throw new AtomicError('internal', `${what} is an index, and no manifest`);
  const own = types.formatOf(manifest.mediaType) ?? 'oci';
  const format = edit.format ?? own;
  const converts = format !== own;
  if (converts && format === 'v2s2') requireImage(manifest, what);
  const layers = edit.layers ?? manifest.layers;
  if (layers.length !== manifest.layers.length) {
    const count = `${layers.length} layers for the ${manifest.layers.length}`;
    throw new AtomicError('internal', `${what} was to get ${count} that it has`);
  }
  const config = edit.config ?? manifest.config;
  const changed =
    converts || !same(config, manifest.config) || layers.some((to, i) => !same(to, manifest.layers[i]));
  if (!changed) return { bytes: raw.bytes, mediaType: manifest.mediaType };

  const document = parseJson(raw.bytes, what) as JsonRecord;
  const written = (document['layers'] ?? []) as readonly JsonRecord[];
  const place = { format, converts };
  const edited = {
    schemaVersion: 2,
    mediaType: format === 'oci' ? types.OCI_MANIFEST : types.DOCKER_MANIFEST,
    config: editConfig(document['config'] as JsonRecord, manifest, config, place),
    layers: manifest.layers.map((from, i) =>
      editLayer(written[i] ?? {}, from, layers[i] ?? from, place, `${what}, layer ${i + 1}`),
    ),
  };
  const carried = drops(place) ? {} : document;
  return { bytes: writeJson({ ...edited, ...carried, ...edited }, what), mediaType: edited.mediaType };
}

/** Where a descriptor is written to. */
interface Place {
  readonly format: ManifestFormat;
  /** Whether it comes from the other format. */
  readonly converts: boolean;
}

/** Whether what the format does not define is left out. */
function drops({ format, converts }: Place): boolean {
  return converts && format === 'v2s2';
}

function same(a: Descriptor, b: Descriptor | undefined): boolean {
  return (
    a.digest === b?.digest &&
    a.size === b.size &&
    a.mediaType === b.mediaType &&
    JSON.stringify(a.urls) === JSON.stringify(b.urls)
  );
}

/** Schema 2 knows images alone; its readers take the config of anything else for an image's. */
function requireImage({ config }: ImageManifest, what: string): void {
  if (config.mediaType === types.OCI_CONFIG || config.mediaType === types.DOCKER_CONFIG) return;
  const found = JSON.stringify(config.mediaType.slice(0, 200));
  throw new AtomicError('unsupported', `${what} has a config of the type ${found}, which is no image's`, {
    hint: "Docker's format holds images only: copy it in OCI's, to a destination that takes that.",
  });
}

function editConfig(
  written: JsonRecord,
  { mediaType: manifestType, config: from }: ImageManifest,
  to: Descriptor,
  place: Place,
): JsonRecord {
  if (!place.converts && same(to, from)) return written;
  const isImage = types.isImageConfig(to.mediaType, manifestType);
  const imageConfig = place.format === 'oci' ? types.OCI_CONFIG : types.DOCKER_CONFIG;
  const mediaType = isImage ? imageConfig : to.mediaType;
  return writeDescriptor(written, from, { ...to, mediaType }, place);
}

function editLayer(
  written: JsonRecord,
  from: Descriptor,
  to: Descriptor,
  place: Place,
  what: string,
): JsonRecord {
  if (!place.converts && same(to, from)) return written;
  return writeDescriptor(written, from, { ...to, mediaType: typeInFormat(to, place.format, what) }, place);
}

/** The layer's media type in a format; OCI's may hold anything. */
function typeInFormat({ mediaType }: Descriptor, format: ManifestFormat, what: string): string {
  const type = types.layerTypeOf(mediaType);
  if (type === undefined) {
    if (format === 'oci') return mediaType;
    const found = JSON.stringify(mediaType.slice(0, 200));
    throw new AtomicError(
      'unsupported',
      `${what} has the type ${found}, and Docker's format has none for it`,
      {
        hint: "Copy it in OCI's format, to a destination that takes that.",
      },
    );
  }
  if (types.canHoldLayer(format, type.compression)) {
    return types.layerMediaType(format, type.compression, type.foreign);
  }
  throw new AtomicError(
    'unsupported',
    `${what} is compressed with zstd, which Docker's format does not have`,
    {
      hint: "Have the layers compressed with gzip, or keep OCI's format.",
    },
  );
}

/**
 * A descriptor as it is written: known fields by `to`, all others as they were, but for those that spoke of bytes that
 * were replaced: where else they are, their copy in the manifest, their table of contents.
 */
function writeDescriptor(written: JsonRecord, from: Descriptor, to: Descriptor, place: Place): JsonRecord {
  const { mediaType, digest, size } = to;
  const isReplaced = from.digest !== digest;
  const urls = isReplaced || to.urls === undefined ? {} : { urls: to.urls };
  if (drops(place)) return { mediaType, size, digest, ...urls };
  const { urls: _, data, annotations, ...others } = written;
  const kept = isReplaced ? withoutOldContents(annotations) : annotations;
  return {
    ...others,
    mediaType,
    digest,
    size,
    ...urls,
    ...(isReplaced || data === undefined ? {} : { data }),
    ...(kept === undefined ? {} : { annotations: kept }),
  };
}

function withoutOldContents(annotations: unknown): unknown {
  if (!isRecord(annotations)) return annotations;
  const entries = Object.entries(annotations);
  const kept = entries.filter(([key]) => !OF_COMPRESSED_BYTES.some((prefix) => key.startsWith(prefix)));
  return kept.length === 0 && entries.length > 0 ? undefined : Object.fromEntries(kept);
}
