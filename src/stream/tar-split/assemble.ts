/** Puts a tar together again from what disassemble.ts (or Go's tar-split) wrote of it, and its files. */
import { AtomicError } from '../../errors.ts';
import { isRecord, parseJson } from '../../image/json.ts';
import { limitExceeded, limitOf, TAR_SPLIT_LINE_BYTES } from '../../limits.ts';
import { Crc64 } from '../crc64.ts';
import { FILE, SEGMENT } from './disassemble.ts';

/** Small pieces are joined up to this before they are handed on: a stream costs more for each than its bytes do. */
const CHUNK_BYTES = 64 * 1024;
const CHECKSUM_BYTES = 8;

/** The content of a file of the tar, by its name as it stands there (latin1, one character a byte). */
export type OpenFile = (name: string, size: number) => Iterable<Buffer> | AsyncIterable<Buffer>;

/**
 * The bytes of the tar. Memory is bounded by one line and one piece of a file.
 * @param lines the uncompressed lines, in pieces of any length
 * @param what subject of the error's sentence
 * @throws AtomicError `store-invalid` at a line that is no entry, or after a file that is not what it was;
 * `limit-exceeded` for entries without a byte, which keep a reader waiting, beyond `layer-entries`; of `open`
 */
export async function* assembleTar(
  lines: AsyncIterable<Buffer>,
  open: OpenFile,
  what: string,
): AsyncGenerator<Buffer> {
  let ready: Buffer[] = [];
  let readyBytes = 0;
  let empty = 0;
  for await (const line of splitLines(lines, what)) {
    const entry = parseEntry(line, what);
    if (isEmpty(entry) && ++empty > limitOf('layer-entries')) {
      const sentence = `The record of the archive of ${what} has more than ${limitOf('layer-entries')} empty entries`;
      throw limitExceeded('layer-entries', sentence);
    }
    for await (const piece of readEntry(entry, open, what)) {
      ready.push(piece);
      readyBytes += piece.length;
      if (readyBytes < CHUNK_BYTES) continue;
      yield Buffer.concat(ready, readyBytes);
      ready = [];
      readyBytes = 0;
    }
  }
  if (readyBytes > 0) yield Buffer.concat(ready, readyBytes);
}

type SplitEntry =
  | { readonly type: typeof SEGMENT; readonly bytes: Buffer }
  | {
      readonly type: typeof FILE;
      readonly name: string;
      readonly size: number;
      readonly checksum: Buffer;
    };

function isEmpty(entry: SplitEntry): boolean {
  return (entry.type === SEGMENT ? entry.bytes.length : entry.size) === 0;
}

async function* readEntry(entry: SplitEntry, open: OpenFile, what: string): AsyncGenerator<Buffer> {
  if (entry.type === SEGMENT) {
    yield entry.bytes;
    return;
  }
  const { name, size, checksum } = entry;
  if (size === 0) return;
  const crc = new Crc64();
  for await (const piece of open(name, size)) {
    crc.update(piece);
    yield piece;
  }
  if (!crc.digest().equals(checksum)) {
    throw new AtomicError(
      'store-invalid',
      `${what} has another ${showName(name)} than the archive it came in: its checksum is wrong`,
      {
        hint: 'The repo was damaged, or its files were written to: `ostree fsck` tells. Delete the image and pull it again.',
      },
    );
  }
}

/** Go writes no name as UTF-8 that is none, and leaves out what is empty. */
function parseEntry(line: Buffer, what: string): SplitEntry {
  const invalid = (): AtomicError =>
    new AtomicError('store-invalid', `The record of the archive of ${what} is damaged`, {
      hint: 'Pull the image again.',
    });
  const entry = parseJson(line.toString('utf8'), `the record of the archive of ${what}`, 'store-invalid');
  if (!isRecord(entry)) throw invalid();
  const { type, name, name_raw: raw, size = 0, payload } = entry;
  if (payload !== null && typeof payload !== 'string') throw invalid();
  const bytes = Buffer.from(payload ?? '', 'base64');
  if (type === SEGMENT) return { type, bytes };
  if (type !== FILE || typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) throw invalid();
  if (size > 0 && bytes.length !== CHECKSUM_BYTES) throw invalid();
  const latin1 =
    typeof raw === 'string'
      ? Buffer.from(raw, 'base64').toString('latin1')
      : typeof name === 'string'
        ? Buffer.from(name, 'utf8').toString('latin1')
        : '';
  return { type, name: latin1, size, checksum: bytes };
}

async function* splitLines(chunks: AsyncIterable<Buffer>, what: string): AsyncGenerator<Buffer> {
  let carry: Buffer[] = [];
  let carried = 0;
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, start)) {
      const line = chunk.subarray(start, end);
      yield carried === 0 ? line : Buffer.concat([...carry, line]);
      carry = [];
      carried = 0;
      start = end + 1;
    }
    const rest = chunk.subarray(start);
    if (rest.length > 0) carry.push(rest);
    carried += rest.length;
    if (carried > TAR_SPLIT_LINE_BYTES) {
      throw limitExceeded(
        TAR_SPLIT_LINE_BYTES,
        `The record of the archive of ${what} has a line of more than ${TAR_SPLIT_LINE_BYTES} bytes`,
      );
    }
  }
  if (carried > 0) yield Buffer.concat(carry);
}

function showName(name: string): string {
  return JSON.stringify(Buffer.from(name, 'latin1').toString('utf8'));
}
