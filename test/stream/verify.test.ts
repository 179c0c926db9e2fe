import { createHash } from 'node:crypto';
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { digestFromHex } from '../../src/image/digest.ts';
import { digestOf, verifyBytes, VerifyStream } from '../../src/stream/verify.ts';
import { cut, failureOf, through } from './collect.ts';

const CONTENT = Buffer.from('some bytes of a layer');
const DIGEST = digestOf(CONTENT);
const SHA512 = digestFromHex('sha512', createHash('sha512').update(CONTENT).digest('hex'));
const what = 'layer 1 of x';

describe('VerifyStream', () => {
  test('passes what it should be, however it is cut', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.array(fc.nat(300)), async (bytes, places) => {
        const stream = new VerifyStream({ digest: digestOf(bytes), size: bytes.length, what });
        expect(stream.verified).toBe(false);
        expect(await through(cut(bytes, places), stream)).toEqual(Buffer.from(bytes));
        expect(stream.verified).toBe(true);
        expect(stream.bytesPassed).toBe(bytes.length);
      }),
    );
  });

  test('knows sha512, and needs no size', async () => {
    expect(await through([CONTENT], new VerifyStream({ digest: SHA512, size: undefined, what }))).toEqual(
      CONTENT,
    );
    const other = new VerifyStream({ digest: SHA512, size: undefined, what });
    expect((await failureOf(through([Buffer.from('x')], other))).code).toBe('digest-mismatch');
  });

  test('names both digests when they differ', async () => {
    const changed = Buffer.from(CONTENT);
    changed[3] = 0;
    const stream = new VerifyStream({ digest: DIGEST, size: CONTENT.length, what });
    const error = await failureOf(through([changed], stream));
    expect(error.code).toBe('digest-mismatch');
    expect(error.message).toBe(
      `${what} does not have the digest it should: expected ${DIGEST}, got ${digestOf(changed)}`,
    );
    expect(stream.verified).toBe(false);
  });

  test('stops at the first byte too many, not at the end', async () => {
    const stream = new VerifyStream({ digest: DIGEST, size: CONTENT.length, what });
    const endless = Readable.from(
      (function* () {
        for (;;) yield CONTENT;
      })(),
    );
    const swallow = new Writable({ write: (_chunk, _encoding, done) => done() });
    const error = await failureOf(pipeline(endless, stream, swallow));
    expect(error.code).toBe('size-mismatch');
    expect(stream.bytesPassed).toBe(2 * CONTENT.length);
  });

  test('tells a stream that is too short from one with other bytes', async () => {
    const stream = new VerifyStream({ digest: DIGEST, size: CONTENT.length, what });
    const error = await failureOf(through([CONTENT.subarray(1)], stream));
    expect(error.code).toBe('size-mismatch');
    expect(error.message).toContain(`ends after ${CONTENT.length - 1} bytes`);
  });

  test('fails before its end: a reader gets the bytes, but never an end', async () => {
    const stream = new VerifyStream({ digest: DIGEST, size: undefined, what });
    const seen: string[] = [];
    stream.on('data', () => seen.push('data'));
    stream.on('end', () => seen.push('end'));
    const closed = new Promise((resolve) => stream.on('error', () => undefined).on('close', resolve));
    stream.end(Buffer.from('other bytes'));
    await closed;
    expect(seen).toEqual(['data']);
  });
});

describe('verifyBytes', () => {
  test('says nothing of the right bytes, and names the wrong ones', () => {
    expect(() => verifyBytes(CONTENT, { digest: DIGEST, size: CONTENT.length, what })).not.toThrow();
    expect(() => verifyBytes(CONTENT, { digest: SHA512, size: undefined, what })).not.toThrow();
    expect(() => verifyBytes(CONTENT, { digest: DIGEST, size: 4, what })).toThrow('has 21 bytes');
    expect(() => verifyBytes(Buffer.from('x'), { digest: DIGEST, size: undefined, what })).toThrow(DIGEST);
  });
});
