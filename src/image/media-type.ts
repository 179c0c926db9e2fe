/** Media types of manifests, configs and layers: image-spec media-types.md, and Docker's "Image Manifest V 2, Schema 2". */

export const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';
export const OCI_CONFIG = 'application/vnd.oci.image.config.v1+json';
export const OCI_LAYER = 'application/vnd.oci.image.layer.v1.tar';
export const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';
export const DOCKER_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json';
export const DOCKER_CONFIG = 'application/vnd.docker.container.image.v1+json';
export const DOCKER_LAYER = 'application/vnd.docker.image.rootfs.diff.tar';

export const DOCKER_SCHEMA1 = 'application/vnd.docker.distribution.manifest.v1+json';
export const DOCKER_SCHEMA1_SIGNED = 'application/vnd.docker.distribution.manifest.v1+prettyjws';

/** What Docker's manifests have called the config of an image besides: moby `distribution.ImageTypes`, distribution#1621. */
const ODD_DOCKER_CONFIGS: ReadonlySet<string> = new Set([
  'application/octet-stream',
  'application/json',
  'text/html',
  '',
]);

/** Whether a config of this type, in a manifest of that type, is an image's. */
export function isImageConfig(mediaType: string, manifestType: string): boolean {
  if (mediaType === OCI_CONFIG || mediaType === DOCKER_CONFIG) return true;
  return manifestType === DOCKER_MANIFEST && ODD_DOCKER_CONFIGS.has(mediaType);
}

/** What we tell a registry that we read, the plain manifests first and what was given up last. */
export const ACCEPTED_MANIFESTS: readonly string[] = [
  OCI_MANIFEST,
  DOCKER_MANIFEST,
  OCI_INDEX,
  DOCKER_LIST,
  DOCKER_SCHEMA1_SIGNED,
  DOCKER_SCHEMA1,
];

export function isIndexMediaType(mediaType: string): boolean {
  return mediaType === OCI_INDEX || mediaType === DOCKER_LIST;
}

export type Compression = 'none' | 'gzip' | 'zstd';

/** The two formats of manifests that we write: OCI's, and Docker's schema 2. */
export type ManifestFormat = 'oci' | 'v2s2';

export interface LayerType {
  readonly compression: Compression;
  /** Not to be pushed elsewhere without its owner's leave: "foreign" to Docker, "nondistributable" to OCI. */
  readonly foreign: boolean;
}

const NAMES: Readonly<Record<ManifestFormat, { base: string; foreign: string; separator: string }>> = {
  oci: {
    base: OCI_LAYER,
    foreign: 'application/vnd.oci.image.layer.nondistributable.v1.tar',
    separator: '+',
  },
  v2s2: {
    base: DOCKER_LAYER,
    foreign: 'application/vnd.docker.image.rootfs.foreign.diff.tar',
    separator: '.',
  },
};

const LAYER_TYPES: ReadonlyMap<string, LayerType> = new Map(
  (['oci', 'v2s2'] as const).flatMap((format) =>
    (['none', 'gzip', 'zstd'] as const).flatMap((compression) =>
      [false, true].map((foreign): [string, LayerType] => [
        layerMediaType(format, compression, foreign),
        { compression, foreign },
      ]),
    ),
  ),
);

/**
 * The media type of a layer. Docker never defined one for zstd: `.zstd` is what some tools write, and no engine reads.
 * @see canHoldLayer
 */
export function layerMediaType(format: ManifestFormat, compression: Compression, foreign = false): string {
  const { base, foreign: elsewhere, separator } = NAMES[format];
  return `${foreign ? elsewhere : base}${compression === 'none' ? '' : `${separator}${compression}`}`;
}

/** Whether a format has a media type for layers that are compressed like this: containers/image refuses the same. */
export function canHoldLayer(format: ManifestFormat, compression: Compression): boolean {
  return format === 'oci' || compression !== 'zstd';
}

/** The format of a manifest or an index; undefined for what is neither, or schema 1. */
export function formatOf(mediaType: string): ManifestFormat | undefined {
  if (mediaType === OCI_MANIFEST || mediaType === OCI_INDEX) return 'oci';
  return mediaType === DOCKER_MANIFEST || mediaType === DOCKER_LIST ? 'v2s2' : undefined;
}

/** What a layer's media type says; undefined for what is no layer. */
export function layerTypeOf(mediaType: string): LayerType | undefined {
  return LAYER_TYPES.get(mediaType);
}

/** How a layer of this media type says that it is compressed; undefined for what is no layer. */
export function compressionOf(mediaType: string): Compression | undefined {
  return LAYER_TYPES.get(mediaType)?.compression;
}

/** Whether a descriptor's media type is a file-system layer. Its bytes, not its name, tell how it is compressed. */
export function isLayerMediaType(mediaType: string): boolean {
  return LAYER_TYPES.has(mediaType);
}
