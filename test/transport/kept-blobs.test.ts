import { symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { findExcess, listKept } from '../../src/transport/kept-blobs.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';

const folder = useTempFolder();

test('what is kept is listed, the oldest first, and a link is not followed', async () => {
  for (const [name, time] of [
    ['b', 200],
    ['a', 300],
    ['c', 100],
  ] as const) {
    writeFileSync(join(folder(), name), name.repeat(time));
    utimesSync(join(folder(), name), time, time);
  }
  symlinkSync('/nonexistent', join(folder(), 'link'));
  expect(
    (await listKept(folder())).map(({ path, bytes }) => [path.slice(folder().length + 1), bytes]),
  ).toEqual([
    ['c', 100],
    ['b', 200],
    ['a', 300],
    ['link', '/nonexistent'.length],
  ]);
  expect(await listKept(join(folder(), 'none'))).toEqual([]);
});

test.each<[string, number, number, string[]]>([
  ['nothing while it fits', 60, 0, []],
  ['the oldest of what is too much', 59, 0, ['a']],
  ['as many as need be', 30, 0, ['a', 'b']],
  ['all where nothing may stay', 0, 0, ['a', 'b', 'c']],
  ['what is too old', 60, 2, ['a']],
  ['what is too old first', 50, 2, ['a']],
])('%s goes', (_what, bytes, since, gone) => {
  const files = [
    { path: 'a', bytes: 10, changed: 1 },
    { path: 'b', bytes: 20, changed: 2 },
    { path: 'c', bytes: 30, changed: 3 },
  ];
  expect(findExcess(files, bytes, since).map(({ path }) => path)).toEqual(gone);
});
