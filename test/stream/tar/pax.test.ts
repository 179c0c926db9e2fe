import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BLOCK_BYTES, parseHeader } from '../../../src/stream/tar/header.ts';
import { formatPax, parsePax } from '../../../src/stream/tar/pax.ts';
import { writePax } from '../../fixtures/tar-writer.ts';

const latin1 = fc.uint8Array({ maxLength: 120 }).map((bytes) => Buffer.from(bytes).toString('latin1'));
const key = fc.stringMatching(/^[A-Za-z.]{1,20}$/);

/** The body of an extended header that `formatPax` or the fixtures wrote. */
function bodyOf(blocks: Buffer): Buffer {
  const header = parseHeader(blocks.subarray(0, BLOCK_BYTES));
  expect(header?.type).toBe('x');
  expect(blocks.length % BLOCK_BYTES).toBe(0);
  return blocks.subarray(BLOCK_BYTES, BLOCK_BYTES + (header?.size ?? 0));
}

test('records read back as they were written, any byte in their values', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(key, latin1)), (records) => {
      expect(parsePax(bodyOf(formatPax(records)), 'x')).toEqual(records);
      const bytes = records.map(([name, value]) => [name, Buffer.from(value, 'latin1')] as const);
      expect(parsePax(bodyOf(writePax(bytes)), 'x')).toEqual(records);
      expect(formatPax(records).subarray(BLOCK_BYTES)).toEqual(writePax(bytes).subarray(BLOCK_BYTES));
    }),
  );
});

test('a length counts its own digits, also where they become one more', () => {
  for (const size of [1, 2, 3, 90, 91, 92, 93, 990, 991, 992, 993, 994]) {
    const records = [['k', 'v'.repeat(size)]] as const;
    expect(parsePax(bodyOf(formatPax(records)), 'x')).toEqual(records);
  }
});

describe('parsePax refuses', () => {
  test.each([
    ['a length that is no number', 'x k=v\n'],
    ['a length of 0', '0 k=v\n'],
    ['a leading zero', '06 k=v\n'],
    ['a sign', '+6 k=v\n'],
    ['a length beyond the end', '7 k=v\n'],
    ['a length that is too short', '5 k=v\n'],
    ['a record without =', '5 kv\n'],
    ['= only in the next record', '5 kv\n6 k=v\n'],
    ['no newline at its end', '6 k=v!'],
    ['a length that fills everything', '99999999999 k=v\n'],
    ['no space', '6k=v\n'],
    ['garbage behind the last record', '6 k=v\n\0\0'],
    ['a length within its own digits', '1 k=v\n'],
  ])('%s', (_name, body) => {
    expect(() => parsePax(Buffer.from(body), 'the layer')).toThrow('the layer has a PAX header');
  });
});

test('an equals sign belongs to the value, and an empty body has no records', () => {
  expect(parsePax(Buffer.from('8 k=a=b\n'), 'x')).toEqual([['k', 'a=b']]);
  expect(parsePax(Buffer.alloc(0), 'x')).toEqual([]);
});
