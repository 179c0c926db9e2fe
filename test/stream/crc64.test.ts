import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { Crc64 } from '../../src/stream/crc64.ts';
import { crc64 } from '../fixtures/tar-split.ts';

/** hash/crc64's own tests, golden.go: the sums by the ISO polynomial. */
test.each([
  ['', '0000000000000000'],
  ['a', '3420000000000000'],
  ['123456789', 'b90956c775a41001'],
])('the sum of "%s"', (text, sum) => {
  const crc = new Crc64();
  crc.update(Buffer.from(text));
  expect(crc.digest().toString('hex')).toBe(sum);
});

test('any bytes in any pieces have the sum that a table gives', () => {
  const crc = new Crc64();
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 70 }), { maxLength: 6 }), (pieces) => {
      for (const piece of pieces) crc.update(piece);
      expect(crc.digest()).toEqual(crc64(Buffer.concat(pieces)));
    }),
    { numRuns: 500 },
  );
});
