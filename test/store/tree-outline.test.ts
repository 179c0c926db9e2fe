import { expect, test } from 'vitest';
import { digestOf } from '../../src/stream/verify.ts';
import type { LayerRecord } from '../../src/stream/tar/recorder.ts';
import { indexPath, LayerIndexWriter } from '../../src/store/layer-index.ts';
import { TreeOutline } from '../../src/store/tree-outline.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';

const folder = useTempFolder();

const file = (path: string): LayerRecord => ({ kind: 'file', path });
const implied = (path: string): LayerRecord => ({ kind: 'implied', path });
const named = (path: string, mode = 0o755, xattrs = false): LayerRecord => ({
  kind: 'directory',
  path,
  mode,
  uid: 1,
  gid: 2,
  xattrs,
});

/** What entering each layer of a stack gives: the paths whose mode is to be set, or that the tree has to be prepared. */
async function enter(...layers: readonly (readonly LayerRecord[])[]): Promise<(string[] | 'prepare')[]> {
  const outline = new TreeOutline();
  const withXattrs = new Set<string>();
  const outcomes: (string[] | 'prepare')[] = [];
  for (const [i, records] of layers.entries()) {
    const layer = digestOf(Buffer.from(String(i)));
    const writer = await LayerIndexWriter.create(folder(), layer);
    for (const record of records) writer.write(record);
    await writer.publish();
    const plan = await outline.enter(indexPath(folder(), layer), withXattrs);
    outcomes.push(plan?.directories.map(({ path, renew }) => `${path}${renew ? ' renew' : ''}`) ?? 'prepare');
  }
  return outcomes;
}

test('layers that only add, or put files in place of files, need no look at the tree', async () => {
  expect(
    await enter(
      [named('a'), file('a/x'), file('y')],
      [implied('a'), file('a/x'), file('a/z')],
      [named('b'), file('y')],
    ),
  ).toEqual([[], [], []]);
});

test('folders that are there already are told, for their owners and modes; the root always is there', async () => {
  expect(await enter([named(''), named('a')], [named('a', 0o700)], [named('a'), named('b')])).toEqual([
    [''],
    ['a'],
    ['a'],
  ]);
});

test('folders with xattrs, in the layer or below, are renewed; a name that is stored as another wants nothing', async () => {
  const withXattrs = named('a', 0o755, true);
  expect(await enter([named('a')], [withXattrs], [named('a')], [implied('a')])).toEqual([
    [],
    ['a renew'],
    ['a renew'],
    [],
  ]);
  expect(await enter([{ kind: 'stored-name', path: 'a' }, file('a')])).toEqual([[]]);
});

test('a folder on a file or link, and a file on a folder, want the tree prepared', async () => {
  expect(await enter([file('a')], [named('a')])).toEqual([[], 'prepare']);
  expect(await enter([file('a')], [implied('a'), file('a/x')])).toEqual([[], 'prepare']);
  expect(await enter([named('a')], [file('a')])).toEqual([[], 'prepare']);
});

test('so do whiteouts and links to lower files', async () => {
  const others: readonly LayerRecord[] = [
    { kind: 'whiteout', path: 'a' },
    { kind: 'opaque', path: '' },
    { kind: 'lower-link', path: 'a', target: 'b' },
  ];
  for (const record of others) expect(await enter([record])).toEqual(['prepare']);
});

test('a layer that had to be prepared for still counts for those above it', async () => {
  expect(await enter([{ kind: 'whiteout', path: 'x' }, file('a')], [named('a')])).toEqual([
    'prepare',
    'prepare',
  ]);
});
