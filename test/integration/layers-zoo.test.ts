/** Odd and hostile layers, each with a name. umoci is the judge where it answers and is not known to differ. */
import { execFileSync } from 'node:child_process';
import { closeSync, ftruncateSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { isAtomicError } from '../../src/errors.ts';
import {
  writeHeader,
  writePax,
  writeTar,
  type LayerSpec,
  type RawEntry,
  type TarEntry,
} from '../fixtures/image-builder.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';
import { imageOf, unpackByUmoci, unpackByUs, type Entries } from './layers-setup.ts';
import { describeTree } from './tree.ts';

const folder = useTempFolder();

type Layer = Entries | LayerSpec;
type Path = string | Uint8Array;

const dir = (path: Path, more: Partial<TarEntry> = {}): TarEntry => ({ path, type: 'dir', ...more });
const file = (path: Path, content = 'x', more: Partial<TarEntry> = {}): TarEntry => ({
  path,
  content,
  ...more,
});
const link = (path: Path, target: Path): TarEntry => ({ path, type: 'symlink', target });
const hard = (path: Path, target: Path): TarEntry => ({ path, type: 'hardlink', target });
const gone = (path: Path): TarEntry => ({ path, type: 'whiteout' });
const opaque = (path: Path): TarEntry => ({ path, type: 'opaque' });
const raw = (bytes: Uint8Array): RawEntry => ({ raw: bytes });
const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
const BASE: Entries = [
  dir('d'),
  file('d/a'),
  file('d/b'),
  dir('d/sub'),
  file('d/sub/c'),
  file('f'),
  link('l', 'd'),
];

/** A header with any bytes changed and its checksum right. */
function changed(entry: TarEntry, change: (block: Buffer) => void): RawEntry {
  const tar = writeTar([entry], { end: false });
  const block = tar.subarray(0, 512);
  change(block);
  block.fill(' ', 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return raw(tar);
}

/** What GNU tar makes of a file with holes. */
function sparse(...options: readonly string[]): LayerSpec {
  const at = join(folder(), `sparse-${options.join('')}`);
  mkdirSync(at);
  const holes = openSync(join(at, 'holes'), 'w');
  // More pieces than the map in a header has room for.
  for (let i = 0; i < 30; i++) writeSync(holes, `piece ${i}`, 128 * 1024 * i);
  ftruncateSync(holes, 5_000_000);
  closeSync(holes);
  const empty = openSync(join(at, 'nothing-but-a-hole'), 'w');
  ftruncateSync(empty, 1_000_000);
  closeSync(empty);
  const names = ['holes', 'nothing-but-a-hole'];
  const tar = execFileSync('tar', ['-C', at, '-cS', ...options, '--owner=5', '--group=6', ...names], {
    maxBuffer: 64 * 1024 * 1024,
  });
  return { tar };
}

const SAME: Readonly<Record<string, () => readonly Layer[]>> = {
  'sparse files of PAX format 0.0': () => [sparse('--format=pax', '--sparse-version=0.0')],
  'sparse files of PAX format 0.1': () => [sparse('--format=pax', '--sparse-version=0.1')],
  'sparse files of PAX format 1.0': () => [sparse('--format=pax', '--sparse-version=1.0')],
  'GNU long names and long links': () => [
    [
      { ...file(`${'d'.repeat(120)}/${'f'.repeat(200)}`), longNames: 'gnu' },
      { ...link('l', `${'d'.repeat(120)}/${'f'.repeat(200)}`), longNames: 'gnu' },
      { ...hard(`h${'h'.repeat(150)}`, `${'d'.repeat(120)}/${'f'.repeat(200)}`), longNames: 'gnu' },
    ],
  ],
  'a PAX header that says its text is binary': () => [
    [{ ...file('x'), pax: { hdrcharset: 'BINARY', path: bytes('caf\xe9') } }],
  ],
  'owners in base 256, and in PAX records': () => [
    [
      file('x', 'x', { uid: 3_000_000, gid: 4_000_000_000 }),
      { ...dir('d'), pax: { uid: '2097152', gid: '7' } },
    ],
  ],
  'owners’ names that are no UTF-8': () => [
    [
      changed(file('x'), (block) => block.write('caf\xe9', 265, 'latin1')),
      dir('d', { uname: 'root', gname: 'wheel' }),
    ],
  ],
  'times before 1970, in base 256, and with a fraction': () => [
    [
      changed(file('x'), (block) => block.fill(0xff, 136, 148)),
      { ...file('y'), pax: { mtime: '-1.5', atime: '0.1', ctime: '99999999999' } },
    ],
  ],
  'a whiteout that is a folder, a link, a hard link, with content': () => [
    [...BASE, file('g'), file('h')],
    [
      { path: 'd/.wh.a', type: 'dir' },
      { path: 'd/.wh.b', type: 'symlink', target: 'x' },
      { path: '.wh.f', type: 'hardlink', target: 'x' },
      { path: '.wh.g', content: 'content' },
    ],
  ],
  'whiteouts behind dots and slashes': () => [
    BASE,
    [{ path: './/d/./../d/.wh.a' }, { path: '/.wh.f' }, { path: '../../d/sub/../.wh.b' }],
  ],
  'an opaque marker below a link': () => [BASE, [opaque('l'), file('l/new')]],
  'an opaque folder with content of its layer before and behind': () => [
    BASE,
    [file('d/before'), dir('d/sub', { mode: 0o700 }), opaque('d'), file('d/behind')],
  ],
  'a whiteout of a folder, and files below it in the same layer': () => [
    BASE,
    [gone('d'), file('d/new/x'), dir('d', { mode: 0o711 })],
  ],
  'a hard link to a link, in the same layer and below': () => [
    [...BASE, hard('same', 'l')],
    [hard('lower', 'l'), hard('chain', 'lower')],
  ],
  'names with newlines, backslashes, control characters, dashes, quotes, dollars': () => [
    [
      file('new\nline/tab\tx'),
      file('back\\slash'),
      file('bell\x07escape\x1b[31m'),
      file('--rf'),
      dir('-'),
      file('-/-'),
      file('"quote\' $HOME `id` %s'),
      file('\x7f\x01'),
      link('li\nnk', 'back\\slash'),
    ],
    [gone('new\nline/tab\tx'), gone('--rf'), file('bell\x07escape\x1b[31m', 'new')],
  ],
  'names that differ in case or in normal form alone': () => [
    [file('name', '1'), file('Name', '2'), file('NAME', '3'), file('\u00e9', '4'), file('e\u0301', '5')],
    [gone('Name'), file('NAME', '6')],
  ],
  'names of 255 bytes, of files, folders, links and whiteouts': () => [
    [
      file('n'.repeat(255)),
      file(`${'d'.repeat(255)}/${'f'.repeat(255)}`),
      link('s'.repeat(255), 'n'.repeat(255)),
      file('é'.repeat(127)),
    ],
    [gone('n'.repeat(255)), gone('é'.repeat(127)), gone('s'.repeat(252))],
  ],
  'folders three hundred deep': () => [
    [file(`${'d/'.repeat(300)}x`), dir('d', { mode: 0o700 })],
    [gone(`${'d/'.repeat(299)}d`), file(`${'d/'.repeat(299)}y`)],
  ],
  'a link’s target that goes through itself, dangles, climbs': () => [
    [
      link('self', 'self'),
      link('a', 'b'),
      link('b', 'a'),
      link('up', '../../../../..'),
      link('deep', 'self/x/../y'),
    ],
    [file('up/x')],
  ],
  'links instead of the folders that programs look into': () => [
    [dir('usr/lib'), link('lib', 'usr/lib'), link('lib64', '/usr/lib'), link('etc', '../../etc'), dir('var')],
    [file('lib/x'), file('lib64/y')],
  ],
  'the root, named in four ways, with mode, owner and xattrs': () => [
    [dir('./', { mode: 0o700, uid: 3 }), file('x')],
    [dir('/', { mode: 0o711 }), file('y')],
    [dir('.', { mode: 0o555, xattrs: { 'user.r': '1' } })],
    [dir('a/..', { gid: 4 }), dir('b')],
  ],
  'modes with every bit': () => [
    [
      file('x', 'x', { mode: 0o7777 }),
      dir('d', { mode: 0o7777 }),
      file('d/y', 'y', { mode: 0 }),
      changed(file('big'), (block) => block.write('0177777\0', 100, 'latin1')),
    ],
    [file('d/z')],
  ],
  'no end of the archive': () => [{ tar: writeTar([file('x')], { end: false }) }],
  'one zero block for an end': () => [
    { tar: Buffer.concat([writeTar([file('x')], { end: false }), Buffer.alloc(512)]) },
  ],
  'two archives, one behind the other: the second is not seen': () => [
    { tar: Buffer.concat([writeTar([file('x')]), writeTar([file('y')])]) },
  ],
  'garbage behind the end': () => [
    { tar: Buffer.concat([writeTar([file('x')]), Buffer.alloc(5000, 'garbage')]) },
  ],
  'a header of Version 7, and one of old GNU tar': () => [
    [
      changed(file('v7'), (block) => block.fill(0, 257)),
      changed(file('gnu'), (block) => block.write('ustar  \0', 257, 'latin1')),
      changed(dir('v7-folder'), (block) => block.fill(0, 257).fill(0, 156, 157)),
    ],
  ],
  'a name in two parts': () => [
    [raw(writeHeader({ path: bytes('x'), prefix: bytes('folder/below'), typeFlag: '0', size: 0 }))],
  ],
  'a lower file’s hard link that a file of its own layer replaces': () => [
    BASE,
    [hard('n', 'd/a'), file('n', 'new')],
  ],
};

describe('what umoci unpacks is what we check out', () => {
  test.each(Object.entries(SAME))('%s', async (_name, layers) => {
    const { ours, umoci } = await unpackBoth(layers());
    expect(ours).toEqual(umoci);
  });
});

async function unpackBoth(
  layers: readonly Layer[],
): Promise<Record<'ours' | 'umoci', Record<string, string>>> {
  const image = imageOf(layers);
  const umoci = describeTree(unpackByUmoci(folder(), image));
  return { ours: describeTree(await unpackByUs(folder(), image)), umoci };
}

const X = 'file 0644 0:0 1 2d711642b726';
const DIR = 'dir 0755 0:0';
const BASE_LINES = { d: DIR, 'd/a': X, 'd/b': X, 'd/sub': DIR, 'd/sub/c': X, f: X, l: 'link 0:0 -> d' };

/** umoci refuses these, or reads them in a way that the comment argues against. The root is `dir 0755 0:0` in all. */
const OURS: Readonly<Record<string, readonly [() => readonly Layer[], Readonly<Record<string, string>>]>> = {
  // pax(1): it speaks of all entries that follow, and comments and times are nothing that we keep. umoci refuses the type.
  'a global PAX header with a comment and a time': [
    () => [
      [
        raw(
          writePax(
            [
              ['comment', 'git'],
              ['mtime', '1'],
            ],
            'g',
          ),
        ),
        file('x'),
      ],
    ],
    { x: X },
  ],
  // tar(5): '7' is a file for all who do not know better. umoci refuses the type.
  'file types that mean an ordinary file': [
    () => [
      [
        changed(file('x'), (block) => block.fill(0, 156, 157)),
        { path: 'y', type: 'contiguous', content: 'x' },
      ],
    ],
    { x: X, y: X },
  ],
  // As tars before ustar, and as libarchive reads it. Go makes it a file.
  'a file whose name ends in a slash': [() => [[{ path: 'x/', content: '' }]], { x: 'dir 0644 0:0' }],
  // The whiteout’s folder is made, as containerd makes it.
  'a whiteout below a link, and of the link': [
    () => [BASE, [{ path: 'l/.wh.a' }, gone('l')]],
    { d: DIR, 'd/b': X, 'd/sub': DIR, 'd/sub/c': X, f: X, l: DIR },
  ],
  'whiteouts of nothing, of themselves, of dots, with slashes': [
    () => [
      BASE,
      [
        { path: '.wh.' },
        { path: '.wh..' },
        { path: '.wh...' },
        { path: 'd/.wh./' },
        { path: 'd/.wh../', type: 'dir' },
        { path: '.wh..wh.x' },
        { path: '.wh..wh..wh..opq' },
        { path: 'd/.wh..wh.aufs', type: 'dir' },
      ],
    ],
    BASE_LINES,
  ],
  // layer.md has the prefix for a whiteout's own name: in the middle of a path it is a name like any other.
  'a folder whose name is a whiteout’s': [() => [[file('.wh.d/x')]], { '.wh.d': DIR, '.wh.d/x': X }],
  // What it names is there.
  'a hard link to itself, in a layer below': [
    () => [BASE, [hard('f', 'f')], [hard('d/a', './d/../d/a')]],
    BASE_LINES,
  ],
  'hard links to a device, and a device in place of a file of its layer': [
    () => [
      [{ path: 'dev', type: 'char' }, hard('h', 'dev'), file('x'), { path: 'x', type: 'fifo' }, file('y')],
    ],
    { y: X },
  ],
  'a file in place of a device of its layer': [() => [[{ path: 'x', type: 'fifo' }, file('x')]], { x: X }],
  // umoci cannot make a folder there; a folder in place of the file is what the layer says.
  'entries below a file of the layer below': [() => [[file('f')], [file('f/x')]], { f: DIR, 'f/x': X }],
};

describe('what umoci refuses or takes for something else is', () => {
  test.each(Object.entries(OURS))('%s', async (_name, [layers, lines]) => {
    expect(describeTree(await unpackByUs(folder(), imageOf(layers())))).toEqual({ '.': DIR, ...lines });
  });

  test('an old sparse file of GNU tar: what the same file of PAX format 1.0 is', async () => {
    const old = describeTree(await unpackByUs(join(folder(), 'old'), imageOf([sparse('--format=gnu')])));
    const image = imageOf([sparse('--format=pax', '--sparse-version=1.0')]);
    expect(old).toEqual(describeTree(unpackByUmoci(folder(), image)));
  });
});

const REFUSED: Readonly<Record<string, readonly [code: string, layers: () => readonly Layer[]]>> = {
  'an archive that ends in a header': [
    'layer-invalid',
    () => [{ tar: writeTar([file('x')], { end: false }).subarray(0, 300) }],
  ],
  'an archive that ends in a file’s content': [
    'layer-invalid',
    () => [{ tar: writeTar([file('x', 'x'.repeat(2000))], { end: false }).subarray(0, 1024) }],
  ],
  'an archive that ends behind a PAX header': ['layer-invalid', () => [{ tar: writePax([['path', 'x']]) }]],
  'an entry behind one zero block': ['layer-invalid', () => [[file('x'), raw(Buffer.alloc(512)), file('y')]]],
  'a wrong checksum': [
    'layer-invalid',
    () => [[raw(Buffer.from(writeTar([file('x')], { end: false })).fill('7', 110, 113)), file('y')]],
  ],
  'no tar at all': ['layer-invalid', () => [{ tar: Buffer.alloc(4096, '<html>') }]],
  'a size that is negative': [
    'layer-invalid',
    () => [[changed(file('x', ''), (block) => block.fill(0xff, 124, 136))]],
  ],
  'a size that PAX gives in words': ['layer-invalid', () => [[{ ...file('x'), pax: { size: 'many' } }]]],
  'an owner beyond 32 bits': ['layer-invalid', () => [[file('x', 'x', { uid: 2 ** 32 - 1 })]]],
  'a global PAX header that renames what follows': [
    'unsupported',
    () => [[raw(writePax([['path', 'etc/shadow']], 'g')), file('x')]],
  ],
  'a type that nobody knows': [
    'unsupported',
    () => [[changed(file('x', ''), (block) => block.write('Z', 156))]],
  ],
  'a root that is a link': ['layer-invalid', () => [[link('./', '/etc')]]],
  'a root that is a file': ['layer-invalid', () => [[file('a/..')]]],
  'a name of 256 bytes': ['layer-invalid', () => [[file('n'.repeat(256))]]],
  'a path of 4097 bytes': ['limit-exceeded', () => [[file(`${'d/'.repeat(2048)}x`)]]],
  'a path that is too long below our root, when it has to be looked at': [
    'limit-exceeded',
    () => [[file(`${'d/'.repeat(2040)}x`)], [gone(`${'d/'.repeat(2040)}x`)]],
  ],
  'a name with a NUL': ['layer-invalid', () => [[{ ...file('x'), pax: { path: 'a\0b' } }]]],
  'a link to nothing': ['layer-invalid', () => [[link('x', '')]]],
  'a hard link to a folder, in its layer': ['layer-invalid', () => [[dir('d'), hard('h', 'd')]]],
  'a hard link to a folder of the layer below': ['layer-invalid', () => [BASE, [hard('h', 'd/sub')]]],
  'a hard link to the root': ['layer-invalid', () => [[hard('h', '/')]]],
  'a hard link to what its layer takes away': ['layer-invalid', () => [BASE, [gone('f'), hard('h', 'f')]]],
  'a hard link to itself, which is nothing': ['layer-invalid', () => [[hard('h', 'h')]]],
  'a hard link over the folder that its target is in': ['layer-invalid', () => [BASE, [hard('d', 'd/a')]]],
  'entries below a link that goes round in circles': [
    'layer-invalid',
    () => [[link('a', 'b'), link('b', 'a')], [file('a/x')]],
  ],
  'whiteouts below a link to itself': ['layer-invalid', () => [[link('a', 'a')], [gone('a/x/y')]]],
  'entries below a link of the same layer': ['layer-invalid', () => [[link('a', '/etc'), file('a/x')]]],
  'entries below a file of the same layer': ['layer-invalid', () => [[file('a'), file('a/x')]]],
  'a folder in place of a file of the same layer': ['layer-invalid', () => [[file('a'), dir('a')]]],
  'a file in place of a folder of the same layer': ['layer-invalid', () => [[dir('a'), file('a')]]],
  'entries below a device of the same layer': [
    'layer-invalid',
    () => [[{ path: 'a', type: 'fifo' }, file('a/x')]],
  ],
  'a device in place of a folder of the same layer': [
    'layer-invalid',
    () => [[file('a/x'), { path: 'a', type: 'fifo' }]],
  ],
  'a file that is a folder behind a link': [
    'layer-invalid',
    () => [
      [dir('d'), link('l', 'd')],
      [dir('l/x'), file('d/x')],
    ],
  ],
  'a file above a folder that is needed behind a link': [
    'layer-invalid',
    () => [
      [dir('d'), link('l', 'd/d')],
      [file('d'), file('l/x')],
    ],
  ],
  'a folder in place of the link that leads to it': [
    'layer-invalid',
    () => [[link('c', '/')], [dir('c/c'), file('c/x')]],
  ],
  'a folder in place of the link of a lower layer by which another entry goes, before and behind it': [
    'layer-invalid',
    () => [[link('c', 'e'), link('d', '/')], [dir('d/c')], [link('c', 'e')], [file('c/x'), dir('d/c')]],
  ],
  'a file by two paths, one of them behind a link, in either order': [
    'layer-invalid',
    () => [
      [link('l', 'd'), dir('d')],
      [file('d/x', '1'), file('l/x', '2')],
    ],
  ],
  'a hard link in place of a lower layer’s link by which it goes': [
    'layer-invalid',
    () => [[link('c', '.'), file('f')], [hard('c/c', 'f')]],
  ],
  'a file that is replaced behind a hard link to it': [
    'layer-invalid',
    () => [[file('a', '1'), hard('b', 'a'), file('a', '2')]],
  ],
  'a file that comes behind a hard link to the one below': [
    'layer-invalid',
    () => [BASE, [hard('n', 'd/a'), file('d/a', 'new')]],
  ],
  'a hard link to a lower file in place of a folder behind a link': [
    'layer-invalid',
    () => [[link('c', 'a')], [file('c/a'), hard('a', 'c')]],
  ],
  'a hard link that is replaced behind a hard link to it': [
    'layer-invalid',
    () => [[file('a', '1'), file('b', '2'), hard('c', 'b'), hard('b', 'a')]],
  ],
  'a name that is no UTF-8 and too long to be stored': [
    'unsupported',
    () => [[file(bytes('\xe9'.repeat(200)))]],
  ],
};

describe('refused, with a sentence of ours', () => {
  test.each(Object.entries(REFUSED))('%s', async (_name, [code, layers]) => {
    const outcome = await unpackByUs(folder(), imageOf(layers())).catch((error: unknown) => error);
    // node cannot remove what is too deep for one path.
    execFileSync('rm', ['-rf', join(folder(), 'tree')]);
    expect(isAtomicError(outcome) ? outcome.code : outcome).toBe(code);
  });
});

describe('found by the generated stacks of layers-differential.test.ts', () => {
  test('parents without an entry are root’s, whoever owns what lies in them; the root as well', async () => {
    const { ours, umoci } = await unpackBoth([
      [file('a/b', 'x', { uid: 5, gid: 6 })],
      [
        file('c/d', 'x', { uid: 7 }),
        dir('./', { mode: 0o700, uid: 8, xattrs: { 'user.a': '1' } }),
        link('e/f', 'g'),
      ],
    ]);
    expect(ours).toEqual(umoci);
  });

  test('a link to a lower file gives way to a later entry of its layer, and the other way round', async () => {
    const { ours, umoci } = await unpackBoth([
      BASE,
      [hard('n', 'd/a'), file('n', 'new'), file('m', 'new'), hard('m', 'd/b'), hard('o', 'm')],
    ]);
    expect(ours).toEqual(umoci);
  });

  test('a folder that a layer names behind a link and makes by another path as well', async () => {
    const { ours, umoci } = await unpackBoth([
      [link('a', 'b')],
      [dir('a/a', { mode: 0o700, uid: 3, xattrs: { 'user.a': '1' } }), file('b/a/x')],
    ]);
    expect(ours).toEqual(umoci);
  });

  test('a folder that a layer names, and that a lower layer’s link needs', async () => {
    const { ours, umoci } = await unpackBoth([
      [link('c', 'b')],
      [dir('b', { mode: 0o711, gid: 1, xattrs: { 'user.a': '1' } }), dir('c/d', { mode: 0o700 })],
    ]);
    expect(ours).toEqual(umoci);
  });

  test('names that others are stored under', async () => {
    const { ours, umoci } = await unpackBoth([
      [file(bytes('\xe9')), file('.atomic-ts-name.é'), file('.atomic-ts-name..atomic-ts-name.é')],
    ]);
    expect(ours).toEqual(umoci);
  });

  test('a whiteout of a file whose name leaves no room for the prefix', async () => {
    const { ours, umoci } = await unpackBoth([
      [file('n'.repeat(255)), file('d/x')],
      [gone('n'.repeat(255)), file('d/y')],
    ]);
    expect(ours).toEqual(umoci);
  });

  // umoci lets mkdir(2) hand the group and its bit down.
  test('folders made by the way below one that hands its group down', async () => {
    const image = imageOf([
      [dir('g', { mode: 0o2777, gid: 9 }), link('l', 'g/by/need'), file('f')],
      [file('l/x'), hard('g/other/h', 'f'), file('g/third/y')],
    ]);
    const lines = describeTree(await unpackByUs(folder(), image));
    for (const path of ['g/by', 'g/by/need', 'g/other', 'g/third'])
      expect([path, lines[path]]).toEqual([path, DIR]);
  });
});
