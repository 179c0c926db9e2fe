import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { AtomicError, describeDiskFull, TEMP_SPACE_HINT } from '../errors.ts';
import { UNKNOWN_SIZE, type Descriptor } from '../image/descriptor.ts';
import { digestFromHex, type Digest } from '../image/digest.ts';
import { writeJson } from '../image/json.ts';
import type { RawManifest } from '../image/manifest.ts';
import {
  DOCKER_CONFIG,
  DOCKER_LAYER,
  DOCKER_MANIFEST,
  layerMediaType,
  type Compression,
} from '../image/media-type.ts';
import { digestedBytes, isSchema1, makeConfig, parseSchema1 } from '../image/schema1.ts';
import { limitExceeded, limitOf } from '../limits.ts';
import {
  createDecompressor,
  describeBrokenStream,
  detectCompression,
  peek,
  UnpackedLimit,
} from '../stream/decompress.ts';
import { digestOf, verifyBytes, VerifyStream } from '../stream/verify.ts';
import { streamRange } from '../transport/local-file.ts';
import { openNameless } from '../transport/temp-folder.ts';
import type { ImageSource } from '../transport/transport.ts';

export interface Schema1Options {
  /** Where the layers of such an image wait, in a file without a name. */
  readonly tempFolder: string;
  readonly signal: AbortSignal;
}

/**
 * A source that also takes images of the old schema 1, which it shows as schema 2 ones: always the same for the same
 * image, and the same that skopeo makes. Nothing is done before such a manifest comes; everything else passes through.
 *
 * Schema 1 knows neither sizes nor DiffIDs. So `getManifest` fetches all layers, verified; those that are wanted later
 * are read from disk. Its answer says which digest it was made from, already compared with the one asked for.
 * @throws AtomicError from `getManifest` and `getBlob`: as the source's own; `manifest-invalid`, `digest-mismatch`,
 * `limit-exceeded`, `compression-unsupported`, `stream-broken`, `disk-full`
 */
export function acceptSchema1(source: ImageSource, options: Schema1Options): ImageSource {
  const spool = new Spool(source, options);
  const made = new Map<Digest, Promise<RawManifest>>();
  return {
    name: source.name,
    ...(source.madeManifest === undefined ? {} : { madeManifest: source.madeManifest }),
    ...(source.seekable === undefined ? {} : { seekable: source.seekable }),
    async getManifest(digest) {
      const raw = await source.getManifest(digest);
      // What is too large is refused by its reader.
      if (raw.bytes.length > limitOf('manifest-size') || !isSchema1(raw.bytes)) return raw;
      const what = `the manifest ${digest === undefined ? '' : `${digest} `}of ${source.name}`;
      const signed = digestedBytes(raw.bytes, what);
      if (digest !== undefined) verifyBytes(signed, { digest, size: undefined, what });
      const madeFrom = digest ?? digestOf(signed);
      const converted = made.get(madeFrom) ?? makeManifest(signed, madeFrom, spool, what);
      made.set(madeFrom, converted);
      return converted;
    },
    getBlob: (descriptor, from) => spool.read(descriptor.digest, from) ?? source.getBlob(descriptor, from),
    ...(source.layersForCopy === undefined ? {} : { layersForCopy: source.layersForCopy.bind(source) }),
    ...(source.getSignatures === undefined ? {} : { getSignatures: source.getSignatures.bind(source) }),
    async close() {
      await Promise.all([spool.close(), source.close()]);
    },
  };
}

/** The schema 2 manifest; its layers and its config are in the spool then. */
async function makeManifest(
  bytes: Uint8Array,
  madeFrom: Digest,
  spool: Spool,
  what: string,
): Promise<RawManifest> {
  const schema1 = parseSchema1(bytes, what);
  const layers: Descriptor[] = [];
  const diffIds: Digest[] = [];
  for (const { blobSum, throwaway } of schema1.layers) {
    if (throwaway) continue;
    const { size, diffId, compression } = await spool.fetch(blobSum);
    layers.push({ mediaType: layerMediaType('v2s2', compression), size, digest: blobSum });
    diffIds.push(diffId);
  }
  const config = makeConfig(schema1, diffIds, what);
  const digest = digestOf(config);
  spool.add(digest, config);
  const manifest = {
    schemaVersion: 2,
    mediaType: DOCKER_MANIFEST,
    config: { mediaType: DOCKER_CONFIG, size: config.length, digest },
    layers,
  };
  return { bytes: writeJson(manifest, what), mediaType: DOCKER_MANIFEST, madeFrom };
}

