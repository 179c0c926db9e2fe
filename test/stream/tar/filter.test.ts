import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isAtomicError, messageOf, type AtomicError } from '../../../src/errors.ts';
import { limitOf, PATH_BYTES } from '../../../src/limits.ts';
import type { LayerRecord } from '../../../src/stream/tar/recorder.ts';
import { writeHeader, writePax, writeTar, type RawEntry, type TarEntry } from '../../fixtures/tar-writer.ts';
import { cut, failureOf, filterTar, slices, type Filtered } from '../collect.ts';
import { readTar, type ReadEntry } from './read-tar.ts';

type Entries = readonly (TarEntry | RawEntry)[];

const filter = (entries: Entries): Promise<Filtered> => filterTar(writeTar(entries));
const refusal = (entries: Entries): Promise<AtomicError> => failureOf(filter(entries));
const read = async (entries: Entries): Promise<ReadEntry[]> => readTar((await filter(entries)).output);

/** What ostree is given, in short: type, path, and where a link goes. */
const told = async (entries: Entries): Promise<string[]> =>
  (await read(entries)).map(({ type, path, link }) => `${type} ${path}${link === '' ? '' : ` -> ${link}`}`);

async function recorded(entries: Entries): Promise<string[]> {
  const { records } = await filter(entries);
  return records.map((record: LayerRecord) => {
    const rest = record.kind === 'directory' ? ` ${record.mode.toString(8)} ${record.uid}:${record.gid}` : '';
    return `${record.kind} ${record.path}${rest}${record.kind === 'lower-link' ? ` -> ${record.target}` : ''}`;
  });
}

