/** A tar taken apart and put together; the filter tells where a file's content begins. */
import * as fc from 'fast-check';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { expect, test } from 'vitest';
import { isAtomicError } from '../../../src/errors.ts';
import { moveLimits } from '../../../src/limits.ts';
import { Disassembler } from '../../../src/stream/tar-split/disassemble.ts';
import { assembleTar } from '../../../src/stream/tar-split/assemble.ts';
import { LayerFilter } from '../../../src/stream/tar/filter.ts';
import { LayerRecorder } from '../../../src/stream/tar/recorder.ts';
import { assembleAsGo, crc64 } from '../../fixtures/tar-split.ts';
import { writeTar, type TarEntry } from '../../fixtures/tar-writer.ts';
import { gzipSync } from 'node:zlib';

async function disassemble(tar: Buffer, pieces: readonly number[] = []): Promise<string[]> {
  const lines: string[] = [];
  const split = new Disassembler({ write: (line) => void lines.push(line), waitForRoom: (done) => done() });
  const filter = new LayerFilter('the layer', new LayerRecorder('the layer', () => undefined), split);
  const chunks: Buffer[] = [];
  let at = 0;
  for (const length of pieces) chunks.push(tar.subarray(at, (at += length)));
  await pipeline(Readable.from([...chunks, tar.subarray(at)], { objectMode: false }), filter.resume());
  return lines;
}

function assemble(lines: readonly string[], files: ReadonlyMap<string, Buffer>): Promise<Buffer> {
  const text = Readable.from([Buffer.from(lines.join(''))]) as AsyncIterable<Buffer>;
  const open = (name: string): Buffer[] => [files.get(name) ?? Buffer.from('none')];
  return buffer(Readable.from(assembleTar(text, open, 'the layer'), { objectMode: false }));
}

const contentOf = (entry: TarEntry): Buffer => Buffer.from(entry.content ?? '');

test('a tar without the padding behind its last file comes back as it was', async () => {
  const tar = writeTar([{ path: 'x', content: 'x'.repeat(600) }], { end: false });
  for (const length of [512 + 600, 1535]) {
    const cut = tar.subarray(0, length);
    const files = new Map([['x', Buffer.from('x'.repeat(600))]]);
    expect((await assemble(await disassemble(cut), files)).equals(cut)).toBe(true);
  }
});

test('any tar of files and folders comes back, by us and by the rules of Go, however it was cut in pieces', async () => {
  const entry: fc.Arbitrary<TarEntry> = fc.oneof(
    fc.record({
      path: fc.stringMatching(/^[a-z<&é]{1,8}$/).map((name) => `f/${name}`),
      content: fc.oneof(
        fc.uint8Array({ maxLength: 40 }),
        fc.constantFrom(511, 512, 513, 200_000).map((size) => Buffer.alloc(size, 'x')),
      ),
    }),
    fc.constant<TarEntry>({ path: 'd', type: 'dir' }),
    fc.constant<TarEntry>({ path: 'l', type: 'symlink', target: 'x'.repeat(150) }),
  );
  const entries = fc.uniqueArray(entry, { selector: ({ path }) => path, maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(
      entries,
      fc.array(fc.integer({ min: 1, max: 3000 }), { maxLength: 5 }),
      fc.nat(20_000),
      async (list, pieces, trailer) => {
        const tar = Buffer.concat([writeTar(list), Buffer.alloc(trailer)]);
        const lines = await disassemble(tar, pieces);
        const files = new Map(list.map((one) => [Buffer.from(one.path).toString('latin1'), contentOf(one)]));
        expect((await assemble(lines, files)).equals(tar)).toBe(true);
        const output = gzipSync(lines.join('')).toString('base64');
        const byGo = assembleAsGo(output, (name) => files.get(name.toString('latin1')) ?? Buffer.alloc(0));
        expect(byGo.equals(tar)).toBe(true);
      },
    ),
    { numRuns: 60 },
  );
});

test('a name that is no UTF-8 is kept in bytes', async () => {
  const lines = await disassemble(writeTar([{ path: Buffer.from([0x66, 0xe9]), content: 'x' }]));
  const files = lines
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter(({ type }) => type === 1);
  expect(files).toEqual([
    { type: 1, name_raw: 'Zuk=', size: 1, payload: crc64(Buffer.from('x')).toString('base64'), position: 1 },
  ]);
});

test('what is in no tree as it stands in the tar is kept whole: a whiteout’s content, a sparse file’s pieces', async () => {
  const tar = writeTar([
    { path: '.wh.gone', content: 'nobody reads this' },
    {
      path: 'x',
      content: '0123',
      pax: { 'GNU.sparse.size': '9', 'GNU.sparse.numblocks': '1', 'GNU.sparse.map': '5,4' },
    },
  ]);
  const lines = await disassemble(tar);
  expect(lines.filter((line) => line.includes('"type":1'))).toEqual([]);
  expect((await assemble(lines, new Map())).equals(tar)).toBe(true);
});

test('a record of nothing but empty entries ends', async () => {
  const restore = moveLimits({ 'layer-entries': 10 });
  const empty = ['{"type":1,"payload":null}\n', '{"type":2,"payload":""}\n'];
  try {
    await expect(assemble(Array.from({ length: 5 }, () => empty).flat(), new Map())).resolves.toHaveLength(0);
    for (const line of empty) {
      const lines = Array.from({ length: 11 }, () => line);
      await expect(assemble(lines, new Map())).rejects.toMatchObject({ code: 'limit-exceeded' });
    }
  } finally {
    restore();
  }
});

test('no segment is long, however much stands between two files', async () => {
  const lines = await disassemble(Buffer.concat([writeTar([]), Buffer.alloc(1_000_000)]));
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(70_000);
});

test.each([
  ['no JSON', 'x\n', 'not valid JSON'],
  ['no object', '[]\n', 'is damaged'],
  ['an unknown type', '{"type":3,"payload":""}\n', 'is damaged'],
  ['a size that is none', '{"type":1,"name":"f","size":-1,"payload":"AAAAAAAAAAA="}\n', 'is damaged'],
  ['a file without a checksum', '{"type":1,"name":"f","size":1,"payload":null}\n', 'is damaged'],
  ['another checksum', '{"type":1,"name":"f","size":4,"payload":"AAAAAAAAAAA="}\n', 'another "f"'],
])('a record with %s is an error', async (_what, text, sentence) => {
  const error: unknown = await assemble([text], new Map()).catch((thrown: unknown) => thrown);
  expect(isAtomicError(error, 'store-invalid') && error.message).toContain(sentence);
});
