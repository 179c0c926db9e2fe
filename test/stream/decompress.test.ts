import { spawnSync } from 'node:child_process';
import { PassThrough, Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, gzipSync } from 'node:zlib';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createExec } from '../../src/host/exec.ts';
import { RATIO_FLOOR_BYTES } from '../../src/limits.ts';
import {
  createDecompressor,
  describeBrokenStream,
  detectCompression,
  peek,
  UnpackedLimit,
} from '../../src/stream/decompress.ts';
import { buffer } from 'node:stream/consumers';
import { chunked, cut, failureOf, slices, through } from './collect.ts';

const CONTENT = Buffer.from('content of a layer, '.repeat(500));
const exec = createExec();
const zstd = (bytes: Buffer): Buffer => spawnSync('zstd', ['-qc'], { input: bytes }).stdout;

/** Behind a stage that counts, and in front of another, as an import has it. */
async function unpack(compression: 'gzip' | 'zstd', chunks: readonly Uint8Array[]): Promise<Buffer> {
  const counter = new UnpackedLimit('x', () => 1);
  const stream = createDecompressor(compression, {
    what: 'the layer',
    bytesPassed: () => counter.bytesPassed,
    startZstd: () => exec.filter('zstd', ['-dcq']),
  });
  if (stream === undefined) throw new Error('no stream');
  return through(chunks, counter, stream, new PassThrough()).catch((error: unknown) => {
    throw describeBrokenStream(error, 'the layer');
  });
}

const gunzip = (chunks: readonly Uint8Array[]): Promise<Buffer> => unpack('gzip', chunks);

describe('detectCompression', () => {
  test.each([
    ['gzip', gzipSync(CONTENT)],
    ['zstd', zstd(CONTENT)],
    ['zstd', Buffer.from('5d2a4d18', 'hex')],
    ['none', Buffer.alloc(512)],
    ['none', Buffer.alloc(0)],
    ['none', Buffer.from([0x1f])],
    ['none', Buffer.from([0x28, 0xb5, 0x2f])],
  ] as const)('%s', (compression, bytes) => {
    expect(detectCompression(bytes.subarray(0, 6), 'x')).toBe(compression);
  });

  test.each([
    ['bzip2', 'BZh91AY'],
    ['xz', '\xfd7zXZ\0'],
  ])('refuses %s by its name', (name, head) => {
    expect(() => detectCompression(Buffer.from(head, 'latin1'), 'the layer')).toThrow(
      `the layer is compressed with ${name}`,
    );
  });
});

describe('createDecompressor', () => {
  test('has nothing for a plain blob', () => {
    const input = { what: 'x', bytesPassed: () => 0, startZstd: () => new PassThrough() };
    expect(createDecompressor('none', input)).toBeUndefined();
  });

  test('reads gzip of one member and of several, however it is cut', async () => {
    const members = Buffer.concat([CONTENT, Buffer.alloc(0), CONTENT].map((part) => gzipSync(part)));
    const expected = Buffer.concat([CONTENT, CONTENT]);
    expect(await gunzip(slices(members, 1))).toEqual(expected);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(members.length)), async (places) => {
        expect(await gunzip(cut(members, places))).toEqual(expected);
      }),
      { numRuns: 30 },
    );
  });

  test.each([
    ['one zero', Buffer.alloc(1)],
    ['a zero block', Buffer.alloc(512)],
    ['many zeros', Buffer.alloc(300_000)],
    ['text', Buffer.from('garbage')],
    ['half a magic', Buffer.from([0x1f])],
    ['a magic', Buffer.from([0x1f, 0x8b])],
    ['a second stream that is cut off', gzipSync(CONTENT).subarray(0, 30)],
    ['zeros and another stream', Buffer.concat([Buffer.alloc(3), gzipSync(CONTENT)])],
  ])('ends in an error when %s stands behind gzip, however it is cut', async (_name, trailer) => {
    const bytes = Buffer.concat([gzipSync(CONTENT), trailer]);
    const length = gzipSync(CONTENT).length;
    for (const chunks of [
      [bytes],
      cut(bytes, [length]),
      cut(bytes, [length - 1, length + 1]),
      slices(bytes, 1024),
    ]) {
      expect((await failureOf(gunzip(chunks))).code).toBe('stream-broken');
    }
  });

  test('ends in an error wherever gzip is cut off', async () => {
    const bytes = gzipSync(CONTENT);
    for (let length = 2; length < bytes.length; length++) {
      const error = await failureOf(gunzip([bytes.subarray(0, length)]));
      expect(error.code).toBe('stream-broken');
      expect(error.message).toContain('the layer is not a valid gzip stream');
    }
  });

  test('reads zstd, of one frame and of several', async () => {
    const bytes = Buffer.concat([zstd(CONTENT), zstd(CONTENT)]);
    expect(await unpack('zstd', slices(bytes, 7))).toEqual(Buffer.concat([CONTENT, CONTENT]));
  });

  test.each([
    ['is cut off', zstd(CONTENT).subarray(0, -4)],
    ['has garbage behind it', Buffer.concat([zstd(CONTENT), Buffer.from('garbage')])],
  ])('ends in an error when zstd %s', async (_name, bytes) => {
    expect((await failureOf(unpack('zstd', [bytes]))).code).toBe('stream-broken');
  });
});

