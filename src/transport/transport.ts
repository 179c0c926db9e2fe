/**
 * A transport is a place where images live: a registry, a folder, an archive, a daemon. It implements this minimal core;
 * choosing the platform, verifying bytes, converting and everything else is derived once, in copy/.
 */
import type { Readable } from 'node:stream';
import type { Descriptor } from '../image/descriptor.ts';
import type { Digest } from '../image/digest.ts';
import type { ImageManifest, RawManifest } from '../image/manifest.ts';
import type { BlobClaims } from './blob-claims.ts';

export interface ImageSource {
  /** How a person would write it, without credentials: `docker://host/name:tag`. */
  readonly name: string;
  /**
   * Whether the manifest is of the transport's own making, because images have none there (docker-archive:,
   * docker-daemon:): then nobody knows its digest, and nothing is lost when a copy changes it.
   */
  readonly madeManifest?: boolean;
  /** Whether `getBlob` can start anywhere, so that a copy that was cut off can go on. */
  readonly seekable?: boolean;
  /**
   * The manifest that the reference names, or the one with `digest` (an entry of its index).
   * At most `manifest-size`. One that is asked for by its digest is not verified here: the caller compares. Where the
   * place itself says which digest its name stands for (index.json, a repo's metadata), the source does.
   */
  getManifest(digest?: Digest): Promise<RawManifest>;
  /**
   * A blob's bytes as they are stored, **unverified**: the caller pipes them through stream/verify.
   * Rejects before the first byte when the blob is not there; destroying the stream gives up its connection or file.
   * @param from the byte to start at; more than 0 only for a seekable source
   */
  getBlob(descriptor: Descriptor, from?: number): Promise<Readable>;
  /**
   * The layers as this source can give them, in the manifest's order, where those are not the ones that the manifest
   * names: a store that keeps trees has the uncompressed tars only. A copy then has to change the manifest.
   */
  layersForCopy?(manifest: ImageManifest): Promise<readonly Descriptor[]>;
  /** Simple signatures of the manifest that the reference names, or of the one with `digest`; as they are stored. */
  getSignatures?(digest?: Digest): Promise<readonly Uint8Array[]>;
  close(): Promise<void>;
}

/** What a destination can hold. The engine converts what it copies until it fits, or says why it cannot. */
export interface DestinationTraits {
  /** Media types of the manifests it takes, the one to convert to first; undefined: all, with their bytes unchanged. */
  readonly manifestTypes: readonly string[] | undefined;
  /**
   * `kept`: layers stay as they are. `compressed`: so do they, but plain ones that nobody knows the digest of
   * (ImageSource.madeManifest, layersForCopy) are compressed. `plain`: only uncompressed tars are taken.
   */
  readonly layers: 'kept' | 'compressed' | 'plain';
  /** Whether a layer with `urls` may stay where it is. */
  readonly foreignLayers: boolean;
  readonly signatures: boolean;
  /** Whether several blobs can be put at the same time. */
  readonly parallel: boolean;
}

export interface ImageDestination {
  readonly name: string;
  readonly traits: DestinationTraits;
  /** Where it writes, when that is on this host. */
  readonly folder?: string;
  /** Who fetches which blob into it, where several processes may: a blob is put while its claim is held. */
  readonly claims?: BlobClaims | undefined;
  /** Whether the blob is there, or could be put there without its bytes (a registry's cross-repository mount). */
  hasBlob(descriptor: Descriptor): Promise<boolean>;
  /**
   * Stores a blob under its digest. `bytes` verifies itself: it errors before its end when it is not what it should be.
   * @param diffId of a layer's uncompressed tar, where the image's config tells it
   */
  putBlob(descriptor: Descriptor, bytes: Readable, diffId?: Digest): Promise<void>;
  /**
   * Stores a manifest; all that it points at is there already. `reference` manifests are what the destination's name
   * stands for from now on; others are entries of an index that follows.
   */
  putManifest(manifest: RawManifest, digest: Digest, role: 'reference' | 'entry'): Promise<void>;
  /** Stores simple signatures of a manifest that was put before; only where `traits.signatures`. */
  putSignatures?(
    signatures: readonly Uint8Array[],
    digest: Digest,
    role: 'reference' | 'entry',
  ): Promise<void>;
  /** Ends a copy that succeeded; nothing is promised before. */
  commit(): Promise<void>;
  /** Gives up connections and temp files, after success and failure alike. */
  close(): Promise<void>;
}
