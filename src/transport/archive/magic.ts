import type { Compression } from '../../image/media-type.ts';

/** How bytes are compressed; `other` is what people try next and nothing here reads (xz, bzip2). */
export type StoredAs = Compression | 'other';

/** As many bytes as tell the formats apart. */
export const MAGIC_BYTES = 10;

const MAGIC: readonly (readonly [hex: RegExp, format: StoredAs])[] = [
  [/^1f8b/, 'gzip'],
  [/^28b52ffd/, 'zstd'],
  [/^fd377a585a00/, 'other'],
  [/^425a683[1-9]314159265359/, 'other'],
];

/** By the first bytes of a file: RFC 1952 (gzip), RFC 8878 (zstd). What is not known counts as a plain tar. */
export function storedAs(start: Buffer): StoredAs {
  const hex = start.toString('hex');
  return MAGIC.find(([magic]) => magic.test(hex))?.[1] ?? 'none';
}
