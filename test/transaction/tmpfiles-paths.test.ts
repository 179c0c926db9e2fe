import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createExec } from '../../src/host/exec.ts';
import { createFiles } from '../../src/host/files.ts';
import { missingTmpfilesPaths } from '../../src/transaction/tmpfiles-paths.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';

const folder = useTempFolder();
const files = createFiles(createExec());

/** What a configuration would make, `@` being the temp folder. */
async function missing(...lines: readonly string[]): Promise<string[]> {
  const path = join(folder(), 'x.conf');
  writeFileSync(path, lines.map((line) => line.replaceAll('@', folder())).join('\n'));
  return (await missingTmpfilesPaths(path, files)).map((each) => each.replace(folder(), '@'));
}

test.each(['d', 'D', 'v', 'q', 'Q', 'f', 'F', 'L', 'p', 'c', 'b', 'C', 'd!', 'L+', 'f+!', 'd-'])(
  'a line of type %s makes its path and the folders above it',
  async (type) => {
    expect(await missing(`${type} @/a/b 0755 root root - -`)).toEqual(['@/a', '@/a/b']);
  },
);

test.each(['r', 'R', 'x', 'X', 'e', 'z', 'Z', 'w', 'a', 't', 'h', '#d', ''])(
  'a line of type “%s” makes nothing',
  async (type) => {
    expect(await missing(`${type} @/a/b 0755 root root - -`)).toEqual([]);
  },
);

test('what is there already is left out, broken links included', async () => {
  mkdirSync(join(folder(), 'there/deep'), { recursive: true });
  symlinkSync('nowhere', join(folder(), 'link'));
  expect(await missing('d @/there', 'd @/there/deep/', 'd @/link', 'd @/there/new//')).toEqual([
    '@/there/new',
  ]);
});

test('paths come outermost first, each once', async () => {
  expect(await missing('d @/b/c/d', 'd @/a', 'd @/b/c', '   d   @/b   0700')).toEqual([
    '@/a',
    '@/b',
    '@/b/c',
    '@/b/c/d',
  ]);
});

test('quoted paths are read, those with specifiers or escapes and relative ones are not', async () => {
  expect(await missing('d "@/with space" 0755', 'd @/%m/x', 'd "@/a\\tb"', 'd relative/x', 'd')).toEqual([
    '@/with space',
  ]);
});

test('a configuration that is not there makes nothing', async () => {
  expect(await missingTmpfilesPaths(join(folder(), 'none'), files)).toEqual([]);
});
