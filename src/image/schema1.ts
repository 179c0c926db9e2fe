/**
 * Docker's "Image Manifest Version 2, Schema 1", which was given up in 2017 and is only read here: no sizes, no
 * DiffIDs, no config of its own; each layer brings the JSON that a Docker image had before there were manifests.
 * @see distribution docs/spec/manifest-v2-1.md; containers/image `manifest/docker_schema1.go`
 */
import { AtomicError } from '../errors.ts';
import { limitExceeded, limitOf } from '../limits.ts';
import { parseDigest, type Digest } from './digest.ts';
import {
  isRecord,
  parseJson,
  refuseOtherSpellings,
  refuseRepeatedKeys,
  writeJson,
  type JsonRecord,
} from './json.ts';

/** One step of a build. */
export interface Schema1Layer {
  readonly blobSum: Digest;
  /** Whether the step changed no file: its blob is an empty layer that no image has today. */
  readonly throwaway: boolean;
  /** What Docker knew of the image that ended with this step. */
  readonly compatibility: JsonRecord;
}

export interface Schema1Manifest {
  /** That it was pushed as; empty when it does not say. */
  readonly tag: string;
  readonly architecture: string;
  /** Base layer first: the document has them the other way round. */
  readonly layers: readonly Schema1Layer[];
}

/** Whether bytes are a schema 1 manifest by their own word. What is no JSON at all is none. */
export function isSchema1(bytes: Uint8Array): boolean {
  try {
    const document = parseJson(bytes, '');
    return isRecord(document) && document['schemaVersion'] === 1;
  } catch {
    return false;
  }
}

/**
 * The bytes that a manifest's digest is of: all of them, but of a signed schema 1 manifest those that were signed,
 * which its signatures tell how to make out of it. Who signed it is not looked at: the digest is what counts.
 * @throws AtomicError `manifest-invalid` when it is not signed as it should be, or its signatures contradict each other
 * @see distribution docs/spec/manifest-v2-1.md "Signed Manifests"; docker/libtrust `ParsePrettySignature`
 */
export function digestedBytes(bytes: Uint8Array, what: string): Uint8Array {
  if (!isSchema1(bytes)) return bytes;
  const document = parseJson(bytes, what);
  const signatures = isRecord(document) ? document['signatures'] : undefined;
  if (signatures === undefined) return bytes;
  if (!Array.isArray(signatures) || signatures.length === 0) {
    throw new AtomicError('manifest-invalid', `${what} has signatures that are no list`);
  }
  const [first, ...others] = signatures.map((signature: unknown) => readSignature(signature, what));
  const agrees = (other: Signed): boolean => other.length === first?.length && other.tail === first.tail;
  if (first === undefined || !others.every(agrees)) {
    throw new AtomicError('manifest-invalid', `${what} has signatures of different contents`);
  }
  if (first.length > bytes.length) {
    throw new AtomicError('manifest-invalid', `${what} is shorter than what its signatures are of`);
  }
  return Buffer.concat([bytes.subarray(0, first.length), Buffer.from(first.tail, 'base64url')]);
}

/** What was signed: so many bytes of the document, and a tail (base64url) in place of the rest. */
interface Signed {
  readonly length: number;
  readonly tail: string;
}

function readSignature(signature: unknown, what: string): Signed {
  const text = isRecord(signature) ? signature['protected'] : undefined;
  const invalid = new AtomicError('manifest-invalid', `${what} has a signature without a protected header`);
  if (typeof text !== 'string') throw invalid;
  const header = parseJson(Buffer.from(text, 'base64url'), `a signature's header of ${what}`);
  if (!isRecord(header)) throw invalid;
  const { formatLength: length, formatTail: tail } = header;
  if (typeof length !== 'number' || !Number.isSafeInteger(length) || length < 0) throw invalid;
  if (typeof tail !== 'string') throw invalid;
  return { length, tail };
}

const FIELDS = ['schemaVersion', 'architecture', 'fsLayers', 'history', 'signatures'];

/**
 * Reads a schema 1 manifest: only what was signed of a signed one, whatever else stands around it.
 * @param what subject of the error's sentence: "the manifest of docker.io/x".
 * @throws AtomicError `manifest-invalid`, `limit-exceeded`
 */
