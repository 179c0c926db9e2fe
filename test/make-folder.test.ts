import { mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { makeFolder, makeFolderToFill } from '../src/make-folder.ts';
import { useTempFolder } from './fixtures/temp-folder.ts';

const folder = useTempFolder();
const at = (path: string): string => join(folder(), path);

describe('a folder', () => {
  it('is made with those above it, and all have its mode', async () => {
    expect(await makeFolder(at('a/b/c'), 0o700)).toBe(true);
    for (const path of ['a', 'a/b', 'a/b/c']) expect(statSync(at(path)).mode & 0o777).toBe(0o700);
  });

  it('that is there stays as it is, be it behind a link', async () => {
    mkdirSync(at('a'), { mode: 0o711 });
    symlinkSync('a', at('link'));
    expect(await makeFolder(at('a'), 0o700)).toBe(false);
    expect(await makeFolder(at('link'))).toBe(false);
    expect(statSync(at('a')).mode & 0o777).toBe(0o711);
  });

  it('cannot be made where a file is', async () => {
    writeFileSync(at('file'), '');
    symlinkSync('nowhere', at('dangling'));
    await expect(makeFolder(at('file'))).rejects.toMatchObject({ code: 'EEXIST' });
    await expect(makeFolder(at('file/below'))).rejects.toMatchObject({ code: 'ENOTDIR' });
    await expect(makeFolder(at('dangling'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('cannot be made where there can be none, and nobody tries for ever', async () => {
    await expect(makeFolder('/proc/a/b')).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('a folder that something is to come into', () => {
  it('goes with those above it that were made, when nothing comes', async () => {
    mkdirSync(at('there'));
    const made = await makeFolderToFill(at('there/a/b'), ['inner']);
    mkdirSync(at('there/a/b/inner'));
    await made.removeIfEmpty();
    expect(readdirSync(at('there'))).toEqual([]);
  });

  it('stays with what has come', async () => {
    const made = await makeFolderToFill(at('a/b'));
    writeFileSync(at('a/b/file'), '');
    await made.removeIfEmpty();
    expect(readdirSync(at('a/b'))).toEqual(['file']);
  });

  it('stays when it was there, also empty', async () => {
    mkdirSync(at('a'));
    symlinkSync('a', at('link'));
    for (const path of ['a', 'link']) await (await makeFolderToFill(at(path))).removeIfEmpty();
    expect(readdirSync(folder())).toEqual(['a', 'link']);
  });

  it('leaves none above it where it cannot be made', async () => {
    await expect(makeFolderToFill(at(`a/${'x'.repeat(300)}`))).rejects.toMatchObject({
      code: 'ENAMETOOLONG',
    });
    expect(readdirSync(folder())).toEqual([]);
  });
});