describe('describeBrokenStream', () => {
  test('leaves what is not a decompressor’s alone', () => {
    const other = new Error('x');
    expect(describeBrokenStream(other, 'the layer')).toBe(other);
    expect(describeBrokenStream('text', 'the layer')).toBe('text');
  });
});

describe('UnpackedLimit', () => {
  const zeros = (bytes: number): Readable =>
    Readable.from(
      (function* () {
        for (let sent = 0; sent < bytes; sent += 1 << 20) yield Buffer.alloc(1 << 20);
      })(),
    );
  const swallow = (): Writable => new Writable({ write: (_chunk, _encoding, done) => done() });

  test('passes what is within both limits, and counts it', async () => {
    const limit = new UnpackedLimit('x', () => 1, 1000);
    expect(await through([Buffer.alloc(600), Buffer.alloc(400)], limit)).toHaveLength(1000);
    expect(limit.bytesPassed).toBe(1000);
  });

  test('stops at the first byte too many', async () => {
    const limit = new UnpackedLimit('the layer', () => 1, 1000);
    const error = await failureOf(through([Buffer.alloc(600), Buffer.alloc(401)], limit));
    expect(error).toMatchObject({
      code: 'limit-exceeded',
      message: 'the layer unpacks to more than 1000 bytes',
    });
  });

  test('stops a bomb by its ratio, but only above the floor', async () => {
    await pipeline(zeros(RATIO_FLOOR_BYTES), new UnpackedLimit('x', () => 1), swallow());
    const bomb = new UnpackedLimit('x', () => 1);
    const error = await failureOf(pipeline(zeros(RATIO_FLOOR_BYTES + 1), bomb, swallow()));
    expect(error.code).toBe('limit-exceeded');
    expect(error.message).toContain('times its compressed size');
  });

  test('lets the densest gzip there is pass', async () => {
    const bytes = RATIO_FLOOR_BYTES * 2;
    const dense = gzipSync(Buffer.alloc(bytes), { level: 9 });
    const limit = new UnpackedLimit('x', () => dense.length);
    await pipeline(chunked([dense]), createGunzip(), limit, swallow());
    expect(limit.bytesPassed).toBe(bytes);
  });
});

describe('peek', () => {
  test.each([0, 1, 5, 6, 7, 100])('gives the head of %i bytes and leaves the stream whole', async (size) => {
    const bytes = Buffer.from('abcdefghij'.repeat(10)).subarray(0, size);
    for (const chunks of [[bytes], slices(bytes, 1), slices(bytes, 4)]) {
      const stream = chunked(chunks);
      expect(await peek(stream, 6)).toEqual(bytes.subarray(0, 6));
      expect(await buffer(stream)).toEqual(bytes);
    }
  });

  test.each([0, 3, 6])(
    'the same when the bytes (%i) come late, and the stream then goes on',
    async (size) => {
      const stream = new PassThrough();
      const head = peek(stream, 6);
      for (let i = 0; i < size; i++) {
        await new Promise((resolve) => setImmediate(resolve));
        stream.write('x');
      }
      setImmediate(() => stream.end());
      expect(await head).toEqual(Buffer.from('x'.repeat(size)));
      expect(await buffer(stream)).toHaveLength(size);
    },
  );

  test('throws the stream’s error, before and while it waits', async () => {
    const waiting = new PassThrough();
    const result = peek(waiting, 6);
    waiting.destroy(new Error('line broke'));
    await expect(result).rejects.toThrow('line broke');
    await expect(peek(waiting, 6)).rejects.toThrow('line broke');
  });

  test('does not wait for a stream that was closed without an error', async () => {
    const waiting = new PassThrough();
    const result = failureOf(peek(waiting, 6));
    waiting.destroy();
    expect((await result).code).toBe('stream-broken');
    expect((await failureOf(peek(waiting, 6))).code).toBe('stream-broken');
  });

  test('leaves no listener behind', async () => {
    const stream = new PassThrough();
    const before = stream.eventNames().map((name) => stream.listenerCount(name));
    const head = peek(stream, 6);
    setImmediate(() => stream.write('0123456789'));
    await head;
    expect(stream.eventNames().map((name) => stream.listenerCount(name))).toEqual(before);
  });
});