export function parseSchema1(bytes: Uint8Array, what: string): Schema1Manifest {
  const signed = digestedBytes(bytes, what);
  const document = parseJson(signed, what);
  if (!isRecord(document) || document['schemaVersion'] !== 1) {
    throw new AtomicError(
      'manifest-invalid',
      `${what} is not signed as the schema 1 manifest that it looks like`,
    );
  }
  refuseOtherSpellings(document, FIELDS, what);
  refuseRepeatedKeys(signed, document, what);
  if (['config', 'layers', 'manifests'].some((key) => key in document)) {
    throw new AtomicError('manifest-invalid', `${what} is of schema 1 and of schema 2 at once`);
  }
  const { fsLayers, history, architecture, tag } = document;
  if (!Array.isArray(fsLayers) || !Array.isArray(history) || fsLayers.length !== history.length) {
    throw new AtomicError('manifest-invalid', `${what} does not have as many fsLayers as it has history`);
  }
  const { length } = fsLayers;
  if (length === 0) throw new AtomicError('manifest-invalid', `${what} has no layers`);
  if (length > limitOf('layers')) {
    throw limitExceeded('layers', `${what} has ${length} layers; the limit is ${limitOf('layers')}`, length);
  }
  const layers = fsLayers.map((layer: unknown, i) => readLayer(layer, history[i], `${what}, layer ${i + 1}`));
  return {
    tag: typeof tag === 'string' ? tag : '',
    architecture: typeof architecture === 'string' ? architecture : '',
    layers: withoutRepeated(layers, what).reverse(),
  };
}

function readLayer(layer: unknown, entry: unknown, what: string): Schema1Layer {
  const text = isRecord(entry) ? entry['v1Compatibility'] : undefined;
  if (typeof text !== 'string') throw new AtomicError('manifest-invalid', `${what} has no v1Compatibility`);
  const compatibility = parseJson(text, `${what}, v1Compatibility,`);
  if (!isRecord(compatibility)) {
    throw new AtomicError('manifest-invalid', `${what} has a v1Compatibility that is no JSON object`);
  }
  refuseRepeatedKeys(text, compatibility, `${what}, v1Compatibility,`);
  return {
    blobSum: parseDigest(isRecord(layer) ? layer['blobSum'] : undefined, what),
    throwaway: compatibility['throwaway'] === true,
    compatibility,
  };
}

/**
 * Follows the chain of parents from the newest layer to the base. Docker once wrote layers twice in a row; the newer
 * of the two goes, as it does everywhere.
 */
function withoutRepeated(newestFirst: readonly Schema1Layer[], what: string): Schema1Layer[] {
  const ids = newestFirst.map(({ compatibility }) => compatibility['id']);
  const kept = newestFirst.filter((_, i) => i === newestFirst.length - 1 || ids[i] !== ids[i + 1]);
  const seen = new Set<unknown>();
  for (const [i, { compatibility }] of kept.entries()) {
    const { id, parent = '' } = compatibility;
    if (typeof id !== 'string' || !/^[0-9a-f]{64}$/.test(id) || seen.has(id)) {
      throw new AtomicError('manifest-invalid', `${what} has a layer without an ID of its own`);
    }
    seen.add(id);
    if (parent !== (kept[i + 1]?.compatibility['id'] ?? '')) {
      throw new AtomicError('manifest-invalid', `${what} has a layer whose parent is not the one below it`);
    }
  }
  return kept;
}

/** What described the old image, and means nothing in a config. */
const DROPPED = new Set(['id', 'parent', 'parent_id', 'layer_id', 'throwaway', 'Size']);

/**
 * The config that the image would have in schema 2: that of its newest layer, with DiffIDs and history. The same
 * bytes as those that containers/image makes.
 * @param diffIds of the layers that are no throwaway, base first
 */
export function makeConfig(
  { layers, architecture }: Schema1Manifest,
  diffIds: readonly Digest[],
  what: string,
): Uint8Array {
  const newest = layers.at(-1)?.compatibility ?? {};
  const fields: JsonRecord = {
    ...(architecture === '' ? {} : { architecture }),
    // Docker ran nowhere else when images had no os.
    os: 'linux',
    ...newest,
    rootfs: { type: 'layers', ...(diffIds.length === 0 ? {} : { diff_ids: diffIds }) },
    history: layers.map(historyEntry),
  };
  const kept = Object.entries(fields).filter(([key]) => !DROPPED.has(key));
  const sorted = kept.sort(([a], [b]) => (a < b ? -1 : 1));
  return writeJson(Object.fromEntries(sorted), what);
}

function historyEntry({ compatibility, throwaway }: Schema1Layer): JsonRecord {
  const { created, author, comment, container_config: container } = compatibility;
  const command = isRecord(container) ? container['Cmd'] : undefined;
  const createdBy = Array.isArray(command)
    ? command.filter((word) => typeof word === 'string').join(' ')
    : '';
  return {
    created: typeof created === 'string' ? created : '0001-01-01T00:00:00Z',
    ...(typeof author === 'string' && author !== '' ? { author } : {}),
    ...(createdBy === '' ? {} : { created_by: createdBy }),
    ...(typeof comment === 'string' && comment !== '' ? { comment } : {}),
    ...(throwaway ? { empty_layer: true } : {}),
  };
}
