/**
 * What this project and its predecessors call things in the ostree repo. A repo written by skopeo or atomic is read
 * with these, and ours by them: none of these may change.
 */
import { hexOf, type Digest } from '../image/digest.ts';

/** All refs of images, layers and configs live below this. */
export const REF_PREFIX = 'ociimage/';

/** Commit metadata; every value is a string. */
export const METADATA = {
  /** Layer, config: compressed bytes. */
  size: 'docker.size',
  /** Layer: bytes of the uncompressed tar, and its digest (the DiffID). */
  uncompressedSize: 'docker.uncompressed_size',
  uncompressedDigest: 'docker.uncompressed_digest',
  /** Layer: what its tar is made of besides its files, as tar-split writes it: gzip, in base64. May be megabytes. */
  tarSplit: 'tarsplit.output',
  /** Ours, layer: how many entries others of the same name replaced, whose contents are not kept; absent for none. */
  filesReplaced: 'atomic-ts.files-replaced',
  /** Ours, layer: how many device nodes and FIFOs were left out; absent for none. */
  devicesLeftOut: 'atomic-ts.devices-left-out',
  /** Image. */
  manifest: 'docker.manifest',
  digest: 'docker.digest',
  signatures: 'signatures',
  /** Ours, image: what to pull again for a newer one, as a reference text; and the name as it was given. */
  source: 'atomic-ts.source',
  name: 'atomic-ts.name',
} as const;

/** The ref of a layer or a config blob. */
export function blobRef(digest: Digest): string {
  return `${REF_PREFIX}${hexOf(digest)}`;
}

/** The ref of an image; `latest` is spelled out, a digest stays part of the name. */
export function imageRef(name: string): string {
  return `${REF_PREFIX}${encodeName(withTag(name))}`;
}

/** Whether a ref below the prefix is a layer's or a config's. */
export function isBlobRef(ref: string): boolean {
  return /^ociimage\/(?:[0-9a-f]{64}|[0-9a-f]{128})$/.test(ref);
}

/** The image's name that a ref stands for, tag included. */
export function decodeImageRef(ref: string): string {
  const encoded = ref.slice(REF_PREFIX.length);
  return Buffer.from(
    encoded.replace(/_([0-9A-F]{2})/g, (_match, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    ),
    'latin1',
  ).toString('utf8');
}

/** `name` with `:latest` when it has neither tag nor digest. */
export function withTag(name: string): string {
  if (name.includes('@')) return name;
  return name.lastIndexOf(':') > name.lastIndexOf('/') ? name : `${name}:latest`;
}

/** Every byte outside `[A-Za-z0-9.-]` becomes `_XX`. */
function encodeName(name: string): string {
  return Buffer.from(name, 'utf8')
    .toString('latin1')
    .replace(
      /[^A-Za-z0-9.-]/g,
      (char) => `_${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
    );
}
