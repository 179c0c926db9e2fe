import { spawnSync } from 'node:child_process';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { createExec } from '../../src/host/exec.ts';
import { createCompressor } from '../../src/stream/compress.ts';
import { slices, through } from './collect.ts';

const WORDS = ['etc', 'usr', 'bin', 'lib', 'share', 'doc', 'conf', 'python3', 'x86_64-linux-gnu'];
/** Paths of which none comes twice: something to find for those who look longer. */
const CONTENT = Buffer.from(
  Array.from({ length: 9 ** 4 }, (_, i) =>
    [i, Math.floor(i / 9), Math.floor(i / 81), Math.floor(i / 729)].map((n) => WORDS[n % 9]).join('/'),
  ).join('\n'),
);
const exec = createExec();
const startZstd = (level: number | undefined) =>
  exec.filter('zstd', ['-cq', ...(level === undefined ? [] : [`-${level}`])]);

async function compress(compression: 'gzip' | 'zstd', level?: number, chunk = 4096): Promise<Buffer> {
  const stream = createCompressor(compression, { level, startZstd });
  if (stream === undefined) throw new Error('no stream');
  return through(slices(CONTENT, chunk), stream);
}

function unpackWith(program: 'gzip' | 'zstd', bytes: Buffer): Buffer {
  const { status, stdout } = spawnSync(program, ['-dcq'], { input: bytes, maxBuffer: 1024 ** 3 });
  expect(status).toBe(0);
  return stdout;
}

describe.each([
  ['gzip', 1, 9],
  ['zstd', 1, 19],
] as const)('createCompressor %s', (compression, fastest, best) => {
  test('writes what the program reads, at any level, and less at the highest', async () => {
    const [fast, small] = [await compress(compression, fastest), await compress(compression, best)];
    expect(unpackWith(compression, fast)).toEqual(CONTENT);
    expect(unpackWith(compression, small)).toEqual(CONTENT);
    expect(small.length).toBeLessThan(fast.length);
  });

  test('gives the same bytes for the same ones, however they come', async () => {
    expect(await compress(compression, undefined, 4096)).toEqual(
      await compress(compression, undefined, 100_000),
    );
  });

  test.each([fastest - 2, best + 1, 1.5, Number.NaN])('has no level %s', (level) => {
    expect(() => createCompressor(compression, { level, startZstd })).toThrow(/no compression level/);
  });
});

test('gzip tells no time, no name, and compresses as zlib does by default', async () => {
  const bytes = await compress('gzip');
  // RFC 1952 section 2.3: flags and time.
  expect(bytes.subarray(3, 8)).toEqual(Buffer.alloc(5));
  expect(bytes.length).toBe(gzipSync(CONTENT).length);
});

test('has nothing for a plain blob', () => {
  expect(createCompressor('none', { startZstd })).toBeUndefined();
});
