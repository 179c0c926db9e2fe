import { existsSync, readdirSync, writeFileSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseDigest } from '../../src/image/digest.ts';
import { indexPath, LayerIndexWriter, readLayerIndex } from '../../src/store/layer-index.ts';
import type { LayerRecord } from '../../src/stream/tar/recorder.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';

const folder = useTempFolder();
const LAYER = parseDigest(`sha256:${'ab'.repeat(32)}`, 'x');
const path = (): string => indexPath(folder(), LAYER);

async function readAll(): Promise<LayerRecord[]> {
  const records: LayerRecord[] = [];
  for await (const record of readLayerIndex(path())) records.push(record);
  return records;
}

async function write(records: readonly LayerRecord[]): Promise<void> {
  const writer = await LayerIndexWriter.create(folder(), LAYER);
  for (const record of records) writer.write(record);
  await writer.publish();
}

/** As the writer takes paths: one latin1 character for each byte of UTF-8. */
function asLatin1(record: LayerRecord): LayerRecord {
  const latin1 = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');
  if (record.kind === 'lower-link')
    return { ...record, path: latin1(record.path), target: latin1(record.target) };
  return { ...record, path: latin1(record.path) };
}

const name = fc.string({ unit: 'grapheme', minLength: 1 }).filter((text) => !text.includes('\0'));
const PATH_KINDS = ['implied', 'file', 'whiteout', 'replaced', 'stored-name'] as const;
const anyRecord: fc.Arbitrary<LayerRecord> = fc.oneof(
  fc.record({
    kind: fc.constant('directory' as const),
    path: fc.oneof(name, fc.constant('')),
    mode: fc.nat(0o7777),
    uid: fc.nat(2 ** 31),
    gid: fc.nat(2 ** 31),
    xattrs: fc.boolean(),
  }),
  fc.record({ kind: fc.constantFrom(...PATH_KINDS), path: name }),
  fc.record({ kind: fc.constant('opaque' as const), path: fc.oneof(name, fc.constant('')) }),
  fc.record({ kind: fc.constant('lower-link' as const), path: name, target: name }),
);

describe('a layer index', () => {
  test('reads back as it was written: spaces, newlines, any script', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyRecord, { maxLength: 30 }), async (records) => {
        await write(records.map(asLatin1));
        expect(await readAll()).toEqual(records);
      }),
      { numRuns: 40 },
    );
  });

  test('of many records is read across its chunks', async () => {
    const records = Array.from({ length: 20_000 }, (_, i): LayerRecord => ({
      kind: 'file',
      path: `ordner/größe-${i}`,
    }));
    await write(records.map(asLatin1));
    expect(await readAll()).toEqual(records);
  });

  test('of nothing is a file that is there', async () => {
    await write([]);
    expect(await readAll()).toEqual([]);
  });

  test('that is given up leaves nothing, however early', async () => {
    for (const turns of [0, 1, 5]) {
      const writer = await LayerIndexWriter.create(folder(), LAYER);
      writer.write({ kind: 'file', path: 'x' });
      for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
      await writer.discard();
      await new Promise((resolve) => setTimeout(resolve, 5));
      expect(readdirSync(dirname(path()))).toEqual([]);
    }
  });

  test('is not seen before it is published, and may be given up after a failure', async () => {
    const writer = await LayerIndexWriter.create(folder(), LAYER);
    writer.write({ kind: 'file', path: 'x' });
    expect(existsSync(path())).toBe(false);
    rmSync(dirname(path()), { recursive: true });
    await expect(writer.publish()).rejects.toThrow('ENOENT');
    await writer.discard();
  });

  test.each([
    ['a record of an unknown kind', 'z x\0'],
    ['no space behind the kind', 'fx\0'],
    ['an empty record', '\0'],
    ['a cut-off end', 'f x\0f y'],
    ['a folder without its numbers', 'd 755 0\0'],
    ['a folder with letters for numbers', 'd 755 root 0 x\0'],
    ['a link without a target', 'h x\0'],
    ['a link with something else behind it', 'h x\0f y\0'],
    ['a target without a link', 't x\0'],
  ])('with %s is called damaged, by its path', async (_name, text) => {
    await write([]);
    writeFileSync(path(), text);
    await expect(readAll()).rejects.toThrow(`the layer index ${path()} is damaged`);
  });
});
