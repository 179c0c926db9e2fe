import { mkdirSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import {
  clearImportMark,
  dropUnsynced,
  listImportMarks,
  markImport,
  removeUnfinishedMarks,
} from '../../src/store/import-mark.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';

const COMMIT = 'c'.repeat(64);
const LONG_AGO = new Date('2020-01-01T00:00:00Z');
const HERE = { pid: 7, boot: 'this-boot' };

const folder = useTempFolder();
let repo: string;
let journals: string;
let heads: string;
let indexes: string;
beforeEach(() => {
  repo = join(folder(), 'repo');
  journals = join(folder(), 'journal');
  heads = join(repo, 'refs/heads/ociimage');
  indexes = join(repo, 'extensions/atomic-ts/layers-1');
  for (const folder of [heads, indexes]) mkdirSync(folder, { recursive: true });
});

function add(folder: string, name: string, time?: Date): void {
  writeFileSync(join(folder, name), `${'d'.repeat(64)}\n`);
  if (time !== undefined) utimesSync(join(folder, name), time, time);
}

describe('the mark of an import', () => {
  it('tells whose it is, which image it brings, and what that image was before', async () => {
    const path = await markImport(journals, { ...HERE, ref: 'ociimage/a', previous: COMMIT });
    expect(await listImportMarks(journals)).toEqual([
      { ...HERE, path, ref: 'ociimage/a', previous: COMMIT, since: statSync(path).mtime },
    ]);
  });

  it('is gone when it is cleared, and makes those that stay as young as the sync', async () => {
    const first = await markImport(journals, { ...HERE, ref: 'ociimage/a', previous: undefined });
    const second = await markImport(journals, { ...HERE, pid: 8, ref: 'ociimage/b', previous: undefined });
    utimesSync(second, LONG_AGO, LONG_AGO);
    const synced = new Date('2021-01-01T00:00:00Z');
    await clearImportMark(first, synced);
    expect(await listImportMarks(journals)).toMatchObject([{ path: second, since: synced }]);
  });

  it('is none before it is whole; what is left of one that was cut off can be removed', async () => {
    mkdirSync(journals);
    writeFileSync(join(journals, '.@import-7-1.atomic-new'), '{"pid":7,');
    writeFileSync(join(journals, 'spc.jsonl'), '{}\n');
    expect(await listImportMarks(journals)).toEqual([]);
    await removeUnfinishedMarks(journals);
    expect(readdirSync(journals)).toEqual(['spc.jsonl']);
  });

  it('of another version is not passed over', async () => {
    const path = await markImport(journals, { ...HERE, ref: 'ociimage/a', previous: undefined });
    writeFileSync(path, '{}\n');
    await expect(listImportMarks(journals)).rejects.toMatchObject({ code: 'store-invalid' });
  });

  it('is none where there has never been one, or only journals', async () => {
    mkdirSync(journals);
    writeFileSync(join(journals, 'spc.jsonl'), '{}\n');
    expect(await listImportMarks(journals)).toEqual([]);
    expect(await listImportMarks(join(journals, 'other'))).toEqual([]);
  });
});

describe('what an import of an earlier boot left', () => {
  it('goes, with the refs and indexes that are as new as its mark; older ones stay', async () => {
    add(heads, 'old', LONG_AGO);
    add(indexes, 'old', LONG_AGO);
    await markImport(journals, { ...HERE, ref: 'ociimage/image', previous: undefined });
    for (const name of ['layer', 'config', 'image']) add(heads, name);
    add(indexes, 'layer');
    const marks = await listImportMarks(journals);
    expect(await dropUnsynced(repo, marks)).toEqual(['ociimage/config', 'ociimage/image', 'ociimage/layer']);
    expect(readdirSync(heads)).toEqual(['old']);
    expect(readdirSync(indexes)).toEqual(['old']);
  });

  it('gives an image its earlier commit back, also where several imports went on', async () => {
    await markImport(journals, { ...HERE, ref: 'ociimage/a', previous: COMMIT });
    await markImport(journals, { ...HERE, pid: 8, ref: 'ociimage/b', previous: undefined });
    for (const name of ['a', 'b']) add(heads, name);
    await dropUnsynced(repo, await listImportMarks(journals));
    expect(readdirSync(heads)).toEqual(['a']);
    expect(readFileSync(join(heads, 'a'), 'utf8')).toBe(`${COMMIT}\n`);
  });
});