/** Bytes enough to tell every compression that we know of. */
const MAGIC_BYTES = 6;

/** A layer in the spool's file. */
interface SpooledLayer {
  readonly start: number;
  /** Bytes as they are stored. */
  readonly size: number;
  readonly diffId: Digest;
  readonly compression: Compression;
}

/** Verified blobs in one file that only its handle leads to, so that nothing of it outlives us, however we end. */
class Spool {
  readonly #source: ImageSource;
  readonly #options: Schema1Options;
  readonly #layers = new Map<Digest, SpooledLayer>();
  readonly #configs = new Map<Digest, Uint8Array>();
  #file: FileHandle | undefined;
  #end = 0;

  constructor(source: ImageSource, options: Schema1Options) {
    this.#source = source;
    this.#options = options;
  }

  add(digest: Digest, config: Uint8Array): void {
    this.#configs.set(digest, config);
  }

  /** Undefined for what is not in it. */
  read(digest: Digest, from = 0): Promise<Readable> | undefined {
    const config = this.#configs.get(digest);
    if (config !== undefined) {
      return Promise.resolve(Readable.from([config.subarray(from)], { objectMode: false }));
    }
    const layer = this.#layers.get(digest);
    if (layer === undefined || this.#file === undefined) return undefined;
    const what = `the temp file of ${this.#source.name}`;
    return Promise.resolve(streamRange(this.#file, layer.start + from, layer.size - from, what));
  }

  /** Brings a layer in, unless it is there. One at a time. */
  async fetch(digest: Digest): Promise<SpooledLayer> {
    const known = this.#layers.get(digest);
    if (known !== undefined) return known;
    const { tempFolder, signal } = this.#options;
    const what = `the layer ${digest} of ${this.#source.name}`;
    try {
      this.#file ??= await openNameless(tempFolder);
      const layer = await this.#store(this.#file, digest, what);
      this.#layers.set(digest, layer);
      this.#end += layer.size;
      return layer;
    } catch (error) {
      signal.throwIfAborted();
      throw describeDiskFull(describeBrokenStream(error, what), tempFolder, TEMP_SPACE_HINT);
    }
  }

  async #store(file: FileHandle, digest: Digest, what: string): Promise<SpooledLayer> {
    const { signal } = this.#options;
    const start = this.#end;
    const blob = await this.#source.getBlob({ mediaType: DOCKER_LAYER, digest, size: UNKNOWN_SIZE });
    // Until the pipeline listens; what went wrong is then still there to be read.
    blob.on('error', () => undefined);
    const stored = new VerifyStream({ digest, size: undefined, what });
    const passed = (): number => stored.bytesPassed;
    const write = (chunks: AsyncIterable<Buffer>): AsyncIterable<Buffer> => keep(chunks, file, start, what);
    const content = createHash('sha256');
    try {
      const compression = detectCompression(await peek(blob, MAGIC_BYTES), what);
      const decompressor = createDecompressor(compression, {
        what,
        bytesPassed: passed,
        startZstd: () => refuseZstd(what),
      });
      const unpacked = new UnpackedLimit(what, passed);
      const read = async (chunks: AsyncIterable<Buffer>): Promise<void> => {
        for await (const chunk of chunks) content.update(chunk);
      };
      if (decompressor === undefined) await pipeline(blob, stored, write, unpacked, read, { signal });
      else await pipeline(blob, stored, write, decompressor, unpacked, read, { signal });
      if (!stored.verified) {
        throw new AtomicError('stream-broken', `${what} has bytes behind the end of its compressed stream`);
      }
      const diffId = digestFromHex('sha256', content.digest('hex'));
      return { start, size: passed(), diffId, compression };
    } finally {
      blob.destroy();
    }
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }
}

/** Passes bytes on that are in the file then. */
async function* keep(
  chunks: AsyncIterable<Buffer>,
  file: FileHandle,
  start: number,
  what: string,
): AsyncGenerator<Buffer> {
  const limit = limitOf('layer-size');
  let size = 0;
  for await (const chunk of chunks) {
    if (size + chunk.length > limit) {
      throw limitExceeded('layer-size', `${what} has more than ${limit} bytes`);
    }
    for (let done = 0; done < chunk.length;) {
      const { bytesWritten } = await file.write(chunk, done, chunk.length - done, start + size + done);
      done += bytesWritten;
    }
    size += chunk.length;
    yield chunk;
  }
}

function refuseZstd(what: string): never {
  throw new AtomicError(
    'compression-unsupported',
    `${what} is compressed with zstd, which schema 1 never was`,
  );
}
