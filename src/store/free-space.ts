/** What is free on the repo's file system, how much of it ostree leaves alone, and what layers are going to take. */
import { statfs } from 'node:fs/promises';
import type { Descriptor } from '../image/descriptor.ts';
import { compressionOf } from '../image/media-type.ts';
import { limitOf } from '../limits.ts';
import { parseCore, readRepositoryConfig } from './repository-config.ts';

/** ostree's own, when its config says nothing. */
const DEFAULT_PERCENT = 3;
const MiB = 1024 * 1024;
/** Unpacked bytes for each compressed one: 2.6 to 4.3 for the programs and libraries that images are made of. */
const USUAL_RATIO = 3;
/** On the disk a tree takes between 0.8 (equal files are kept once) and 1.25 (small ones fill whole blocks) of its tar. */
const DISK_SHARE = 1.1;
/** The config, the manifest and what ostree writes with them. */
const IMAGE_BYTES = MiB / 4;
/** A file is larger than that on average in hardly any image; a layer has some objects besides its files. */
const LARGE_FILE_BYTES = 64 * 1024;
const LAYER_INODES = 16;
/** Stargz layers say how large they are; what is beyond `layer-ratio` is a lie. */
const UNCOMPRESSED_SIZE = 'io.containers.estargz.uncompressed-size';

/** Room in a repo. */
export interface Room {
  /** Bytes that we may write. */
  readonly freeBytes: number;
  /** Bytes of them that ostree will not fill. */
  readonly reservedBytes: number;
  /** Undefined on file systems that make inodes as they are needed. */
  readonly freeInodes: number | undefined;
}

export interface LayersNeed {
  readonly compressedBytes: number;
  readonly unpackedBytes: number;
  /** Whether `unpackedBytes` is a guess for one layer at least. */
  readonly isEstimate: boolean;
  /** On the disk, with what comes with the image; always a guess. */
  readonly diskBytes: number;
  /** At least. */
  readonly inodes: number;
}

/** @param repository must exist */
export async function readRoom(repository: string): Promise<Room> {
  const { bsize, blocks, bfree, bavail, files, ffree } = await statfs(repository);
  const config = await readRepositoryConfig(repository);
  return {
    // As ostree counts: blocks that a file system keeps for root are root's to use.
    freeBytes: (process.getuid?.() === 0 ? bfree : bavail) * bsize,
    reservedBytes: reservedBytes(config, blocks * bsize),
    freeInodes: files === 0 ? undefined : ffree,
  };
}

/**
 * What a repo's config keeps free of a file system: `min-free-space-size` where it is set and not zero, else
 * `min-free-space-percent`. A value that ostree cannot read counts as not set here: ostree tells of it.
 * @see ostree.repo-config(5)
 */
export function reservedBytes(config: string, totalBytes: number): number {
  const core = parseCore(config);
  const [, size, unit] = /^([0-9]+)([MGT])B$/.exec(core.get('min-free-space-size') ?? '') ?? [];
  const bytes = Number(size ?? 0) * MiB * 1024 ** 'MGT'.indexOf(unit ?? 'M');
  if (bytes > 0) return bytes;
  const percent = /^[0-9]{1,2}$/.exec(core.get('min-free-space-percent') ?? '')?.[0];
  return Math.floor((totalBytes * Number(percent ?? DEFAULT_PERCENT)) / 100);
}

/** What layers that are not there yet will take. Files that the repo has already are not known of, and take nothing. */
export function estimateNeed(layers: readonly Descriptor[]): LayersNeed {
  const known = layers.map(unpackedSize);
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  const unpackedBytes = sum(layers.map(({ size }, i) => known[i] ?? size * USUAL_RATIO));
  return {
    compressedBytes: sum(layers.map(({ size }) => size)),
    unpackedBytes,
    isEstimate: known.includes(undefined),
    diskBytes: Math.ceil(unpackedBytes * DISK_SHARE) + IMAGE_BYTES,
    inodes: layers.length * LAYER_INODES + Math.floor(unpackedBytes / LARGE_FILE_BYTES),
  };
}

/** How large a layer is once it is unpacked, where its descriptor tells. */
function unpackedSize({ size, mediaType, annotations }: Descriptor): number | undefined {
  if (compressionOf(mediaType) === 'none') return size;
  const told = annotations?.[UNCOMPRESSED_SIZE] ?? '';
  const bytes = Number(told);
  return /^[1-9][0-9]{0,15}$/.test(told) && bytes <= size * limitOf('layer-ratio') ? bytes : undefined;
}
