/** Trees compared by way of real checkouts, and packages read by a real rpm. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readPackages } from '../../src/app/diff/rpm-packages.ts';
import { createFiles } from '../../src/host/files.ts';
import { diffTrees, type TreeDiff } from '../../src/store/diff-trees.ts';
import { bytePath } from '../../src/store/object-checksum.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';
import { checkOut, exec, imageOf, importAll, makeStore, type Entries } from './layers-setup.ts';

const folder = useTempFolder();
const at = (path: string): string => join(folder(), path);

/** cap_net_raw+ep, as capabilities(7) keeps it. */
const CAP_NET_RAW = Buffer.from('0100000200200000000000000000000000000000', 'hex');

const BASE: Entries = [
  { path: 'bin/ping', content: 'ping', mode: 0o755, xattrs: { 'security.capability': CAP_NET_RAW } },
  { path: 'bin/sh', content: 'sh', mode: 0o755 },
  { path: 'etc/conf', content: 'old' },
  { path: 'etc/empty', content: '' },
  { path: 'etc/owner', content: 'x' },
  { path: 'lib', type: 'symlink', target: 'usr/lib' },
];
const NEXT: Entries = [
  { path: 'bin/ping', content: 'ping', mode: 0o755 },
  { path: 'etc/conf', content: 'new' },
  { path: 'etc/empty', type: 'whiteout' },
  { path: 'etc/owner', content: 'x', uid: 1, gid: 2, mode: 0o600 },
  { path: 'lib', type: 'dir' },
  { path: 'lib/a', content: 'a' },
];

function compare(first: string, second: string): Promise<TreeDiff> {
  return diffTrees(exec, at('repo'), bytePath(first), bytePath(second), new AbortController().signal);
}

describe('the checkouts of two images', () => {
  it('differ in what their layers do, capabilities included', async () => {
    const store = await makeStore(folder());
    const [one, two] = [imageOf([BASE]), imageOf([BASE, NEXT])];
    for (const image of [one, two]) await importAll(store, image);
    const first = await checkOut(folder(), store, one, 'one');
    const second = await checkOut(folder(), store, two, 'two');
    expect(await compare(first, second)).toEqual({
      onlyInFirst: ['etc/empty'],
      onlyInSecond: ['lib/a'],
      changed: [
        { path: 'bin/ping', keywords: ['xattr'] },
        { path: 'etc/conf', keywords: ['sha256digest'] },
        { path: 'etc/owner', keywords: ['uid', 'gid', 'mode'] },
        { path: 'lib', keywords: ['type'] },
      ],
    });
    const again = await checkOut(folder(), store, two, 'again');
    expect(await compare(second, again)).toEqual({ onlyInFirst: [], onlyInSecond: [], changed: [] });
  });

  it('are the same as a copy that shares no file with them, but for attributes that were changed there', async () => {
    const store = await makeStore(folder());
    const odd = 'f/line\nM    f/0';
    const files = [odd, ...Array.from({ length: 25 }, (_, i) => `f/${i}`)];
    const image = imageOf([BASE, files.map((path) => ({ path, content: path }))]);
    await importAll(store, image);
    const tree = await checkOut(folder(), store, image);
    execFileSync('cp', ['-a', tree, at('copy')]);
    expect(await compare(tree, at('copy'))).toEqual({ onlyInFirst: [], onlyInSecond: [], changed: [] });
    execFileSync('setfattr', ['-n', 'user.mark', '-v', '1', at(`copy/${odd}`), at('copy/bin/sh')]);
    expect((await compare(tree, at('copy'))).changed).toEqual([
      { path: 'bin/sh', keywords: ['xattr'] },
      { path: odd, keywords: ['xattr'] },
    ]);
  });
});

describe('the packages of a tree', () => {
  it('are what the host’s rpm finds in a copy; the tree is left as it was', async () => {
    const spec =
      'Name: %1\nEpoch: 1\nVersion: 2.0\nRelease: 3\nSummary: x\nLicense: x\nBuildArch: noarch\n%description\nx\n%files\n';
    const database = at('tree/usr/lib/sysimage/rpm');
    mkdirSync(database, { recursive: true });
    // Debian's rpm makes a database in the home of whoever builds.
    const options = { stdio: 'pipe', env: { ...process.env, HOME: at('.') } } as const;
    for (const name of ['zlib', 'bash']) {
      writeFileSync(at(`${name}.spec`), spec.replace('%1', name));
      execFileSync('rpmbuild', ['-bb', '--define', `_topdir ${at('build')}`, at(`${name}.spec`)], options);
      const file = at(`build/RPMS/noarch/${name}-2.0-3.noarch.rpm`);
      // Debian's rpm installs nothing, not even into a database, where the root is its own.
      const args = [
        '--root',
        at('tree'),
        '--dbpath',
        '/usr/lib/sysimage/rpm',
        '--justdb',
        '--nodeps',
        '-i',
        file,
      ];
      execFileSync('rpm', args, options);
    }
    const before = readdirSync(database);
    cpSync(database, at('before'), { recursive: true });
    mkdirSync(at('scratch'));
    const read = (namesOnly: boolean): ReturnType<typeof readPackages> =>
      readPackages({ exec, files: createFiles(exec) }, 'x', at('tree'), at('scratch'), namesOnly);
    expect(await read(false)).toEqual({ release: '', packages: ['bash-1-2.0-3', 'zlib-1-2.0-3'] });
    expect((await read(true)).packages).toEqual(['bash', 'zlib']);
    expect(readdirSync(database)).toEqual(before);
    execFileSync('diff', ['-r', database, at('before')]);
  });
});
