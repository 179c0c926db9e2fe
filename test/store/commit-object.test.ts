import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { isAtomicError } from '../../src/errors.ts';
import { parseCommitMetadata } from '../fixtures/commit-metadata.ts';

/** `ostree commit --add-metadata-string=a.b=text --add-metadata-string=empty=` of ostree 2022.7. */
const COMMIT = Buffer.from(
  '612e6200000000007465787400007304656d70747900000000007306101c000000000000000000006e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c548848201f1e1e1e',
  'hex',
);

test('the strings of a commit that ostree wrote', () => {
  expect(parseCommitMetadata(COMMIT, 'x')).toEqual(
    new Map([
      ['a.b', 'text'],
      ['empty', ''],
    ]),
  );
});

test('any bytes are metadata or an error of ours, and never anything else', () => {
  const damaged = fc
    .array(fc.tuple(fc.nat(COMMIT.length - 1), fc.nat(255)), { maxLength: 6 })
    .map((changes) => {
      const bytes = Buffer.from(COMMIT);
      for (const [at, byte] of changes) bytes[at] = byte;
      return bytes;
    });
  const cutOff = fc.nat(COMMIT.length).map((length) => COMMIT.subarray(0, length));
  const any = fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes));
  fc.assert(
    fc.property(fc.oneof(damaged, cutOff, any), (bytes) => {
      expect(outcomeOf(bytes)).toMatch(/^(?:strings|store-invalid)$/);
    }),
    { numRuns: 2000 },
  );
});

function outcomeOf(bytes: Buffer): string {
  try {
    const metadata = [...parseCommitMetadata(bytes, 'x')].flat();
    return metadata.every((text) => typeof text === 'string') ? 'strings' : 'others';
  } catch (error) {
    return isAtomicError(error) ? error.code : String(error);
  }
}

test('an object that is none says which, and how to check', () => {
  expect(() => parseCommitMetadata(Buffer.alloc(0), 'the commit abc')).toThrow(
    'the commit abc is not a commit object of ostree',
  );
});
