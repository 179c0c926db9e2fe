import type { Report } from '../events.ts';
import type { Descriptor } from '../image/descriptor.ts';
import type { Compression } from '../image/media-type.ts';
import type { StartZstd } from '../stream/decompress.ts';
import type { ImageDestination, ImageSource } from '../transport/transport.ts';
import type { CopyWishes } from './plan-instance.ts';

/** The programs that unpack and make zstd, each from its standard input to its standard output. */
export interface ZstdPrograms {
  readonly decompress: StartZstd;
  /** @param level 1 to 19; the program's own when not given */
  readonly compress: (level: number | undefined) => ReturnType<StartZstd>;
}

/** One copy, as all of its phases see it. */
export interface CopyRun {
  readonly source: ImageSource;
  readonly destination: ImageDestination;
  readonly wishes: CopyWishes;
  readonly removeSignatures: boolean;
  readonly zstd: ZstdPrograms;
  /** Of a blob whose upload breaks, the first included. */
  readonly tries: number;
  /** Where blobs are that are being changed: each in a file without a name, which nobody else can open. */
  readonly tempFolder: string;
  /** Told of what a destination on this host lacks, before its first byte; throws when it will not fit. */
  readonly requireRoom: (missing: readonly Descriptor[]) => Promise<void>;
  readonly report: Report;
  /** Gives it all up. */
  readonly signal: AbortSignal;
  /** What became of each blob, by `blobKey`: of several instances' the same one is copied once. */
  readonly blobs: Map<string, StoredBlob>;
  /** What stands at the destination, so far. */
  readonly counts: CopyCounts;
}

/** A blob as the destination has it. */
export interface StoredBlob {
  readonly descriptor: Descriptor;
  /** How it is compressed now, when it had to be changed. */
  readonly changedTo: Compression | undefined;
}

export interface CopyCounts {
  copied: number;
  present: number;
  /** Layers that were compressed or decompressed. */
  converted: number;
  manifests: number;
  /** Of all indexes. */
  entries: number;
}
