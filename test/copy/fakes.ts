/** A source and a destination in memory, whose blobs come, fail or wait as a test says. */
import { tmpdir } from 'node:os';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { AtomicError } from '../../src/errors.ts';
import type { Digest } from '../../src/image/digest.ts';
import type { RawManifest } from '../../src/image/manifest.ts';
import type { CopyOptions } from '../../src/copy/copy.ts';
import type { DestinationTraits, ImageDestination, ImageSource } from '../../src/transport/transport.ts';
import type { BuiltImage, BuiltIndex } from '../fixtures/image-builder.ts';

export interface FakeSource extends ImageSource {
  /** Digests of the blobs that were asked for, in their order. */
  readonly asked: Digest[];
  readonly streams: Map<Digest, Readable>;
  readonly manifests: Map<Digest, RawManifest>;
  /** Instead of the blob's bytes. */
  readonly instead: Map<Digest, () => Readable | Promise<Readable>>;
}

export function sourceOf(root: BuiltImage | BuiltIndex): FakeSource {
  const images = root.kind === 'index' ? root.images : [root];
  const blobs = new Map(images.flatMap((image) => [...image.blobs]));
  const manifests = new Map<Digest, RawManifest>(
    [root, ...images].map((each) => [each.digest, { bytes: each.manifest, mediaType: each.mediaType }]),
  );
  const source: FakeSource = {
    name: 'test:image',
    asked: [],
    streams: new Map(),
    manifests,
    instead: new Map(),
    getManifest: (digest = root.digest) => {
      const manifest = manifests.get(digest);
      return manifest === undefined
        ? Promise.reject(new AtomicError('manifest-unknown', `no manifest ${digest}`))
        : Promise.resolve(manifest);
    },
    getBlob: async ({ digest }) => {
      source.asked.push(digest);
      const stream = await (source.instead.get(digest)?.() ?? bytesOf(blobs.get(digest) ?? Buffer.alloc(0)));
      source.streams.set(digest, stream);
      return stream;
    },
    close: () => Promise.resolve(),
  };
  return source;
}

export function bytesOf(...chunks: readonly Uint8Array[]): Readable {
  return Readable.from(chunks, { objectMode: false });
}

/** Gives some bytes and then nothing more, until it is destroyed. */
export function stuck(first: Uint8Array = Buffer.alloc(0)): Readable {
  let given = first.length === 0;
  return new Readable({
    read() {
      if (!given) this.push(first);
      given = true;
    },
  });
}

export class FakeDestination implements ImageDestination {
  readonly name = 'test:destination';
  readonly blobs = new Map<Digest, Buffer>();
  readonly manifests = new Map<Digest, RawManifest>();
  readonly signatures = new Map<Digest, readonly Uint8Array[]>();
  readonly log: string[] = [];
  /** Throws instead of storing a blob, without having read it. */
  refuse: Error | undefined;

  readonly traits: DestinationTraits;
  /** Media types of manifests that are refused as a registry does it. */
  readonly refusedTypes = new Set<string>();

  constructor(traits: Partial<DestinationTraits> = {}) {
    this.traits = {
      manifestTypes: undefined,
      layers: 'kept',
      foreignLayers: false,
      signatures: false,
      parallel: true,
      ...traits,
    };
  }

  hasBlob({ digest }: { digest: Digest }): Promise<boolean> {
    return Promise.resolve(this.blobs.has(digest));
  }

  async putBlob({ digest }: { digest: Digest }, bytes: Readable): Promise<void> {
    if (this.refuse !== undefined) throw this.refuse;
    this.blobs.set(digest, await buffer(bytes));
    this.log.push(`blob ${digest}`);
  }

  putManifest(manifest: RawManifest, digest: Digest, role: 'reference' | 'entry'): Promise<void> {
    if (this.refusedTypes.has(manifest.mediaType)) {
      return Promise.reject(new AtomicError('manifest-refused', `no ${manifest.mediaType} here`));
    }
    this.manifests.set(digest, manifest);
    this.log.push(`${role} ${digest} ${manifest.mediaType} ${manifest.bytes.length}`);
    return Promise.resolve();
  }

  putSignatures(signatures: readonly Uint8Array[], digest: Digest, role: string): Promise<void> {
    this.signatures.set(digest, signatures);
    this.log.push(`signatures ${role} ${digest}`);
    return Promise.resolve();
  }

  commit(): Promise<void> {
    this.log.push('commit');
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** Options of a copy that wants nothing special; zstd is not there. */
export function copyOptions(options: Partial<CopyOptions> = {}): CopyOptions {
  const noZstd = (): never => {
    throw new Error('no zstd in this test');
  };
  return {
    platform: { os: 'linux', architecture: 'amd64' },
    zstd: { decompress: noZstd, compress: noZstd },
    tempFolder: tmpdir(),
    report: () => undefined,
    signal: new AbortController().signal,
    ...options,
  };
}
