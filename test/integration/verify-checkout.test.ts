/** A checkout that was tampered with, and the names of ostree's objects: judged here, and by the `ostree` program. */
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  copyFileSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { bytePath, fileObjectChecksum, pathBytes } from '../../src/store/object-checksum.ts';
import { verifyCheckout, type RuntimeEntries, type VerifiedTree } from '../../src/store/verify-checkout.ts';
import { findDamagedObjects } from '../../src/store/verify-objects.ts';
import type { ImageStore } from '../../src/store/image-store.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';
import { checkOut, exec, imageOf, importAll, makeStore } from './layers-setup.ts';

const folder = useTempFolder();
const signal = new AbortController().signal;

const IMAGE = imageOf([
  [
    { path: 'bin', type: 'dir' },
    { path: 'bin/tool', content: 'tool', mode: 0o4755 },
    { path: 'bin/ping', content: 'ping', mode: 0o755, xattrs: { 'security.capability': CAP_NET_RAW() } },
    { path: 'bin/same', content: 'tool', mode: 0o4755 },
    { path: 'etc/conf', content: 'old', uid: 7, gid: 9 },
    { path: 'etc/empty', content: '' },
    { path: 'etc/other-empty', content: '', mode: 0o600 },
    { path: 'lib', type: 'symlink', target: 'usr/lib' },
    { path: 'usr/lib/a', content: 'a' },
    { path: 'dev', type: 'dir' },
  ],
  [
    { path: 'etc/conf', content: 'new', uid: 7, gid: 9 },
    { path: 'usr/lib/b', content: 'b'.repeat(300_000) },
  ],
]);

/** cap_net_raw+ep, as capabilities(7) keeps it: version 2, effective. */
function CAP_NET_RAW(): Buffer {
  return Buffer.from('0100000200200000000000000000000000000000', 'hex');
}

const NOTHING: RuntimeEntries = { places: [], devices: false, deviceNames: [] };

let store: ImageStore;
let tree: string;
beforeEach(async () => {
  store = await makeStore(folder());
  await importAll(store, IMAGE);
  tree = await checkOut(folder(), store, IMAGE);
});

const at = (path: string): string => join(tree, path);

