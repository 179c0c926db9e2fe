/**
 * A transport is a place where images live: a registry, a folder, an archive. It implements this minimal core;
 * choosing the platform, verifying bytes and everything else is derived once, in copy/.
 */
import type { Readable } from 'node:stream';
import type { Descriptor } from '../image/descriptor.ts';
import type { Digest } from '../image/digest.ts';
import type { RawManifest } from '../image/manifest.ts';

export interface ImageSource {
  /** How a person would write it, without credentials: `docker://host/name:tag`. */
  readonly name: string;
  /**
   * The manifest that the reference names, or the one with `digest` (an entry of its index).
   * At most `manifest-size`; not verified here: the caller compares digests.
   */
  getManifest(digest?: Digest): Promise<RawManifest>;
  /**
   * A blob's bytes as they are stored, **unverified**: the caller pipes them through stream/verify.
   * Rejects before the first byte when the blob is not there; destroying the stream gives up its connection or file.
   */
  getBlob(descriptor: Descriptor): Promise<Readable>;
  close(): Promise<void>;
}

export interface ImageDestination {
  readonly name: string;
  /** Where it writes, when that is on this host. */
  readonly folder?: string;
  hasBlob(descriptor: Descriptor): Promise<boolean>;
  /** Stores a blob under its digest. `bytes` verifies itself: it errors before its end when it is not what it should be. */
  putBlob(descriptor: Descriptor, bytes: Readable): Promise<void>;
  /**
   * Stores a manifest; all that it points at is there already. `reference` manifests are what the destination's name
   * stands for from now on; others are entries of an index that follows.
   */
  putManifest(manifest: RawManifest, digest: Digest, role: 'reference' | 'entry'): Promise<void>;
  /** Ends a copy that succeeded; nothing is promised before. */
  commit(): Promise<void>;
  /** Gives up connections and temp files, after success and failure alike. */
  close(): Promise<void>;
}
