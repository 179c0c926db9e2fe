import type { Duplex } from 'node:stream';
import * as zlib from 'node:zlib';
import { AtomicError } from '../errors.ts';
import type { Compression } from '../image/media-type.ts';

/** Large enough that the cost per chunk vanishes. */
const CHUNK_BYTES = 256 * 1024;

/** Starts the program that compresses its standard input to zstd, at a level of its own choice when none is given. */
export type StartZstdCompressor = (level: number | undefined) => Duplex;

export interface CompressorOptions {
  /** gzip: 0 to 9; zstd: 1 to 19. The compressor's own default when not given. */
  readonly level?: number | undefined;
  readonly startZstd: StartZstdCompressor;
}

/** The levels that can be asked for. zstd's 20 to 22 take memory to decompress that readers do not grant. */
const LEVELS: Readonly<Record<Compression, readonly [number, number]>> = {
  none: [0, 0],
  gzip: [0, 9],
  zstd: [1, 19],
};

/**
 * A stream that compresses a plain tar; undefined for `none`. The same bytes give the same bytes again: gzip's header
 * has neither a name nor a time, and zstd's frame has none.
 * @throws AtomicError `usage` for a level that the compression does not have
 */
export function createCompressor(compression: Compression, options: CompressorOptions): Duplex | undefined {
  const { level, startZstd } = options;
  checkLevel(compression, level);
  if (compression === 'none') return undefined;
  if (compression === 'zstd') return startZstd(level);
  return zlib.createGzip({ chunkSize: CHUNK_BYTES, ...(level === undefined ? {} : { level }) });
}

/** @throws AtomicError `usage` */
export function checkLevel(compression: Compression, level: number | undefined): void {
  const [least, most] = LEVELS[compression];
  if (level === undefined || compression === 'none') return;
  if (Number.isInteger(level) && level >= least && level <= most) return;
  throw new AtomicError('usage', `${compression} has no compression level ${level}`, {
    hint: `Its levels are ${least} to ${most}.`,
  });
}
