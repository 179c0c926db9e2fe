/** Media types of manifests, configs and layers: image-spec media-types.md, and Docker's "Image Manifest V 2, Schema 2". */

export const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';
export const OCI_CONFIG = 'application/vnd.oci.image.config.v1+json';
export const OCI_LAYER = 'application/vnd.oci.image.layer.v1.tar';
export const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';
export const DOCKER_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json';
export const DOCKER_CONFIG = 'application/vnd.docker.container.image.v1+json';
export const DOCKER_LAYER = 'application/vnd.docker.image.rootfs.diff.tar';

/** What we tell a registry that we read, the plain manifests first. */
export const ACCEPTED_MANIFESTS: readonly string[] = [OCI_MANIFEST, DOCKER_MANIFEST, OCI_INDEX, DOCKER_LIST];

export function isIndexMediaType(mediaType: string): boolean {
  return mediaType === OCI_INDEX || mediaType === DOCKER_LIST;
}

export type Compression = 'none' | 'gzip' | 'zstd';

const LAYER_TYPES: ReadonlyMap<string, Compression> = new Map([
  [OCI_LAYER, 'none'],
  [`${OCI_LAYER}+gzip`, 'gzip'],
  [`${OCI_LAYER}+zstd`, 'zstd'],
  ['application/vnd.oci.image.layer.nondistributable.v1.tar', 'none'],
  ['application/vnd.oci.image.layer.nondistributable.v1.tar+gzip', 'gzip'],
  ['application/vnd.oci.image.layer.nondistributable.v1.tar+zstd', 'zstd'],
  [DOCKER_LAYER, 'none'],
  [`${DOCKER_LAYER}.gzip`, 'gzip'],
  [`${DOCKER_LAYER}.zstd`, 'zstd'],
  ['application/vnd.docker.image.rootfs.foreign.diff.tar', 'none'],
  ['application/vnd.docker.image.rootfs.foreign.diff.tar.gzip', 'gzip'],
]);

/** How a layer of this media type says that it is compressed; undefined for what is no layer. */
export function compressionOf(mediaType: string): Compression | undefined {
  return LAYER_TYPES.get(mediaType);
}

/** Whether a descriptor's media type is a file-system layer. Its bytes, not its name, tell how it is compressed. */
export function isLayerMediaType(mediaType: string): boolean {
  return LAYER_TYPES.has(mediaType);
}
