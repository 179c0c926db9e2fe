import { AtomicError } from '../errors.ts';
import { limitExceeded, limitOf } from '../limits.ts';
import { parseDescriptor, type Descriptor } from './descriptor.ts';
import type { Digest } from './digest.ts';
import {
  isRecord,
  optionalStringMap,
  parseJson,
  refuseOtherSpellings,
  refuseRepeatedKeys,
  type JsonRecord,
} from './json.ts';
import * as types from './media-type.ts';

/** A manifest as its source gave it; its digest is that of exactly these bytes. */
export interface RawManifest {
  readonly bytes: Uint8Array;
  /** As the source said it; may be empty, and is only a hint. */
  readonly mediaType: string;
  /**
   * The digest of the schema 1 manifest that these bytes were made from, verified: what a reference names by digest is
   * that one. The bytes have a digest of their own.
   */
  readonly madeFrom?: Digest;
}

export interface ImageManifest {
  readonly kind: 'manifest';
  readonly mediaType: string;
  readonly config: Descriptor;
  /** Base layer first. */
  readonly layers: readonly Descriptor[];
  readonly annotations: Readonly<Record<string, string>>;
}

export interface ImageIndex {
  readonly kind: 'index';
  readonly mediaType: string;
  readonly manifests: readonly Descriptor[];
}

const FIELDS = ['schemaVersion', 'mediaType', 'config', 'layers', 'manifests', 'annotations', 'fsLayers'];

/**
 * Reads a manifest or an index. The document's own fields decide what it is; a document that could be read as both
 * is refused, so that no two tools see different images under one digest. Config and layers may be of any type: an artifact's are.
 * @param what subject of the error's sentence: "the manifest of docker.io/x".
 * @throws AtomicError `manifest-invalid`, `unsupported` (schema 1, what is neither), `limit-exceeded`
 * @see image-spec manifest.md, image-index.md; distribution "Image Manifest V 2, Schema 2"
 */
export function parseManifest(raw: RawManifest, what: string): ImageManifest | ImageIndex {
  const document = parseJson(raw.bytes, what);
  if (!isRecord(document)) throw new AtomicError('manifest-invalid', `${what} is not a JSON object`);
  refuseOtherSpellings(document, FIELDS, what);
  refuseRepeatedKeys(raw.bytes, document, what);
  if (document['schemaVersion'] === 1) {
    throw new AtomicError('unsupported', `${what} has the old schema 1 format`, {
      hint: 'Push the image again with a current tool; schema 1 was given up in 2017.',
    });
  }
  if (document['schemaVersion'] !== 2) {
    throw new AtomicError('manifest-invalid', `${what} has no schemaVersion 2`);
  }
  const mediaType = mediaTypeOf(document, raw.mediaType, what);
  if (types.isIndexMediaType(mediaType)) return readIndex(document, mediaType, what);
  return readManifest(document, mediaType, what);
}

function mediaTypeOf(document: JsonRecord, told: string, what: string): string {
  const looksLikeIndex = 'manifests' in document;
  const looksLikeManifest = 'config' in document || 'layers' in document || 'fsLayers' in document;
  if (looksLikeIndex && looksLikeManifest) {
    throw new AtomicError('manifest-invalid', `${what} is a manifest and an index at once`);
  }
  const own = typeof document['mediaType'] === 'string' ? document['mediaType'] : '';
  // A served Content-Type that is no manifest type at all (text/plain, octet-stream) says nothing.
  const known = new Set([types.OCI_MANIFEST, types.OCI_INDEX, types.DOCKER_MANIFEST, types.DOCKER_LIST]);
  const mediaType =
    own !== '' ? own : known.has(told) ? told : looksLikeIndex ? types.OCI_INDEX : types.OCI_MANIFEST;
  if (!known.has(mediaType)) {
    throw new AtomicError(
      'unsupported',
      `${what} has the media type ${JSON.stringify(mediaType.slice(0, 200))}, which is no image`,
    );
  }
  if (types.isIndexMediaType(mediaType) !== looksLikeIndex) {
    throw new AtomicError('manifest-invalid', `${what} says ${mediaType} but does not have its fields`);
  }
  return mediaType;
}

function readManifest(document: JsonRecord, mediaType: string, what: string): ImageManifest {
  // Go writes an empty list that nobody made as null.
  const layers = document['layers'] === null ? [] : document['layers'];
  if (!Array.isArray(layers)) throw new AtomicError('manifest-invalid', `${what} has no list of layers`);
  const { length } = layers;
  if (length > limitOf('layers')) {
    throw limitExceeded('layers', `${what} has ${length} layers; the limit is ${limitOf('layers')}`, length);
  }
  return {
    kind: 'manifest',
    mediaType,
    config: parseDescriptor(document['config'], `${what}, config`),
    layers: layers.map((layer: unknown, i) => parseDescriptor(layer, `${what}, layer ${i + 1}`)),
    annotations: optionalStringMap(document['annotations'], `${what}, annotations`) ?? {},
  };
}

function readIndex(document: JsonRecord, mediaType: string, what: string): ImageIndex {
  const manifests = document['manifests'];
  if (!Array.isArray(manifests))
    throw new AtomicError('manifest-invalid', `${what} has no list of manifests`);
  return {
    kind: 'index',
    mediaType,
    manifests: manifests.map((entry: unknown, i) => parseDescriptor(entry, `${what}, entry ${i + 1}`)),
  };
}