/** One header with any fields, whose checksum is right. */
function raw(
  fields: { path: string; typeFlag: string; size?: number; target?: string; content?: string },
  change: (block: Buffer) => void = () => undefined,
): RawEntry {
  const content = Buffer.from(fields.content ?? '', 'latin1');
  const block = writeHeader({
    ...fields,
    path: Buffer.from(fields.path, 'latin1'),
    target: Buffer.from(fields.target ?? '', 'latin1'),
    size: fields.size ?? content.length,
  });
  change(block);
  block.fill(' ', 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return { raw: Buffer.concat([block, content, Buffer.alloc((512 - (content.length % 512)) % 512)]) };
}

const pax = (records: Readonly<Record<string, string>>, type: 'x' | 'g' = 'x'): RawEntry => ({
  raw: writePax(
    Object.entries(records).map(([key, value]) => [key, Buffer.from(value, 'latin1')]),
    type,
  ),
});

const LONG = `${'d'.repeat(90)}/${'e'.repeat(90)}/${'f'.repeat(90)}`;

/** Nothing in it needs a change. */
const ORDINARY: Entries = [
  { path: './', type: 'dir' },
  { path: 'etc', type: 'dir', mode: 0o700, uid: 5, gid: 6 },
  { path: 'etc/motd', content: 'hello' },
  { path: './etc/empty' },
  { path: 'etc/link', type: 'symlink', target: '../anywhere/at all' },
  { path: 'etc/hard', type: 'hardlink', target: 'etc/motd' },
  { path: 'etc/harder', type: 'hardlink', target: './etc/motd' },
  { path: 'bin/su', mode: 0o4755, content: 'x'.repeat(1000), xattrs: { 'user.x': Buffer.from([0, 255]) } },
  { path: LONG, content: 'pax' },
  { path: `${LONG}-gnu`, content: 'gnu', longNames: 'gnu' },
  { path: 'to-long', type: 'symlink', target: LONG, longNames: 'gnu' },
  { path: 'times', pax: { mtime: '1.5', atime: '2', ctime: '3', uname: 'root', gname: 'root' } },
  { path: 'naïve/日本語', content: 'utf-8' },
];

describe('what goes through', () => {
  test('an ordinary tar, byte for byte', async () => {
    const tar = writeTar(ORDINARY);
    expect((await filterTar(tar)).output).toEqual(tar);
  });

  test('an ordinary tar without an end, which gets one', async () => {
    const { output } = await filterTar(writeTar(ORDINARY, { end: false }));
    expect(output).toEqual(writeTar(ORDINARY));
  });

  test('a tar of nothing, with one zero block, two, or none', async () => {
    for (const blocks of [0, 1, 2, 20]) {
      const { output, records } = await filterTar(Buffer.alloc(blocks * 512));
      expect(output).toEqual(Buffer.alloc(1024));
      expect(records).toEqual([]);
    }
  });

  test('not what stands behind the end: it is read and dropped', async () => {
    const tar = writeTar(ORDINARY);
    for (const rest of ['garbage', writeTar([{ path: 'more' }]), Buffer.alloc(9 * 512)]) {
      expect((await filterTar(Buffer.concat([tar, Buffer.from(rest)]))).output).toEqual(tar);
    }
  });
});

describe('names', () => {
  test.each([
    ['/etc/x', 'etc/x'],
    ['../../etc/x', 'etc/x'],
    ['a/../../x', 'x'],
    ['a//b/./c', 'a/b/c'],
    ['./a/../b', 'b'],
  ])('%j is given to ostree as %j', async (given, clean) => {
    expect(await told([{ path: given, content: 'x' }])).toEqual([`0 ${clean}`]);
    expect((await recorded([{ path: given }])).at(-1)).toBe(`file ${clean}`);
  });

  test('of a PAX record win over GNU’s, and these over the header’s', async () => {
    const long = (type: 'L' | 'K', text: string): RawEntry =>
      raw({ path: '././@LongLink', typeFlag: type, content: `${text}\0` });
    const [entry] = await read([
      long('L', 'gnu'),
      long('K', 'gnu-target'),
      pax({ path: 'pax', linkpath: 'pax-target' }),
      { path: 'ustar', type: 'symlink', target: 'ustar-target' },
    ]);
    expect(entry).toMatchObject({ path: 'pax', link: 'pax-target' });
    expect(
      await told([long('K', 'kt'), long('L', 'gnu'), { path: 'u', type: 'symlink', target: 't' }]),
    ).toEqual(['2 gnu -> kt']);
  });

  test('of several PAX headers before one entry: the last wins', async () => {
    expect(await told([pax({ path: 'first' }), pax({ path: 'second' }), { path: 'x' }])).toEqual([
      '0 second',
    ]);
  });

  test('an empty PAX value unsets its key', async () => {
    const [entry] = await read([
      pax({ path: '', linkpath: '', uid: '', size: '' }),
      { path: 'x', content: 'abc', uid: 9 },
    ]);
    expect(entry).toMatchObject({ path: 'x', content: 'abc', uid: 9, pax: { path: 'x' } });
  });

  test('of 255 bytes and of 4096 pass, longer ones are refused', async () => {
    const longest = 'a/'.repeat((PATH_BYTES - 256) / 2) + 'n'.repeat(255);
    expect((await read([{ path: longest }]))[0]?.path).toBe(longest);
    expect((await refusal([{ path: `a/${longest}bb` }])).code).toBe('limit-exceeded');
    expect((await refusal([{ path: 'n'.repeat(256) }])).code).toBe('layer-invalid');
  });

  test('that are no UTF-8 go out as they are stored, of files, link targets and whiteouts', async () => {
    const name = '.atomic-ts-name.café';
    const entries: Entries = [
      { path: Buffer.from('d/caf\xe9', 'latin1') },
      raw({ path: 'l', typeFlag: '2', target: '../caf\xe9/x' }),
      raw({ path: 'h', typeFlag: '1', target: './d/caf\xe9' }),
      raw({ path: 'd/.wh.caf\xe9', typeFlag: '0' }),
      { path: '.atomic-ts-name.x', type: 'symlink', target: '.atomic-ts-name.x' },
    ];
    const fake = '.atomic-ts-name..atomic-ts-name.x';
    expect((await told(entries)).map((line) => Buffer.from(line, 'latin1').toString())).toEqual([
      `0 d/${name}`,
      `2 l -> ../${name}/x`,
      `1 h -> d/${name}`,
      `0 d/.wh.${name}`,
      `2 ${fake} -> ${fake}`,
    ]);
    const records = (await recorded(entries)).map((line) => Buffer.from(line, 'latin1').toString());
    expect(records.filter((line) => line.startsWith('stored-name'))).toEqual([`stored-name d/${name}`]);
    expect(records).toContain(`whiteout d/${name}`);
  });

  test('that are no UTF-8 are refused when their stored form is too long for a file or a link', async () => {
    const bytes = (count: number): string => '\xe9'.repeat(count);
    const path = (count: number): Entries => [{ path: Buffer.from(bytes(count), 'latin1') }];
    expect(await read(path(119))).toHaveLength(1);
    expect((await refusal(path(120))).code).toBe('unsupported');
    const target = (linkpath: string): Entries => [
      pax({ linkpath }),
      { path: 'l', type: 'symlink', target: 'x' },
    ];
    expect(await read(target(bytes(120)))).toHaveLength(1);
    expect((await refusal(target(bytes(2048)))).code).toBe('unsupported');
  });

  test('with NUL are refused, and so are symlinks to nothing', async () => {
    expect((await refusal([pax({ path: 'a\0b' }), { path: 'x' }])).code).toBe('layer-invalid');
    const link: TarEntry = { path: 'l', type: 'symlink', target: 'x' };
    expect((await refusal([pax({ linkpath: 'a\0b' }), link])).code).toBe('layer-invalid');
    expect((await refusal([{ path: 'l', type: 'symlink', target: '' }])).code).toBe('layer-invalid');
    expect((await refusal([pax({ linkpath: 'x'.repeat(4096) }), link])).code).toBe('layer-invalid');
  });

  test('of folders that have no entry are given to ostree first, as root’s, once, whoever owns what is in them', async () => {
    const deep = 'p'.repeat(120);
    const { whole, records } = await filter([
      { path: 'b', uid: 7 },
      { path: `a/${deep}/x`, uid: 7, gid: 8 },
      { path: 'a/y', uid: 7 },
      { path: 'a', type: 'dir', mode: 0o700, uid: 9 },
    ]);
    expect(
      readTar(whole).map(({ path, type, mode, uid }) => `${type} ${path} ${mode.toString(8)} ${uid}`),
    ).toEqual([
      '5 ./ 755 0',
      '0 b 644 7',
      '5 a/ 755 0',
      `5 a/${deep}/ 755 0`,
      `0 a/${deep}/x 644 7`,
      '0 a/y 644 7',
      '5 a/ 700 9',
    ]);
    expect(records.filter(({ kind }) => kind === 'implied').map(({ path }) => path)).toEqual([
      'a',
      `a/${deep}`,
    ]);
    expect((await filter([{ path: './', type: 'dir' }, { path: 'x' }])).whole).toHaveLength(4 * 512);
  });

  test('of the root are a folder’s alone', async () => {
    for (const path of ['.', './', '/', 'a/..']) {
      expect(await recorded([{ path, type: 'dir', mode: 0o711, uid: 1, gid: 2 }])).toEqual([
        'directory  711 1:2',
      ]);
      expect((await refusal([{ path, type: 'symlink', target: 'x' }])).code).toBe('layer-invalid');
    }
    expect((await refusal([{ path: '.', content: 'x' }])).message).toContain('a root that is no folder');
  });
});

describe('numbers', () => {
  test('sizes of PAX records outrank the header’s', async () => {
    const entry: TarEntry = { path: 'x', content: 'hello', headerSize: 0, pax: { size: '5' } };
    expect(await read([entry, { path: 'y' }])).toMatchObject([{ content: 'hello' }, { path: 'y' }]);
    for (const size of ['-1', 'x', '9'.repeat(17), '1e3'])
      expect((await refusal([{ path: 'x', pax: { size } }])).code).toBe('layer-invalid');
  });

  test('in base 256 are read: owners, and sizes of more than 8 GiB', async () => {
    const [entry] = await read([{ path: 'x', uid: 3_000_000_000, gid: 2_097_152, content: 'abc' }]);
    expect(entry).toMatchObject({ uid: 3_000_000_000, gid: 2_097_152, content: 'abc' });
    expect((await refusal([{ path: 'x', headerSize: 2 ** 33 }])).message).toContain(
      'in the middle of an entry',
    );
  });

  test('owners beyond what Linux has are refused', async () => {
    for (const uid of [2 ** 32 - 1, 2 ** 40])
      expect((await refusal([{ path: 'x', uid }])).code).toBe('layer-invalid');
    for (const gid of ['4294967295', '-1', 'root'])
      expect((await refusal([{ path: 'x', pax: { gid } }])).code).toBe('layer-invalid');
    expect(await recorded([{ path: 'd', type: 'dir', pax: { uid: '4294967294' } }])).toEqual([
      'directory d 755 4294967294:0',
    ]);
  });
});

describe('types', () => {
  test('a header of Version 7 is made one of ustar', async () => {
    const [entry] = await read([
      raw({ path: 'x', typeFlag: '\0', content: 'abc' }, (block) => block.fill(0, 257)),
    ]);
    expect(entry).toMatchObject({ type: '0', path: 'x', content: 'abc' });
  });

  test('a contiguous file is a file; a file whose name ends in a slash a folder', async () => {
    expect(await told([{ path: 'x', type: 'contiguous', content: 'x' }])).toEqual(['0 x']);
    expect(await recorded([raw({ path: 'd/', typeFlag: '\0' })])).toEqual(['directory d 644 0:0']);
    expect(await told([raw({ path: 'd/', typeFlag: '0' })])).toEqual(['5 d']);
  });

  test.each(['1', '2', '3', '4', '5', '6'])(
    'type %s has no content, whatever size it names',
    async (typeFlag) => {
      const entries = [
        { path: 'y', content: 'y' },
        raw({ path: 'x', typeFlag, target: 'y', size: 700 }),
        { path: 'z', content: 'z' },
      ];
      const out = await read(entries);
      expect(out.at(-1)).toMatchObject({ path: 'z', content: 'z' });
      expect(out.find(({ path }) => path === 'x')?.content ?? '').toBe('');
      const withRecord = [
        { path: 'y' },
        pax({ size: '700' }),
        raw({ path: 'x', typeFlag, target: 'y' }),
        { path: 'z' },
      ];
      expect((await read(withRecord)).at(-1)?.path).toBe('z');
    },
  );

  test('devices and FIFOs are left out; what the layers below had in their place goes', async () => {
    const entries: Entries = [
      { path: 'dev/null', type: 'char', major: 1, minor: 3 },
      { path: 'dev/sda', type: 'block', major: 8 },
      { path: 'run/pipe', type: 'fifo' },
      { path: 'dev/zero', type: 'hardlink', target: 'dev/null' },
      { path: 'x' },
    ];
    const { output, records, recorder } = await filter(entries);
    expect(readTar(output).map(({ path }) => path)).toEqual(['x']);
    expect(recorder.devicesLeftOut).toBe(4);
    expect(records.map(({ kind, path }) => `${kind} ${path}`)).toEqual([
      'implied dev',
      'whiteout dev/null',
      'whiteout dev/sda',
      'implied run',
      'whiteout run/pipe',
      'whiteout dev/zero',
      'file x',
    ]);
  });

  test.each(['A', 'D', 'M', 'N', 'V', 'X', '8', ' '])('%j is refused', async (typeFlag) => {
    expect((await refusal([raw({ path: 'x', typeFlag })])).code).toBe('unsupported');
  });

  test('what is a file or link and a folder at once is refused, in either order', async () => {
    const folder: TarEntry = { path: 'a', type: 'dir' };
    const below: TarEntry = { path: 'a/b/c' };
    expect(await recorded([{ path: 'a', type: 'whiteout' }, folder])).toHaveLength(3);
    for (const file of [{ path: 'a' }, { path: 'a', type: 'symlink', target: 'b' }] satisfies TarEntry[]) {
      expect((await refusal([file, folder])).message).toContain('both as a file or link and as a folder');
      expect((await refusal([folder, file])).code).toBe('layer-invalid');
      expect((await refusal([file, below])).code).toBe('layer-invalid');
      expect((await refusal([below, file])).code).toBe('layer-invalid');
    }
  });
});

describe('sparse files', () => {
  /** An old GNU sparse header: 100 bytes at 0, then holes to `realSize`. */
  const old = (realSize: number, extensions: number, path = 'sparse'): RawEntry => {
    const { raw: header } = raw({ path, typeFlag: 'S', size: 100 }, (block) => {
      block.write('ustar  \0', 257, 'latin1');
      block.fill(0, 345, 512);
      block.write('00000000000\x0000000000144\0', 386, 'latin1');
      block.write(`${realSize.toString(8).padStart(11, '0')}\0`, 483, 'latin1');
      if (extensions > 0) block[482] = 1;
    });
    const maps = Array.from({ length: extensions }, (_, i) =>
      Buffer.alloc(512).fill(i + 1 < extensions ? 1 : 0, 504, 505),
    );
    return { raw: Buffer.concat([header, ...maps, Buffer.alloc(512, 'd')]) };
  };

  test.each([0, 1, 3])('of old GNU tar pass with %i more blocks of their map', async (extensions) => {
    const tar = writeTar([old(4096, extensions), { path: 'next', content: 'x' }]);
    const { output, records, recorder } = await filterTar(tar);
    expect(output).toEqual(tar);
    expect(records.map(({ path }) => path)).toEqual(['sparse', 'next']);
    expect(recorder.fileBytes).toBe(4096 + 1);
  });

  test('that are whiteouts leave nothing of their maps and content', async () => {
    for (const path of ['.wh.x', '.wh.'])
      expect((await read([old(4096, 2, path), { path: 'next', content: 'x' }])).at(-1)).toMatchObject({
        path: 'next',
        content: 'x',
      });
  });

  test('of PAX format 1.0 pass, under their own name', async () => {
    const sparse = (name: string): Entries => [
      pax({
        'GNU.sparse.major': '1',
        'GNU.sparse.minor': '0',
        'GNU.sparse.name': name,
        'GNU.sparse.realsize': '70000',
      }),
      { path: 'GNUSparseFile.0/x', content: `1\n0\n3\n${'\0'.repeat(506)}abc` },
    ];
    expect((await filter(sparse('dir/x'))).output).toEqual(writeTar(sparse('dir/x')));
    const { output, records, recorder } = await filter(sparse('/dir/../x'));
    expect(records).toEqual([{ kind: 'file', path: 'x' }]);
    expect(readTar(output)[0]?.pax).toMatchObject({
      path: 'x',
      'GNU.sparse.name': 'x',
      'GNU.sparse.realsize': '70000',
    });
    expect(recorder.fileBytes).toBe(70_000);
  });

  test('whose holes would fill a disk are refused', async () => {
    const large = raw({ path: 'x', typeFlag: 'S' }, (block) => {
      block.fill(0, 483, 495).fill(0x80, 483, 484).fill(1, 488, 489);
    });
    expect((await refusal([large])).code).toBe('limit-exceeded');
    const holes = (size: string): Entries => [pax({ 'GNU.sparse.realsize': size }), { path: 'x' }];
    expect((await refusal(holes(String(2 ** 50)))).code).toBe('limit-exceeded');
    expect((await refusal(holes('a lot'))).code).toBe('limit-exceeded');
  });
});

describe('hard links', () => {
  test('in a chain all go to the first file', async () => {
    expect(
      await told([
        { path: 'x', content: 'x' },
        { path: 'y', type: 'hardlink', target: 'x' },
        { path: 'z', type: 'hardlink', target: 'y' },
        { path: 'dir/w', type: 'hardlink', target: '/z' },
      ]),
    ).toEqual(['0 x', '1 y -> x', '1 z -> x', '1 dir/w -> x']);
  });

  test('to a file that a later entry replaces the link itself with go to that', async () => {
    expect(
      await told([
        { path: 'x' },
        { path: 'y', type: 'hardlink', target: 'x' },
        { path: 'y', content: 'other' },
        { path: 'z', type: 'hardlink', target: 'y' },
      ]),
    ).toEqual(['0 x', '1 y -> x', '0 y', '1 z -> y']);
  });

  test('to what the layer does not have are left out and recorded; when it comes behind them they are refused', async () => {
    const entries: Entries = [
      { path: 'a/y', type: 'hardlink', target: './bin/x' },
      { path: 'z', type: 'hardlink', target: 'a/y' },
    ];
    expect(await told(entries)).toEqual([]);
    for (const behind of [{ path: 'bin/x' }, { path: 'bin/x', type: 'fifo' }] satisfies TarEntry[])
      expect((await refusal([...entries, behind])).message).toContain('"bin/x" behind a hard link');
    expect(await recorded(entries)).toEqual(['lower-link a/y -> bin/x', 'lower-link z -> a/y']);
  });

  test('to themselves are nothing', async () => {
    expect(await told([{ path: 'x' }, { path: 'x', type: 'hardlink', target: './x' }])).toEqual(['0 x']);
  });

  test('to symlinks are links to the symlink', async () => {
    expect(
      await told([
        { path: 's', type: 'symlink', target: '/etc' },
        { path: 'h', type: 'hardlink', target: 's' },
      ]),
    ).toEqual(['2 s -> /etc', '1 h -> s']);
  });
});

describe('whiteouts', () => {
  test('are empty files of no mode in the tree, whatever they were', async () => {
    for (const type of ['file', 'symlink', 'hardlink', 'char', 'dir'] as const) {
      const entry: TarEntry = { path: 'a/.wh.b', type, target: 'x', mode: 0o777, uid: 4 };
      expect(await read([entry])).toMatchObject([
        { path: 'a/.wh.b', type: '0', mode: 0, uid: 0, content: '', link: '' },
      ]);
      expect(await recorded([entry])).toEqual(['implied a', 'file a/.wh.b', 'whiteout a/b']);
    }
    expect(await told([{ path: '.wh.x', content: 'content' }, { path: 'y' }])).toEqual(['0 .wh.x', '0 y']);
  });

  test('of the root, of folders, of names that begin with a dot', async () => {
    expect(await recorded([{ path: 'x', type: 'whiteout' }])).toEqual(['file .wh.x', 'whiteout x']);
    expect(await recorded([{ path: '', type: 'opaque' }])).toEqual(['file .wh..wh..opq', 'opaque ']);
    expect(await recorded([{ path: 'a', type: 'opaque' }])).toEqual([
      'implied a',
      'file a/.wh..wh..opq',
      'opaque a',
    ]);
    expect((await recorded([{ path: 'a/.x', type: 'whiteout' }])).at(-1)).toBe('whiteout a/.x');
    expect((await recorded([{ path: 'a/...', type: 'whiteout' }])).at(-1)).toBe('whiteout a/...');
  });

  test.each(['.wh.', '.wh..', '.wh...', '.wh..wh.', '.wh..wh.aufs', '.wh..wh.plnk'])(
    '%s names nothing and is left out',
    async (name) => {
      const { output, records, recorder } = await filter([
        { path: `a/${name}`, content: 'x' },
        { path: 'y' },
      ]);
      expect(readTar(output).map(({ path }) => path)).toEqual(['y']);
      expect(records).toEqual([{ kind: 'file', path: 'y' }]);
      expect(recorder.whiteoutsLeftOut).toBe(1);
    },
  );

  test('beside the file they name: both are kept', async () => {
    expect(await told([{ path: 'x' }, { path: 'x', type: 'whiteout' }])).toEqual(['0 x', '0 .wh.x']);
  });
});

describe('folders', () => {
  test('that others lie in are recorded before them, once', async () => {
    expect(
      await recorded([{ path: 'a/b/c' }, { path: 'a/b/d' }, { path: 'a', type: 'dir', mode: 0o1777 }]),
    ).toEqual(['implied a', 'implied a/b', 'file a/b/c', 'file a/b/d', 'directory a 1777 0:0']);
  });
});

describe('extended headers', () => {
  test('that readers do not agree on are dropped, with names and xattrs kept', async () => {
    const [entry] = await read([
      {
        path: 'x',
        xattrs: { 'user.a': 'b' },
        pax: { hdrcharset: 'BINARY', 'LIBARCHIVE.xattr.user.c': 'ZA' },
      },
    ]);
    expect(entry?.pax).toEqual({ 'SCHILY.xattr.user.a': 'b', path: 'x' });
  });

  test('several xattrs come last name first, as ostree has to read them, and each once', async () => {
    const value = (name: string): [string, string] => [name, `of ${name}`];
    const names = ['user.b', 'user.a', 'security.x'];
    const ordered: TarEntry[] = [{ path: 'x', xattrs: Object.fromEntries(names.map(value)) }];
    expect((await filter(ordered)).output.equals(writeTar(ordered))).toBe(true);
    const [entry] = await read([
      {
        path: 'x',
        xattrs: Object.fromEntries([...names].reverse().map(value)),
        pax: { 'SCHILY.xattr.user.b': 'other', mtime: '1' },
      },
    ]);
    expect(Object.entries(entry?.pax ?? {})).toEqual([
      ['mtime', '1'],
      ['SCHILY.xattr.user.b', 'other'],
      ['SCHILY.xattr.user.a', 'of user.a'],
      ['SCHILY.xattr.security.x', 'of security.x'],
      ['path', 'x'],
    ]);
  });

  test('an empty xattr stays', async () => {
    const tar = writeTar([{ path: 'x', xattrs: { 'user.empty': '' } }]);
    expect((await filterTar(tar)).output).toEqual(tar);
  });

  test('for all that follows are dropped, as Docker does, and refused when they would rename or resize', async () => {
    expect(await read([pax({ uid: '9' }, 'g'), { path: 'x', uid: 7 }])).toMatchObject([{ uid: 7 }]);
    expect(await told([pax({ comment: 'commit id', mtime: '1' }, 'g'), { path: 'x' }])).toEqual(['0 x']);
    expect(await told([pax({ path: 'p' }), pax({ comment: 'c' }, 'g'), { path: 'x' }])).toEqual(['0 p']);
    for (const key of ['path', 'linkpath', 'size', 'hdrcharset', 'GNU.sparse.name', 'SCHILY.xattr.user.x'])
      expect((await refusal([pax({ [key]: 'x' }, 'g'), { path: 'y' }])).code).toBe('unsupported');
  });

  test('are capped for one entry, in one piece or in many', async () => {
    const big = 'v'.repeat(limitOf('tar-header-size') / 2);
    expect(await told([pax({ comment: big }), { path: 'x' }, pax({ comment: big }), { path: 'y' }])).toEqual([
      '0 x',
      '0 y',
    ]);
    expect((await refusal([pax({ comment: big }), pax({ comment: big }), { path: 'x' }])).code).toBe(
      'limit-exceeded',
    );
    const small = Array.from({ length: limitOf('tar-header-size') / 512 }, () => pax({ comment: '' }));
    expect((await refusal([...small, { path: 'x' }])).code).toBe('limit-exceeded');
    const lie = raw({ path: 'x', typeFlag: 'x', size: limitOf('tar-header-size') + 1 });
    expect((await refusal([lie])).code).toBe('limit-exceeded');
  });

  test('that nothing follows are refused', async () => {
    expect((await refusal([{ path: 'x' }, pax({ path: 'y' })])).message).toContain(
      'in the middle of an entry',
    );
  });
});

describe('damage', () => {
  test('a wrong checksum, at the start and behind good entries', async () => {
    const tar = writeTar(ORDINARY);
    const broken = Buffer.from(tar);
    broken[0] = 1;
    expect((await failureOf(filterTar(broken))).message).toContain('damaged (wrong checksum');
    expect((await refusal([...ORDINARY, { raw: Buffer.alloc(512, 'x') }])).code).toBe('layer-invalid');
    expect((await failureOf(filterTar(Buffer.from('<html>'.repeat(300))))).code).toBe('layer-invalid');
  });

  test('an entry behind a zero block', async () => {
    expect((await refusal([{ path: 'x' }, { raw: Buffer.alloc(512) }, { path: 'y' }])).message).toContain(
      'behind its end-of-archive marker',
    );
  });

  test('cut off anywhere but between two entries or in their padding, it is refused', async () => {
    const entries: Entries = [
      { path: 'x', content: 'x'.repeat(600) },
      pax({ path: 'p' }),
      { path: 'y', content: 'y' },
    ];
    const tar = writeTar(entries, { end: false });
    const isWhole = (length: number): boolean =>
      length === 0 || (length >= 512 + 600 && length <= 1536) || length > tar.length - 512;
    for (let length = 0; length <= tar.length; length += 8) {
      const outcome = await filterTar(tar.subarray(0, length)).then(
        () => 'whole',
        (error: unknown) => messageOf(error),
      );
      expect(outcome).toContain(isWhole(length) ? 'whole' : 'ends in the middle of an entry');
    }
  });
});

test('padding that is missing behind the last file is added', async () => {
  const tar = writeTar([{ path: 'x', content: 'x'.repeat(600) }], { end: false });
  const { whole } = await filterTar(tar);
  for (const length of [512 + 600, 1535])
    expect((await filterTar(tar.subarray(0, length))).whole.equals(whole)).toBe(true);
});

describe('chunks', () => {
  const all: Entries = [
    ...ORDINARY,
    { path: '/abs', content: 'x'.repeat(3000) },
    { path: 'dev/null', type: 'char' },
    { path: 'a/.wh.b', content: 'not empty' },
    { path: 'etc/z', type: 'hardlink', target: 'etc/hard' },
    { path: 'low', type: 'hardlink', target: 'lower' },
    pax({ comment: 'c'.repeat(5000) }),
    { path: 'commented', content: 'x'.repeat(512) },
  ];

  test('however the tar is cut, the same comes out and is recorded', async () => {
    const tar = writeTar(all);
    const whole = await filterTar(tar);
    const same = async (chunks: Uint8Array[]): Promise<void> => {
      const { output, records } = await filterTar(tar, chunks);
      expect(output.equals(whole.output)).toBe(true);
      expect(records).toEqual(whole.records);
    };
    for (const size of [1, 7, 511, 512, 513, 1024, 10_000]) await same(slices(tar, size));
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(tar.length), { maxLength: 40 }), (places) => same(cut(tar, places))),
      { numRuns: 60 },
    );
  });

  test('a large extension in tiny pieces costs no more than in one', async () => {
    const tar = writeTar([pax({ comment: 'c'.repeat(limitOf('tar-header-size') - 2000) }), { path: 'x' }]);
    // Copied anew for each piece it would be 20 GiB.
    expect((await filterTar(tar, slices(tar, 24))).records).toEqual([{ kind: 'file', path: 'x' }]);
  });
});

test('any bytes at all end in a tar or in an error of ours', async () => {
  const block = fc.oneof(
    fc.uint8Array({ minLength: 512, maxLength: 512 }),
    fc
      .tuple(
        fc.constantFrom(...'0 1 2 3 4 5 6 7 x g L K S'.split(' ')),
        fc.string({ maxLength: 12 }),
        fc.nat(1500),
      )
      .map(([typeFlag, path, size]) => raw({ path, typeFlag, size, target: 'x' }).raw),
    fc.constant(Buffer.alloc(512)),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(block, { maxLength: 6 }), async (blocks) => {
      const result = filterTar(Buffer.concat(blocks)).then(({ output }) => readTar(output));
      const outcome = await result.then(
        () => 'a tar',
        (error: unknown) => (isAtomicError(error) ? 'an error of ours' : error),
      );
      expect(['a tar', 'an error of ours']).toContain(outcome);
    }),
    { numRuns: 300 },
  );
});
