/** Stacks of layers, imported and checked out by us; umoci is the judge, and where it differs, the image specification. */
import { existsSync, lstatSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { hexOf } from '../../src/image/digest.ts';
import { ATTACKS, climbTo } from '../fixtures/attacks.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';
import { sha256, type BuiltImage, type LayerSpec, type TarEntry } from '../fixtures/image-builder.ts';
import { imageOf, unpackByUmoci, unpackByUs, type Entries } from './layers-setup.ts';
import { describeTree, hardLinkGroups } from './tree.ts';

const folder = useTempFolder();

type Name = string | Uint8Array;

/** Text whose characters are bytes. */
const BYTES = (text: string): Buffer => Buffer.from(text, 'latin1');
const dir = (path: Name, more: Partial<TarEntry> = {}): TarEntry => ({ path, type: 'dir', ...more });
const file = (path: Name, content: Name = path, more: Partial<TarEntry> = {}): TarEntry => ({
  path,
  content,
  ...more,
});
const link = (path: Name, target: Name): TarEntry => ({ path, type: 'symlink', target });
const hard = (path: Name, target: Name): TarEntry => ({ path, type: 'hardlink', target });
const gone = (path: Name): TarEntry => ({ path, type: 'whiteout' });
const opaque = (path: Name): TarEntry => ({ path, type: 'opaque' });

/** VFS_CAP_REVISION_2, effective, cap_net_raw: capabilities(7). */
const CAPABILITY = Buffer.from('0100000200200000000000000000000000000000', 'hex');
const LONG = 'n'.repeat(255);
const BASE: Entries = [
  dir('etc'),
  file('etc/a'),
  file('etc/b'),
  dir('etc/sub'),
  file('etc/sub/c'),
  file('top'),
];

/** Each is what umoci makes of it, entry for entry. */
const STACKS: Readonly<Record<string, readonly (Entries | LayerSpec)[]>> = {
  'one layer of every type': [
    [...BASE, link('l', 'etc/a'), link('dangling', '/nowhere'), hard('h', 'etc/a'), file('empty', '')],
  ],
  'modes and owners': [
    [
      dir('closed', { mode: 0, uid: 1, gid: 2 }),
      file('closed/x', 'x', { mode: 0, uid: 3, gid: 4 }),
      dir('read-only', { mode: 0o555 }),
      file('read-only/x'),
      dir('tmp', { mode: 0o1777 }),
      dir('group', { mode: 0o2775, gid: 50 }),
      file('su', 'su', { mode: 0o4755 }),
      file('sg', 'sg', { mode: 0o2711, uid: 8, gid: 9 }),
      file('far', 'far', { uid: 3_000_000, gid: 4_000_000 }),
      link('l', 'su'),
      { ...link('owned', 'su'), uid: 12, gid: 13 },
    ],
  ],
  'extended attributes and capabilities': [
    [
      file('ping', 'ping', { mode: 0o755, xattrs: { 'security.capability': CAPABILITY } }),
      file('x', 'x', {
        xattrs: { 'user.text': 'päx', 'user.binary': Buffer.from([0, 1, 255]) },
      }),
      file('t', 't', { xattrs: { 'trusted.t': 'secret' } }),
      dir('d', { xattrs: { 'user.d': 'folder' } }),
      file('same', 'ping', { mode: 0o755 }),
    ],
    [file('y', 'x', { xattrs: { 'user.text': 'other' } }), hard('z', 'y')],
  ],
  'names that are long, odd, and in every script': [
    [
      file(LONG),
      file(`${'d'.repeat(200)}/${'e'.repeat(200)}/${LONG}`),
      file(`gnu/${'g'.repeat(180)}`, 'g', { longNames: 'gnu' }),
      { ...link('to-long', `${'t'.repeat(300)}/x`), longNames: 'gnu' },
      file('日本語/naïve/🐧'),
      file('with space/tab\there/new\nline'),
      file('"quotes"/\\backslash/*?[]'),
      file('-dash/--help'),
      file('...'),
      file('.hidden'),
    ],
  ],
  'a changed file, an added one, a removed one': [BASE, [file('etc/a', 'new'), file('etc/d'), gone('etc/b')]],
  'a whiteout of a folder': [BASE, [gone('etc/sub')]],
  'a whiteout and the folder anew': [BASE, [gone('etc'), dir('etc', { mode: 0o700 }), file('etc/new')]],
  'a whiteout behind the file that it would hide': [BASE, [file('etc/a', 'new'), gone('etc/a')]],
  'a whiteout of what is not there': [BASE, [gone('etc/none'), gone('none')]],
  'whiteouts of a link, and of a name in a folder that a link stands for': [
    [...BASE, link('l', 'etc'), link('m', '/etc')],
    [gone('l'), gone('m/a')],
  ],
  'whiteouts of names that begin with a dot': [
    [file('a/.x'), file('a/..y'), file('a/...')],
    [gone('a/.x'), gone('a/...')],
  ],
  'an opaque folder': [BASE, [opaque('etc'), file('etc/new')]],
  'an opaque folder whose marker comes last': [
    BASE,
    [file('etc/new'), file('etc/a', 'again'), opaque('etc')],
  ],
  'an opaque folder with subfolders of both layers': [
    BASE,
    [dir('etc/sub', { mode: 0o711 }), file('etc/sub/new'), opaque('etc')],
  ],
  'an opaque root': [BASE, [opaque('.'), file('only')]],
  'an opaque folder that is new': [BASE, [dir('new'), opaque('new'), file('new/x')]],
  'an opaque folder in the base': [[opaque('etc'), file('etc/x')]],
  'a folder in place of a file': [BASE, [dir('top'), file('top/x')]],
  'a file in place of a folder': [BASE, [file('etc/sub', 'file')]],
  'a file in place of a folder with much in it': [BASE, [file('etc', 'file')]],
  'a link in place of a folder': [BASE, [link('etc/sub', '..')]],
  'a folder in place of a link': [
    [...BASE, link('l', 'etc')],
    [dir('l'), file('l/x')],
  ],
  'a file in place of a link': [[...BASE, link('l', 'etc/a')], [file('l', 'file')]],
  'a link in place of a file, and of a link': [
    [...BASE, link('l', 'a')],
    [link('top', 'etc/a'), link('l', 'b')],
  ],
  'three times the other type': [[file('x')], [dir('x'), file('x/y')], [link('x', 'z')], [file('x', 'end')]],
  'entries below a link of the layer below': [
    [dir('run'), dir('var'), link('var/run', '/run')],
    [file('var/run/x'), file('var/run/lock/y')],
  ],
  'entries below a relative link, a chain of links, and a link that leaves the root': [
    [...BASE, link('r', 'etc'), link('c', 'r'), link('o', '../../../etc')],
    [file('r/1'), file('c/2'), file('o/3'), gone('o/b')],
  ],
  'entries below links below links': [
    [dir('a/real'), link('a/l', 'real'), dir('a/real/deep'), link('a/real/m', 'deep')],
    [file('a/l/m/x'), file('a/l/y'), dir('a/l/m/z', { mode: 0o700 })],
  ],
  'entries below a link whose target is not there yet': [[link('l', 'made/by/need')], [file('l/x')]],
  'a file in place of a folder, behind a link': [[...BASE, link('l', 'etc')], [file('l/sub', 'file now')]],
  'hard links to files of the layer below': [
    BASE,
    [hard('h1', 'etc/a'), hard('h2', 'h1'), hard('new/h3', 'etc/sub/c'), hard('etc/b', 'etc/a')],
  ],
  'a hard link over a folder, and one below a link': [
    [...BASE, link('l', 'etc')],
    [hard('etc/sub', 'top'), hard('l/h', 'top')],
  ],
  'hard links in chains, and to a link': [
    [file('x'), hard('y', 'x'), hard('z', 'y'), link('s', 'x'), hard('t', 's'), hard('d/w', './z')],
  ],
  'an empty layer between others': [BASE, [], [file('etc/a', 'new')]],
  'a layer of only its root': [BASE, [dir('./')], [file('etc/a', 'new')]],
  'the root’s own mode and owner': [[dir('./', { mode: 0o711, uid: 5, gid: 6 }), ...BASE]],
  'the root’s mode, changed above': [BASE, [dir('./', { mode: 0o750 })], [file('x')]],
  'a folder’s mode and owner, changed above': [
    BASE,
    [dir('etc', { mode: 0o700, uid: 7, gid: 8 })],
    [dir('etc/sub', { mode: 0o1770, gid: 3 }), file('etc/sub/new')],
  ],
  'folders that the layer above only passes through': [
    [dir('a', { mode: 0o700, uid: 1, gid: 2 }), dir('a/b', { mode: 0o711 })],
    [file('a/b/c/d')],
  ],
  'missing parents': [[file('a/b/c'), dir('d/e/f', { mode: 0o700 }), link('g/h', 'i')]],
  'the same layer twice, with one between them': [BASE, [gone('etc/a'), file('top', 'changed')], BASE],
  'the same path twice': [
    [file('x', 'first'), file('x', 'second'), dir('d', { mode: 0o700 }), dir('d', { mode: 0o711 })],
  ],
  'absolute names and such with dots': [[file('/abs/x'), file('./a/./b'), file('a//c'), file('a/../d')]],
  'plain tar, gzip and zstd': [
    { entries: BASE, compression: 'none' },
    { entries: [file('etc/a', 'gzip')], compression: 'gzip' },
  ],
  'a folder’s xattrs, changed above, cleared above, and the root’s': [
    [
      dir('./', { xattrs: { 'user.r': '1' } }),
      dir('d', { xattrs: { 'user.a': '1', 'user.b': '1' }, mode: 0o700 }),
      dir('d/e', { xattrs: { 'user.e': '1' } }),
      file('d/e/x'),
      dir('c', { xattrs: { 'user.c': '1' } }),
      file('c/x'),
    ],
    [dir('d', { xattrs: { 'user.a': '2', 'trusted.t': '3' }, mode: 0o711, uid: 4 }), file('d/new')],
    [dir('c', { mode: 0o750, gid: 5 }), file('d/e/y'), dir('./', { xattrs: { 'user.r': '2' } })],
  ],
  'a folder’s xattrs behind a link, and of a folder that was removed between': [
    [
      dir('a', { xattrs: { 'user.a': '1' } }),
      file('a/x'),
      link('l', 'a'),
      dir('r', { xattrs: { 'user.r': '1' } }),
    ],
    [file('l/y'), dir('l/z', { xattrs: { 'user.z': '1' } }), gone('r')],
    [dir('a/z'), dir('r'), file('l/z/w')],
  ],
  'names and targets that are no UTF-8, of every type, over three layers': [
    [
      dir(BYTES('d\xe9')),
      file(BYTES('d\xe9/\xff\xfe'), 'first', { xattrs: { 'user.x': '1' } }),
      file(BYTES('d\xe9/gone\x80'), 'gone'),
      file(BYTES('d\xe9/\xc3\xa9'), 'UTF-8'),
      link(BYTES('l\xe9'), BYTES('d\xe9/./\xff\xfe')),
      { ...link('to', BYTES('/d\xe9')), uid: 5, gid: 6 },
      hard(BYTES('h\xe9'), BYTES('d\xe9/\xff\xfe')),
      dir(BYTES('o\xe9'), { mode: 0o700, xattrs: { 'user.o': '1' } }),
      file(BYTES('o\xe9/lower')),
      file(BYTES(`pax\xe9/${'n'.repeat(90)}/\xe9`)),
      { ...file(BYTES(`gnu\xe9/${'n'.repeat(90)}/\xe9`)), longNames: 'gnu' },
    ],
    [
      gone(BYTES('d\xe9/gone\x80')),
      opaque(BYTES('o\xe9')),
      file(BYTES('o\xe9/upper\xe9')),
      file(BYTES('to/through\xe9')),
      hard(BYTES('low\xe9'), BYTES('to/\xff\xfe')),
    ],
    [dir(BYTES('d\xe9'), { mode: 0o711, xattrs: { 'user.d': '1' } }), file(BYTES('l\xe9'), 'file now')],
  ],
  'names that look like those that names are stored under': [
    [
      file('.atomic-ts-name.é', 'not a byte'),
      file(BYTES('\xe9'), 'a byte'),
      file('.atomic-ts-name.'),
      dir('.atomic-ts-name..atomic-ts-name.d'),
      link('.atomic-ts-name.l', '.atomic-ts-name.é'),
    ],
    [gone('.atomic-ts-name.')],
  ],
  'identical files of different owners and modes': [
    [file('a', 'same'), file('b', 'same', { uid: 1 }), file('c', 'same', { mode: 0o755 }), file('d', 'same')],
  ],
};

describe('what umoci unpacks is what we check out', () => {
  test.each(Object.entries(STACKS))('%s', async (_name, layers) => {
    const image = imageOf(layers);
    const expected = describeTree(unpackByUmoci(folder(), image));
    expect(describeTree(await unpackByUs(folder(), image))).toEqual(expected);
  });
});

interface Difference {
  readonly layers: readonly Entries[];
  /** What umoci makes of it, as lines that ours are not; undefined where it refuses the image. */
  readonly umoci: Readonly<Record<string, string | undefined>> | undefined;
  readonly ours: Readonly<Record<string, string | undefined>>;
}

const FILE = (content: string): string =>
  `file 0644 0:0 ${content.length} ${hexOf(sha256(Buffer.from(content))).slice(0, 12)}`;
const DIR = 'dir 0755 0:0';

/**
 * Where we and umoci differ, and why:
 * - device nodes and FIFOs: ostree has no object for them; what they replace is gone all the same.
 * - whiteouts in a folder that is not there: containerd makes the folder as well, umoci does not; layer.md is silent.
 * - whiteouts that name nothing, and aufs' own: layer.md reserves the prefix, so they are no files; umoci removes the
 *   folder that `.wh.` lies in and then fails.
 * - an empty xattr: GNU tar and libarchive keep it; Go reads an empty PAX value as none.
 */
const DIFFERENCES: Readonly<Record<string, Difference>> = {
  'device nodes and FIFOs': {
    layers: [
      [file('a'), file('b'), dir('c'), file('c/x')],
      [
        { path: 'a', type: 'char', major: 1, minor: 3 },
        { path: 'b', type: 'fifo' },
        { path: 'c', type: 'block', major: 8, minor: 1 },
        hard('d', 'a'),
        file('e'),
      ],
    ],
    umoci: { a: 'special 0644 0:0', b: 'special 0644 0:0', c: 'special 0644 0:0', d: 'special 0644 0:0' },
    ours: { a: undefined, b: undefined, c: undefined, d: undefined },
  },
  'a whiteout in a folder that is not there': {
    layers: [[file('x')], [gone('a/b')]],
    umoci: { a: undefined },
    ours: { a: DIR },
  },
  'aufs’ own files': {
    layers: [[file('d/x'), file('d/.wh..wh.aufs'), dir('d/.wh..wh.orph')]],
    umoci: { 'd/.wh..wh.aufs': undefined },
    ours: { 'd/.wh..wh.aufs': undefined },
  },
  'a whiteout that names nothing': {
    layers: [[file('a/x')], [file('a/.wh.'), file('a/.wh..'), file('a/y')]],
    umoci: undefined,
    ours: { a: DIR, 'a/x': FILE('a/x'), 'a/y': FILE('a/y'), 'a/.wh.': undefined, 'a/.wh..': undefined },
  },
  'an empty xattr': {
    layers: [[file('x', 'x', { xattrs: { 'user.empty': '' } })]],
    umoci: { x: FILE('x') },
    ours: { x: `${FILE('x')} user.empty=0x` },
  },
};

function umociOrRefusal(image: BuiltImage): Record<string, string> | undefined {
  try {
    return describeTree(unpackByUmoci(folder(), image));
  } catch {
    return undefined;
  }
}

describe('where umoci differs', () => {
  test.each(Object.entries(DIFFERENCES))('%s', async (_name, { layers, umoci, ours }) => {
    const image = imageOf(layers);
    const mine = describeTree(await unpackByUs(folder(), image));
    const theirs = umociOrRefusal(image);
    expect(theirs === undefined).toBe(umoci === undefined);
    for (const [path, line] of Object.entries(umoci ?? {}))
      expect([path, theirs?.[path]]).toEqual([path, line]);
    for (const [path, line] of Object.entries(ours)) expect([path, mine[path]]).toEqual([path, line]);
    const rest = (tree: Record<string, string>): Record<string, string> =>
      Object.fromEntries(
        Object.entries(tree).filter(([path]) => !(path in ours) && !(path in (umoci ?? {}))),
      );
    expect(rest(mine)).toEqual(rest(theirs ?? mine));
  });
});

describe('a hostile layer cannot leave the tree', () => {
  test.each(Object.entries(ATTACKS))('%s', async (_name, attack) => {
    const canary = join(folder(), 'canary');
    mkdirSync(join(canary, 'folder'), { recursive: true });
    writeFileSync(join(canary, 'file'), 'alive');
    writeFileSync(join(canary, 'folder/inside'), 'alive');
    const before = describeTree(canary);
    const image = imageOf(attack(canary, climbTo(canary)));
    // An attack may be refused; what counts is the canary.
    const tree = await unpackByUs(folder(), image).catch(() => undefined);
    expect(describeTree(canary)).toEqual(before);
    expect(existsSync('/pwned')).toBe(false);
    if (tree === undefined) return;
    for (const path of Object.keys(describeTree(tree)))
      expect(lstatSync(join(tree, path)).ino).not.toBe(lstatSync(join(canary, 'file')).ino);
  });

  test('what goes to the link’s target lies inside the root', async () => {
    const tree = await unpackByUs(folder(), imageOf([[link('d', '/')], [file('d/pwned')]]));
    expect(readdirSync(tree).sort()).toEqual(['d', 'pwned']);
  });
});

test('hard links stay hard links, across layers too', async () => {
  const image = imageOf([
    [file('x'), hard('y', 'x'), hard('z', 'y'), file('other', 'other')],
    [hard('low', 'x'), hard('lower', 'low')],
  ]);
  const tree = await unpackByUs(folder(), image);
  expect(hardLinkGroups(tree, ['x', 'y', 'z', 'low', 'lower', 'other'])).toEqual([0, 0, 0, 0, 0, 5]);
});

test('a hard link to the file that it is already, by way of a link, leaves it there', async () => {
  const image = imageOf([[file('e/x', 'x'), link('d', 'e')], [hard('d/x', 'e/x')]]);
  const lines = describeTree(await unpackByUs(folder(), image));
  expect(lines['e/x']).toBe(FILE('x'));
});

test('a hard link to a file that no layer has is an error that names both', async () => {
  const image = imageOf([[file('x')], [hard('y', 'none')]]);
  const failure = unpackByUs(folder(), image);
  await expect(failure).rejects.toMatchObject({ code: 'layer-invalid' });
  await expect(failure).rejects.toThrow('"y" points at "none"');
});

test('entries below a link whose name ostree’s lists cannot hold are an error', async () => {
  const image = imageOf([[dir('etc'), link('a\nb', 'etc')], [file('a\nb/x')]]);
  await expect(unpackByUs(folder(), image)).rejects.toMatchObject({ code: 'unsupported' });
});

test('links that go round in circles are an error and no endless loop', async () => {
  const image = imageOf([[link('a', 'b'), link('b', 'a')], [file('a/x')]]);
  await expect(unpackByUs(folder(), image)).rejects.toMatchObject({ code: 'layer-invalid' });
});

test('thirty small layers, each over the one before', async () => {
  const layers = Array.from({ length: 30 }, (_, i): Entries => [
    file('number', String(i)),
    file(`folder/${i}`),
    ...(i > 0 ? [i % 3 === 0 ? gone(`folder/${i - 1}`) : dir('folder', { mode: 0o700 + (i % 8) })] : []),
    ...(i % 7 === 0 ? [link(`link${i}`, 'folder')] : [file(`link${i - (i % 7)}/from${i}`)]),
  ]);
  const image = imageOf(layers);
  const expected = describeTree(unpackByUmoci(folder(), image));
  expect(describeTree(await unpackByUs(folder(), image))).toEqual(expected);
});
