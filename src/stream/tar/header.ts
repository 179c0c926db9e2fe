/**
 * One 512-byte tar header: POSIX.1-1988 (ustar), GNU and the older form without a magic.
 * Text is held as latin1 strings, one character a byte, because a name is bytes and need not be UTF-8.
 * @see pax(1) "ustar Interchange Format"; tar(5) of libarchive
 */
export const BLOCK_BYTES = 512;

export interface TarHeader {
  /** Name with the ustar prefix, as stored. */
  readonly path: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  /** The type flag's character; NUL reads as '0'. */
  readonly type: string;
  readonly linkPath: string;
  /** Every number in plain octal and the magic a known one: the block can be passed on as it is. */
  readonly plain: boolean;
}

export function isZeroBlock(block: Buffer): boolean {
  for (let i = 0; i < BLOCK_BYTES; i++) if (block[i] !== 0) return false;
  return true;
}

/** Reads a header; undefined when its checksum is wrong or a number is none. */
export function parseHeader(block: Buffer): TarHeader | undefined {
  if (readNumber(block, 148, 8) !== checksum(block)) return undefined;
  const magic = block.toString('latin1', 257, 265);
  const posix = magic.startsWith('ustar\0');
  const numbers = [
    readNumber(block, 100, 8),
    readNumber(block, 108, 8),
    readNumber(block, 116, 8),
    readNumber(block, 124, 12),
  ];
  const [mode, uid, gid, size] = numbers;
  if (mode === undefined || uid === undefined || gid === undefined || size === undefined) return undefined;
  const name = readText(block, 0, 100);
  const prefix = posix ? readText(block, 345, 155) : '';
  const binary = [100, 108, 116, 124].some((at) => (block[at] ?? 0) >= 0x80);
  const type = block.toString('latin1', 156, 157);
  return {
    path: prefix === '' ? name : `${prefix}/${name}`,
    mode,
    uid,
    gid,
    size,
    type: type === '\0' ? '0' : type,
    linkPath: readText(block, 157, 100),
    plain: !binary && (posix || magic === 'ustar  \0'),
  };
}

/** The bytes that a body of `size` takes up: whole blocks. */
export function paddedSize(size: number): number {
  return Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES;
}

export interface HeaderChange {
  readonly type?: string;
  /** Bytes; set to 0 for entries that have no body. */
  readonly size?: number;
  readonly linkPath?: string;
  readonly path?: string;
}

/** A copy of a header with some fields set; text that does not fit is cut, since a PAX record carries it whole. */
export function changeHeader(block: Buffer, change: HeaderChange): Buffer {
  const copy = Buffer.from(block);
  if (!/^ustar[\0 ]/.test(copy.toString('latin1', 257, 263))) {
    // A header older than ustar: what stands behind its link name means nothing.
    copy.fill(0, 257).write('ustar\x0000', 257, 8, 'latin1');
  }
  if (change.type !== undefined) copy.write(change.type, 156, 1, 'latin1');
  if (change.size !== undefined) writeOctal(copy, 124, 12, change.size);
  if (change.linkPath !== undefined) writeText(copy, 157, 100, change.linkPath);
  if (change.path !== undefined) {
    writeText(copy, 0, 100, change.path);
    if (copy.toString('latin1', 257, 263) === 'ustar\0') copy.fill(0, 345, 500);
  }
  sealHeader(copy);
  return copy;
}

/** A new ustar header, owned by root, with no time. */
export function createHeader(fields: { path: string; mode: number; size: number; type: string }): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  writeText(block, 0, 100, fields.path);
  writeOctal(block, 100, 8, fields.mode);
  writeOctal(block, 108, 8, 0);
  writeOctal(block, 116, 8, 0);
  writeOctal(block, 124, 12, fields.size);
  writeOctal(block, 136, 12, 0);
  block.write(fields.type, 156, 1, 'latin1');
  block.write('ustar\x0000', 257, 8, 'latin1');
  sealHeader(block);
  return block;
}

function sealHeader(block: Buffer): void {
  block.write(`${checksum(block).toString(8).padStart(6, '0')}\0 `, 148, 8, 'latin1');
}

/** Sum of all bytes, the checksum field itself read as spaces. */
function checksum(block: Buffer): number {
  let sum = 8 * 0x20;
  for (let i = 0; i < 148; i++) sum += block[i] ?? 0;
  for (let i = 156; i < BLOCK_BYTES; i++) sum += block[i] ?? 0;
  return sum;
}

function readText(block: Buffer, offset: number, length: number): string {
  const end = block.indexOf(0, offset);
  return block.toString('latin1', offset, end === -1 || end > offset + length ? offset + length : end);
}

/** Octal text, or GNU's base-256 for what does not fit; undefined for anything else, negative or beyond 2^53. */
export function readNumber(block: Buffer, offset: number, length: number): number | undefined {
  const first = block[offset] ?? 0;
  if (first >= 0x80) {
    let value = first & 0x7f;
    for (let i = 1; i < length; i++) {
      value = value * 256 + (block[offset + i] ?? 0);
      if (!Number.isSafeInteger(value)) return undefined;
    }
    return first === 0x80 ? value : undefined;
  }
  let value = 0;
  let i = offset;
  const end = offset + length;
  while (i < end && block[i] === 0x20) i++;
  for (; i < end; i++) {
    const digit = (block[i] ?? 0) - 0x30;
    if (digit < 0 || digit > 7) break;
    value = value * 8 + digit;
  }
  for (; i < end; i++) if (block[i] !== 0 && block[i] !== 0x20) return undefined;
  return value;
}

function writeOctal(block: Buffer, offset: number, length: number, value: number): void {
  block.write(`${value.toString(8).padStart(length - 1, '0')}\0`, offset, length, 'latin1');
}

function writeText(block: Buffer, offset: number, length: number, text: string): void {
  block.fill(0, offset, offset + length);
  block.write(text, offset, length, 'latin1');
}