async function verify(runtime: RuntimeEntries = NOTHING, gone = false): Promise<VerifiedTree> {
  const scratch = join(folder(), 'verify');
  mkdirSync(scratch);
  const layers = gone ? undefined : IMAGE.layers.map(({ descriptor }) => descriptor.digest);
  try {
    return await verifyCheckout(exec, store.repository, tree, layers, { scratch, runtime, signal });
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

const listed = ({ findings }: VerifiedTree): string[] =>
  findings.map(({ path, found }) => `${path}: ${found}`);

/** Breaks the link to the repo's object first, as an editor does. */
function replace(path: string, content: string, mode = 0o644): void {
  rmSync(at(path));
  writeFileSync(at(path), content);
  chmodSync(at(path), mode);
}

describe('the checksum of a file', () => {
  test('is the one that ostree gives', async () => {
    const samples = join(folder(), 'samples');
    mkdirSync(samples);
    writeFileSync(join(samples, 'plain'), 'x');
    writeFileSync(join(samples, 'empty'), '');
    writeFileSync(join(samples, 'large'), Buffer.alloc(20 * 1024 * 1024, 'large'));
    writeFileSync(join(samples, 'setuid'), 'x');
    chownSync(join(samples, 'setuid'), 1000, 70_000);
    chmodSync(join(samples, 'setuid'), 0o6751);
    for (const length of [1, 100, 238, 239, 240, 1000, 4000])
      symlinkSync('t'.repeat(length), join(samples, `link-${length}`));
    for (const name of readdirSync(samples)) {
      const path = join(samples, name);
      const ours = await fileObjectChecksum(bytePath(path), lstatSync(path));
      expect(`${name} ${ours}`).toBe(
        `${name} ${execFileSync('ostree', ['checksum', path], { encoding: 'utf8' }).trim()}`,
      );
    }
  });

  test('has the xattrs in it', async () => {
    const path = join(folder(), 'file');
    writeFileSync(path, 'x');
    for (const length of [1, 200, 300, 4000]) {
      const value = 'v'.repeat(length);
      execFileSync('setfattr', ['-n', 'user.a', '-v', value, path]);
      execFileSync('setfattr', ['-n', 'user.other', '-v', 'w', path]);
      const xattrs = [
        { name: 'user.a', value: Buffer.from(value) },
        { name: 'user.other', value: Buffer.from('w') },
      ];
      const theirs = execFileSync('ostree', ['checksum', path], { encoding: 'utf8' }).trim();
      expect(await fileObjectChecksum(bytePath(path), lstatSync(path), xattrs)).toBe(theirs);
    }
  });
});

describe('a checkout', () => {
  test('is what its image is when nobody has been at it', async () => {
    expect(await verify()).toEqual({ findings: [], damaged: [] });
  });

  test('is told of where entries were added, removed, or are others', async () => {
    mkdirSync(at('opt'));
    writeFileSync(at('opt/x'), 'x');
    writeFileSync(at('bin/new'), 'new');
    writeFileSync(pathBytes(`${bytePath(at('bin'))}/caf\xe9`), '');
    rmSync(at('usr/lib/a'));
    replace('etc/conf', 'NEW');
    unlinkSync(at('lib'));
    symlinkSync('/tmp', at('lib'));
    rmSync(at('etc/other-empty'));
    mkdirSync(at('etc/other-empty'));
    chmodSync(at('etc'), 0o777);
    lchownSync(at('bin'), 5, 6);
    chmodSync(tree, 0o700);
    chmodSync(at('etc/empty'), 0o666);
    expect(listed(await verify()).sort()).toEqual([
      ': mode 0700, was 0755',
      'bin/caf\\xe9: a file that the image does not have',
      'bin/new: a file that the image does not have',
      'bin: owner 5:6, was 0:0',
      'etc/conf: owner 0:0, was 7:9',
      'etc/empty: mode 0666, was 0644',
      'etc/other-empty: a folder, was a file',
      'etc: mode 0777, was 0755',
      'lib: points at /tmp, was usr/lib',
      'opt: a folder that the image does not have',
      'usr/lib/a: a file that is gone',
    ]);
  });

  test('is well when its files were copied, and not when one has another content or has lost its capability', async () => {
    for (const name of ['bin/tool', 'bin/ping', 'usr/lib/a', 'usr/lib/b'])
      execFileSync('sh', ['-c', 'cp -a "$1" "$1.new" && mv "$1.new" "$1"', 'sh', at(name)]);
    expect(await verify()).toEqual({ findings: [], damaged: [] });
    replace('usr/lib/a', 'A');
    copyFileSync(at('bin/ping'), at('bin/ping.new'));
    renameSync(at('bin/ping.new'), at('bin/ping'));
    expect(listed(await verify()).sort()).toEqual([
      'bin/ping: other extended attributes',
      'usr/lib/a: another content',
    ]);
  });

  test.each([
    ['written to', (path: string) => appendFileSync(path, 'more'), 'usr/lib/b'],
    ['emptied', (path: string) => truncateSync(path), 'usr/lib/b'],
    ['given another mode', (path: string) => chmodSync(path, 0o777), 'usr/lib/a'],
    ['given another owner', (path: string) => chownSync(path, 1, 2), 'etc/conf'],
    ['written to where it has xattrs', (path: string) => writeFileSync(path, 'PING'), 'bin/ping'],
    [
      'robbed of its xattrs',
      (path: string) => execFileSync('setfattr', ['-x', 'security.capability', path]),
      'bin/ping',
    ],
    ['a link that was given another owner', (path: string) => lchownSync(path, 1, 2), 'lib'],
  ])('is damaged with the repo when a file is %s in place', async (_how, damage, path) => {
    const before = execFileSync('ostree', ['checksum', at(path)], { encoding: 'utf8' }).trim();
    damage(at(path));
    const object = join(store.repository.path, 'objects', before.slice(0, 2), `${before.slice(2)}.file`);
    for (const gone of [false, true])
      expect(await verify(NOTHING, gone)).toEqual({
        findings: [],
        damaged: [{ checksum: before, path: object, inTree: path }],
      });
  });

  test('is not taken for the right one where the repo has lost the content', async () => {
    const checksum = execFileSync('ostree', ['checksum', at('usr/lib/a')], { encoding: 'utf8' }).trim();
    execFileSync('sh', ['-c', 'cp -a "$1" "$1.new" && : >"$1" && mv "$1.new" "$1"', 'sh', at('usr/lib/a')]);
    const { findings, damaged } = await verify();
    expect(findings).toEqual([{ path: 'usr/lib/a', found: '1 bytes, was 0' }]);
    expect(damaged).toMatchObject([{ checksum, inTree: undefined }]);
  });

  test('may have the labels of SELinux, which need no program for each file', async () => {
    const label = { 'security.selinux': 'system_u:object_r:container_file_t:s0\0' };
    const labelled = imageOf([
      Array.from({ length: 20 }, (_, i) => ({ path: `file-${i}`, content: `${i}`, xattrs: label })),
    ]);
    await importAll(store, labelled);
    const scratch = join(folder(), 'labels');
    mkdirSync(scratch);
    const root = await checkOut(folder(), store, labelled, 'labelled');
    expect(execFileSync('getfattr', ['-m-', '--', join(root, 'file-7')], { encoding: 'utf8' })).toContain(
      'security.selinux',
    );
    const programs: string[] = [];
    const counting: typeof exec = {
      ...exec,
      run: (program, args, options) => {
        programs.push(`${program} ${args[0] ?? ''}`);
        return exec.run(program, args, options);
      },
    };
    writeFileSync(join(root, 'file-7'), 'x');
    const { damaged } = await verifyCheckout(counting, store.repository, root, undefined, {
      scratch,
      runtime: NOTHING,
      signal,
    });
    expect(damaged.map(({ inTree }) => inTree)).toEqual(['file-7']);
    expect(programs).toEqual(['stat --format=%C', 'ostree checksum']);
  });

  test('is not asked after file by file when somebody has changed all of them', async () => {
    const many = imageOf([Array.from({ length: 300 }, (_, i) => ({ path: `file-${i}`, content: `${i}` }))]);
    await importAll(store, many);
    const root = await checkOut(folder(), store, many, 'many');
    execFileSync('chown', ['-R', '5:6', root]);
    let asked = 0;
    const counting: typeof exec = {
      ...exec,
      run: (program, args, options) => {
        if (args[0] === 'checksum') asked += 1;
        return exec.run(program, args, options);
      },
    };
    const damaged = await findDamagedObjects(counting, store.repository.path, [root], {
      emptied: false,
      signal,
    });
    expect(damaged).toHaveLength(300);
    expect(asked).toBe(100);
  });

  test('may have what a runtime makes to mount on, and nothing else', async () => {
    const runtime = {
      places: ['/proc', '/lib/x/y', '/etc/hosts', '/work'],
      devices: true,
      deviceNames: ['/dev/kvm'],
    };
    mkdirSync(at('proc'));
    mkdirSync(at('usr/lib/x/y'), { recursive: true });
    writeFileSync(at('etc/hosts'), '');
    mkdirSync(at('work'));
    symlinkSync('/proc/self/fd', at('dev/fd'));
    writeFileSync(at('dev/console'), '');
    for (const name of ['null', 'kvm']) execFileSync('mknod', [at(`dev/${name}`), 'c', '1', '3']);
    expect(await verify(runtime)).toEqual({ findings: [], damaged: [] });
    expect(listed(await verify({ ...runtime, devices: false }))).toHaveLength(4);
    writeFileSync(at('work/left'), '');
    writeFileSync(at('etc/hosts'), '127.0.0.1 evil\n');
    writeFileSync(at('dev/shm'), 'x');
    execFileSync('mknod', [at('dev/sda'), 'b', '8', '0']);
    symlinkSync('/etc', at('dev/stdin'));
    expect(listed(await verify(runtime)).sort()).toEqual([
      'dev/sda: a special file that the image does not have',
      'dev/shm: a file that the image does not have',
      'dev/stdin: a symbolic link that the image does not have',
      'etc/hosts: a file that the image does not have',
      'work/left: a file that the image does not have',
    ]);
  });

  test('is judged without being followed out of its root', async () => {
    const outside = join(folder(), 'outside');
    mkdirSync(outside);
    writeFileSync(join(outside, 'secret'), 'secret');
    rmSync(at('etc'), { recursive: true });
    symlinkSync(outside, at('etc'));
    expect(listed(await verify())).toEqual(['etc: a symbolic link, was a folder']);
  });

  test('leaves the judgement to the signal when that aborts', async () => {
    const abort = new AbortController();
    abort.abort(new Error('enough'));
    const scratch = join(folder(), 'verify');
    mkdirSync(scratch);
    const layers = IMAGE.layers.map(({ descriptor }) => descriptor.digest);
    const options = { scratch, runtime: NOTHING, signal: abort.signal };
    await expect(verifyCheckout(exec, store.repository, tree, layers, options)).rejects.toThrow('enough');
  });
});

test('hard links of one file are read once, and a second name is no difference', async () => {
  linkSync(at('usr/lib/a'), at('usr/lib/c'));
  expect(listed(await verify())).toEqual(['usr/lib/c: a file that the image does not have']);
});
