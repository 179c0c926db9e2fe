/**
 * `ostree:NAME[@REPO]` as a destination: what a pull does, driven by a copy. Layers come in as trees without a ref; in
 * `commit` they become visible in the manifest's order, then the config, then the image.
 */
import type { Readable } from 'node:stream';
import { AtomicError } from '../../errors.ts';
import { parseImageConfig } from '../../image/config.ts';
import type { Descriptor } from '../../image/descriptor.ts';
import type { Digest } from '../../image/digest.ts';
import { parseManifest, type ImageManifest, type RawManifest } from '../../image/manifest.ts';
import { DOCKER_MANIFEST, OCI_MANIFEST } from '../../image/media-type.ts';
import { limitExceeded, SIGNATURES } from '../../limits.ts';
import { readAll } from '../../stream/read-all.ts';
import type { ImageDestination } from '../../transport/transport.ts';
import type { ImageStore } from '../image-store.ts';
import type { ImportedLayer, LayerToImport } from '../import-layer.ts';
import { withTag } from '../names.ts';

export interface OstreeDestinationOptions {
  /** As it was given; `latest` is added where it has no tag. */
  readonly name: string;
  /** How a person would write the reference. */
  readonly shown: string;
  /** What to pull again for a newer image, where that is known. */
  readonly source: string | undefined;
  /** Waited for before the first ref is written. */
  readonly beforeVisible: () => Promise<unknown>;
  /** Called once all refs are written: brings them to the disk. */
  readonly sync: () => Promise<void>;
  /** Called when the destination is closed. */
  readonly release: () => Promise<void>;
}

/** The store is there already. @throws AtomicError of the importer, from `putBlob` */
export function createOstreeDestination(
  store: ImageStore,
  options: OstreeDestinationOptions,
): ImageDestination {
  const incoming = new IncomingImage(store, options);
  return {
    name: options.shown,
    traits: {
      manifestTypes: [DOCKER_MANIFEST, OCI_MANIFEST],
      layers: 'kept',
      foreignLayers: false,
      signatures: true,
      parallel: true,
    },
    folder: store.repository.path,
    hasBlob: ({ digest }) => incoming.hasLayer(digest),
    putBlob: (descriptor, bytes, diffId) =>
      diffId === undefined
        ? incoming.putConfig(descriptor, bytes)
        : incoming.putLayer(descriptor, bytes, diffId),
    async putManifest(manifest, digest, role) {
      if (role === 'reference') incoming.manifest = { ...manifest, digest };
      else
        throw new AtomicError(
          'unsupported',
          `${options.shown} cannot hold an index: a repo keeps single images`,
        );
    },
    async putSignatures(signatures, _digest, role) {
      if (signatures.length > SIGNATURES)
        throw limitExceeded(
          SIGNATURES,
          `${options.shown} is given ${signatures.length} signatures; ${SIGNATURES} are allowed`,
        );
      if (role === 'reference') incoming.signatures = signatures;
    },
    commit: () => incoming.commit(),
    close: () => incoming.close(),
  };
}

/** An image on its way in. */
class IncomingImage {
  manifest: (RawManifest & { readonly digest: Digest }) | undefined;
  signatures: readonly Uint8Array[] = [];
  readonly #store: ImageStore;
  readonly #options: OstreeDestinationOptions;
  /** Layers whose trees are there, without a ref. */
  readonly #pending = new Map<Digest, ImportedLayer>();
  readonly #configs = new Map<Digest, Buffer>();

  constructor(store: ImageStore, options: OstreeDestinationOptions) {
    this.#store = store;
    this.#options = options;
  }

  /** A config is always sent, as it costs less than to look whether it is there. */
  async hasLayer(digest: Digest): Promise<boolean> {
    return (await this.#store.findLayer(digest))?.diffId !== undefined;
  }

  async putConfig({ digest, size }: Descriptor, bytes: Readable): Promise<void> {
    this.#configs.set(
      digest,
      await readAll(bytes, 'config-size', `the blob ${digest} (${size} bytes) for ${this.#options.shown}`),
    );
  }

  async putLayer(descriptor: Descriptor, bytes: Readable, diffId: Digest): Promise<void> {
    const layer: LayerToImport = {
      descriptor,
      diffId,
      bytes,
      what: `the layer ${descriptor.digest}`,
      onProgress: () => undefined,
    };
    this.#pending.set(descriptor.digest, await this.#store.importLayer(layer));
  }

  async commit(): Promise<void> {
    const { name, shown, source, beforeVisible, sync } = this.#options;
    const { manifest } = this;
    if (manifest === undefined) throw new AtomicError('internal', `${shown} was given no manifest`);
    const parsed = parseManifest(manifest, `the manifest for ${shown}`);
    if (parsed.kind !== 'manifest')
      throw new AtomicError('unsupported', `${shown} cannot hold an index: a repo keeps single images`);
    const config = this.#configs.get(parsed.config.digest);
    if (config === undefined) throw new AtomicError('internal', `${shown} was given no config`);
    await this.#checkLayers(parsed, config);
    await beforeVisible();
    for (const { digest } of parsed.layers) {
      const layer = this.#pending.get(digest);
      this.#pending.delete(digest);
      await layer?.publish();
    }
    await this.#store.commitImage({
      name: withTag(name),
      source,
      digest: manifest.digest,
      manifestBytes: manifest.bytes,
      configDigest: parsed.config.digest,
      configBytes: config,
      signatures: this.signatures,
    });
    await sync();
  }

  async close(): Promise<void> {
    try {
      await Promise.all([...this.#pending.values()].map((layer) => layer.discard()));
    } finally {
      this.#pending.clear();
      await this.#options.release();
    }
  }

  /** Layers that were there unpack to what this image's config says, as those do that came in. */
  async #checkLayers({ layers }: ImageManifest, config: Buffer): Promise<void> {
    const { shown } = this.#options;
    const { diffIds } = parseImageConfig(config, `the config for ${shown}`);
    for (const [i, { digest }] of layers.entries()) {
      const what = `layer ${i + 1} of ${layers.length} of ${shown}`;
      if (diffIds[i] === undefined)
        throw new AtomicError('config-invalid', `${what} has no DiffID in the config`);
      const stored = await this.#store.findLayer(digest);
      if (stored === undefined && !this.#pending.has(digest))
        throw new AtomicError('internal', `${what} was not given`);
      const diffId = this.#pending.get(digest)?.diffId ?? stored?.diffId;
      if (diffId !== diffIds[i])
        throw new AtomicError(
          'digest-mismatch',
          `${what} unpacks to ${diffId ?? 'nothing known'}; the config names ${diffIds[i]}`,
        );
    }
  }
}
