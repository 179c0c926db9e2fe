import { pipeline } from 'node:stream';
import { AtomicError } from '../errors.ts';
import { parseImageConfig, type ImageConfig } from '../image/config.ts';
import type { Descriptor } from '../image/descriptor.ts';
import type { Digest } from '../image/digest.ts';
import { parseManifest, type ImageManifest, type RawManifest } from '../image/manifest.ts';
import { isLayerMediaType } from '../image/media-type.ts';
import { choosePlatform, formatPlatform, type Platform } from '../image/platform.ts';
import { limitExceeded, limitOf, type Cap } from '../limits.ts';
import { readAll } from '../stream/read-all.ts';
import { digestOf, verifyBytes, VerifyStream } from '../stream/verify.ts';
import type { ImageSource } from '../transport/transport.ts';

/** A manifest whose bytes are what its digest says. */
export interface ResolvedManifest {
  readonly raw: RawManifest;
  readonly digest: Digest;
  readonly manifest: ImageManifest;
}

/** An image for one platform: everything but its layers' bytes, verified. */
export interface ResolvedImage extends ResolvedManifest {
  readonly configBytes: Uint8Array;
  readonly config: ImageConfig;
}

/**
 * Follows a source's reference to one manifest, through indexes to the platform's own.
 * @param expected the digest that the reference names, which the manifest or index must have
 * @throws AtomicError `platform-missing` naming those there are, `digest-mismatch`, `manifest-invalid`, `limit-exceeded`
 */
export async function resolveManifest(
  source: ImageSource,
  platform: Platform,
  expected: Digest | undefined,
): Promise<ResolvedManifest> {
  let wanted = expected;
  const depths = limitOf('index-depth');
  for (let depth = 0; depth <= depths; depth++) {
    const what =
      depth === 0 ? `the manifest of ${source.name}` : `the manifest ${wanted ?? ''} of ${source.name}`;
    const raw = await source.getManifest(wanted);
    const limit = limitOf('manifest-size');
    if (raw.bytes.length > limit) {
      throw limitExceeded('manifest-size', `${what} is larger than the limit of ${limit} bytes`);
    }
    const digest = verifyManifest(raw, wanted, what);
    const document = parseManifest(raw, what);
    if (document.kind === 'manifest') return { raw, digest, manifest: document };
    const entry = choosePlatform(document.manifests, platform);
    if (entry === undefined) throw noSuchPlatform(source.name, platform, document.manifests);
    wanted = entry.digest;
  }
  throw limitExceeded('index-depth', `${source.name} nests more than ${depths} indexes`);
}

/**
 * The digest of a manifest, which is the wanted one when there is one. What was made from a schema 1 manifest
 * (schema1-source.ts) has another than the one that the reference names.
 * @throws AtomicError `digest-mismatch`
 */
export function verifyManifest(raw: RawManifest, wanted: Digest | undefined, what: string): Digest {
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

function noSuchPlatform(name: string, wanted: Platform, entries: readonly Descriptor[]): AtomicError {
  const there = entries
    .map(({ platform }) => (platform === undefined ? '' : formatPlatform(platform)))
    .filter(Boolean);
  return new AtomicError(
    'platform-missing',
    `${name} has no image for ${formatPlatform(wanted)}; it has ${there.length === 0 ? 'none that names a platform' : there.join(', ')}`,
    { hint: 'Build or push the image for this platform, or name one of its manifests by digest.' },
  );
}

/**
 * Reads what a manifest points at, its layers aside.
 * @throws AtomicError `config-invalid`; `platform-missing` when a single image is for another platform; `unsupported`
 */
export async function readImage(
  source: ImageSource,
  resolved: ResolvedManifest,
  platform: Platform,
): Promise<ResolvedImage> {
  const { manifest } = resolved;
  for (const layer of manifest.layers) checkLayer(layer, source.name);
  const what = `the config of ${source.name}`;
  const configBytes = await readBlob(source, manifest.config, 'config-size', what);
  const config = parseImageConfig(configBytes, what);
  if (config.diffIds.length !== manifest.layers.length) {
    throw new AtomicError(
      'config-invalid',
      `${what} lists ${config.diffIds.length} DiffIDs for the ${manifest.layers.length} layers of its manifest`,
    );
  }
  const { os, architecture } = config;
  if (architecture !== '' && (architecture !== platform.architecture || os !== platform.os)) {
    throw noSuchPlatform(source.name, platform, [{ ...manifest.config, platform: { os, architecture } }]);
  }
  return { ...resolved, configBytes, config };
}

function checkLayer(layer: Descriptor, name: string): void {
  if (!isLayerMediaType(layer.mediaType)) {
    throw new AtomicError(
      'unsupported',
      `${name} is no container image: it has a layer of the type ${JSON.stringify(layer.mediaType)}`,
    );
  }
  const limit = limitOf('layer-size');
  if (layer.size > limit) {
    const sentence = `${name} has a layer of ${layer.size} bytes; the limit is ${limit}`;
    throw limitExceeded('layer-size', sentence, layer.size);
  }
}

/** A small blob, whole and verified. */
export async function readBlob(
  source: ImageSource,
  descriptor: Descriptor,
  cap: Cap,
  what: string,
): Promise<Buffer> {
  checkSize(descriptor, cap, what);
  const verify = new VerifyStream({ digest: descriptor.digest, size: descriptor.size, what });
  const blob = await source.getBlob(descriptor);
  // Its outcome is that of `verify`.
  pipeline(blob, verify, () => undefined);
  try {
    return await readAll(verify, cap, what);
  } finally {
    blob.destroy();
  }
}

/** @throws AtomicError `limit-exceeded` for a blob that is larger than its cap */
export function checkSize({ size }: Descriptor, cap: Cap, what: string): void {
  const limit = limitOf(cap);
  if (size > limit) throw limitExceeded(cap, `${what} has ${size} bytes; the limit is ${limit}`, size);
}
