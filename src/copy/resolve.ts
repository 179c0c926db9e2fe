import { addAbortSignal, pipeline } from 'node:stream';
import { AtomicError } from '../errors.ts';
import { parseImageConfig, type ImageConfig } from '../image/config.ts';
import type { Descriptor } from '../image/descriptor.ts';
import type { Digest } from '../image/digest.ts';
import type { ImageIndex, ImageManifest, RawManifest } from '../image/manifest.ts';
import { isLayerMediaType } from '../image/media-type.ts';
import { choosePlatform, formatPlatform, platformsOf, type Platform } from '../image/platform.ts';
import { limitExceeded, limitOf, type Cap } from '../limits.ts';
import { readAll } from '../stream/read-all.ts';
import { VerifyStream } from '../stream/verify.ts';
import { formatAvailable } from '../transport/available-names.ts';
import type { ImageSource } from '../transport/transport.ts';
import { isManifest, readDocument, type SourceDocument } from './read-document.ts';

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
  const { raw, digest, content } = await chooseInstance(
    source,
    await readDocument(source, expected),
    platform,
  );
  return { raw, digest, manifest: content };
}

/** Follows a document to one manifest: itself, or the platform's own of an index. Throws as `resolveManifest`. */
export async function chooseInstance(
  source: ImageSource,
  start: SourceDocument,
  platform: Platform,
): Promise<SourceDocument<ImageManifest>> {
  let document = start;
  const depths = limitOf('index-depth');
  for (let depth = 0; ; depth++) {
    if (isManifest(document)) return document;
    const { content } = document as SourceDocument<ImageIndex>;
    if (depth === depths)
      throw limitExceeded('index-depth', `${source.name} nests more than ${depths} indexes`);
    const entry = choosePlatform(content.manifests, platform);
    if (entry === undefined) throw noSuchPlatform(source.name, platform, platformsOf(content.manifests));
    document = await readDocument(source, entry.digest);
  }
}

function noSuchPlatform(name: string, wanted: Platform, there: readonly Platform[]): AtomicError {
  const names = [...new Set(there.map(formatPlatform))];
  const available = names.length === 0 ? 'it has none that names a platform' : formatAvailable(names);
  return new AtomicError(
    'platform-missing',
    `${name} has no image for ${formatPlatform(wanted)}; ${available}`,
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
    throw noSuchPlatform(source.name, platform, [{ os, architecture }]);
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

/**
 * A small blob, whole and verified.
 * @param signal gives it up
 */
export async function readBlob(
  source: ImageSource,
  descriptor: Descriptor,
  cap: Cap,
  what: string,
  signal?: AbortSignal,
): Promise<Buffer> {
  checkSize(descriptor, cap, what);
  const verify = new VerifyStream({ digest: descriptor.digest, size: descriptor.size, what });
  const blob = await source.getBlob(descriptor);
  if (signal !== undefined) addAbortSignal(signal, blob);
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
