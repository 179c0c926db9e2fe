import { createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  planHostFileRemoval,
  planHostFiles,
  type HostFilesInput,
  type HostFilesPlan,
} from '../../src/container/host-files.ts';
import { parseHostPath, renamePath } from '../../src/container/host-files/host-path.ts';
import { limitOf } from '../../src/limits.ts';
import { substitute } from '../../src/render/substitute.ts';

const sha = (text: string): string => createHash('sha256').update(text).digest('hex');
const VALUES = { NAME: 'hf', RECEIVER: 'World', CONF_DIRECTORY: '/etc' };

let rootfs: string;
beforeEach(async () => {
  rootfs = await mkdtemp(join(tmpdir(), 'atomic-hostfs-'));
});
afterEach(() => rm(rootfs, { recursive: true, force: true }));

/** Puts a file into the image's hostfs. */
async function put(path: string, content = '', mode = 0o644): Promise<void> {
  const file = join(rootfs, 'exports/hostfs', path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, content);
  await chmod(file, mode);
}

async function putLink(path: string, target: string): Promise<void> {
  const link = join(rootfs, 'exports/hostfs', path);
  await mkdir(dirname(link), { recursive: true });
  await symlink(target, link);
}

type Change = Partial<Omit<HostFilesInput, 'manifest'>> & {
  readonly manifest?: Partial<HostFilesInput['manifest']>;
  /** What the host has, with its checksums. */
  readonly host?: Readonly<Record<string, string>>;
};

function plan({ manifest, host = {}, ...change }: Change = {}): Promise<HostFilesPlan> {
  return planHostFiles({
    rootfs,
    place: '/deployments/hf.0/rootfs',
    manifest: { renameFiles: {}, installedFilesTemplate: [], useLinks: true, ...manifest },
    render: (text, path) => substitute(text, path, VALUES),
    leaving: [],
    hostPathExists: (path) => Promise.resolve(path in host),
    hostChecksum: (path) => Promise.resolve(host[path]),
    ...change,
  });
}

const pathsOf = ({ files }: HostFilesPlan): string[] => files.map(({ path }) => path);

describe('planHostFiles', () => {
  it('plans nothing for an image without host files', async () => {
    expect(await plan()).toEqual({ files: [], skipped: [], renamed: {} });
  });

  it('plans what atomic made of its own test image', async () => {
    await putLink('broken-symlink', '/does/not/exist');
    await mkdir(join(rootfs, 'exports/hostfs/usr/local/placeholder-lib'), { recursive: true });
    await put('usr/local/lib/placeholder-file', 'Hello unknown $RECEIVER\n');
    await put('usr/local/lib/secret-message', 'Hello unknown $RECEIVER\n');
    await put('usr/local/lib/secret-message-template', 'hello $RECEIVER\n');
    const result = await plan({
      manifest: {
        renameFiles: { '/usr/local/lib/placeholder-file': '/usr/local/lib/renamed-$NAME' },
        installedFilesTemplate: ['/usr/local/lib/secret-message-template'],
        useLinks: false,
      },
      host: { '/usr/local/placeholder-lib': '0' },
    });
    expect(result.files.map(({ path, checksum }) => [path, checksum])).toEqual([
      ['/broken-symlink', '0'],
      ['/usr/local/lib/renamed-hf', 'c17ffd8b66ca2cd44868f61c689597647f369a9fa4c46e80e708f0f3d9485510'],
      ['/usr/local/lib/secret-message', 'c17ffd8b66ca2cd44868f61c689597647f369a9fa4c46e80e708f0f3d9485510'],
      [
        '/usr/local/lib/secret-message-template',
        '0c23d0ceae909c42439cbb3069887888cb829f6c9d2c93966c944c65a6b6ed59',
      ],
    ]);
    expect(result.renamed).toEqual({ '/usr/local/lib/placeholder-file': '/usr/local/lib/renamed-hf' });
    expect(result.files[3]).toMatchObject({ content: 'hello World\n', link: false });
    expect(result.files[1]).toMatchObject({
      kind: 'file',
      source: '/deployments/hf.0/rootfs/exports/hostfs/usr/local/lib/placeholder-file',
    });
  });

  it('keeps mode, setuid and owner', async () => {
    await put('usr/bin/tool', 'x', 0o4755);
    const [file] = (await plan()).files;
    expect(file).toMatchObject({ mode: 0o4755, uid: process.getuid?.(), gid: process.getgid?.() });
  });

  it('lists folders before files, each folder after the one above it, names in order', async () => {
    await put('b/2');
    await put('b/1');
    await put('a');
    await put('z');
    await mkdir(join(rootfs, 'exports/hostfs/c/empty'), { recursive: true });
    expect(pathsOf(await plan())).toEqual(['/a', '/z', '/b/1', '/b/2', '/c/empty']);
  });

  it('leaves files that the host has, and is not proud of folders that it has', async () => {
    await put('etc/app.conf', 'ours');
    await mkdir(join(rootfs, 'exports/hostfs/srv/data'), { recursive: true });
    const result = await plan({ host: { '/etc/app.conf': sha('theirs'), '/srv/data': '0' } });
    expect(result).toEqual({
      files: [],
      skipped: [{ path: '/etc/app.conf', reason: 'exists' }],
      renamed: {},
    });
  });

  it('replaces what the deployment before gives up', async () => {
    await put('etc/app.conf', 'new');
    const result = await plan({ host: { '/etc/app.conf': sha('old') }, leaving: ['/etc/app.conf'] });
    expect(pathsOf(result)).toEqual(['/etc/app.conf']);
  });

  it('links only plain files below /usr, and only where the image allows it', async () => {
    await put('usr/bin/tool');
    await put('usr/share/tmpl');
    await put('usrlocal');
    await put('etc/conf');
    const manifest = { installedFilesTemplate: ['/usr/share/tmpl'] };
    const linked = (result: HostFilesPlan): string[] =>
      result.files.filter(({ link }) => link).map(({ path }) => path);
    expect(linked(await plan({ manifest }))).toEqual(['/usr/bin/tool']);
    expect(linked(await plan({ manifest: { ...manifest, useLinks: false } }))).toEqual([]);
  });

  it('plans the first of two files that a renaming brings together', async () => {
    await put('a', 'one');
    await put('b', 'two');
    const result = await plan({ manifest: { renameFiles: { '/b': '/a' } } });
    expect(result.files.map(({ path, checksum }) => [path, checksum])).toEqual([['/a', sha('one')]]);
    expect(result.skipped).toEqual([{ path: '/a', reason: 'exists' }]);
  });

  it('takes the checksum of what a link points to, here or on the host', async () => {
    await put('usr/a', 'text');
    await mkdir(join(rootfs, 'exports/hostfs/usr/dir'), { recursive: true });
    await putLink('usr/near', 'a');
    await putLink('usr/chain', '../usr/near');
    await putLink('usr/to-dir', '/usr/dir');
    await putLink('usr/to-host', '/etc/there');
    await putLink('usr/loop', 'loop');
    const result = await plan({ host: { '/etc/there': sha('host') } });
    const checksums = Object.fromEntries(result.files.map(({ path, checksum }) => [path, checksum]));
    expect(checksums).toMatchObject({
      '/usr/near': sha('text'),
      '/usr/chain': sha('text'),
      '/usr/to-dir': '0',
      '/usr/to-host': sha('host'),
      '/usr/loop': '0',
    });
  });

  it('renders with the line ends that Python reads, and names the file where it will stand', async () => {
    await put('etc/t', 'a\r\nb $NAME\r');
    const manifest = { installedFilesTemplate: ['/etc/t'] };
    expect((await plan({ manifest })).files[0]?.content).toBe('a\nb hf\n');
    await put('etc/t', '$MISSING');
    await expect(plan({ manifest })).rejects.toThrow('/deployments/hf.0/rootfs/exports/hostfs/etc/t');
  });
});

describe('hostile host files', () => {
  it('takes links as links and never goes through them', async () => {
    await putLink('etc', '/etc');
    await putLink('up', '../../../..');
    const result = await plan();
    expect(result.files.map(({ path, kind, target }) => ({ path, kind, target }))).toEqual([
      { path: '/etc', kind: 'symlink', target: '/etc' },
      { path: '/up', kind: 'symlink', target: '../../../..' },
    ]);
  });

  it('stays in the image where exports or hostfs is a link', async () => {
    await symlink('/etc', join(rootfs, 'exports'));
    expect((await plan()).files).toEqual([]);
    await mkdir(join(rootfs, 'etc/hostfs'), { recursive: true });
    await writeFile(join(rootfs, 'etc/hostfs/f'), '');
    expect((await plan()).files[0]?.source).toBe('/deployments/hf.0/rootfs/etc/hostfs/f');
  });

  it('refuses pipes and sockets', async () => {
    await put('a');
    execFileSync('mkfifo', [join(rootfs, 'exports/hostfs/pipe')]);
    await expect(plan()).rejects.toMatchObject({ code: 'exports-invalid' });
  });

  it('refuses names with control characters or without meaning in UTF-8', async () => {
    await put('a\nb');
    await expect(plan()).rejects.toThrow('it has control characters');
    await rm(join(rootfs, 'exports'), { recursive: true });
    await put('a');
    await writeFile(Buffer.concat([Buffer.from(join(rootfs, 'exports/hostfs/')), Buffer.from([0xff])]), '');
    await expect(plan()).rejects.toThrow('not UTF-8');
  });

  it.each(['../etc/shadow', '/usr/../../x', '', '/', '$NAME', '/a\nb'])(
    'refuses to rename to %j',
    async (name) => {
      await expect(plan({ manifest: { renameFiles: { '/a': name } } })).rejects.toMatchObject({
        code: 'exports-invalid',
      });
    },
  );

  it('refuses a file below a link that a renaming puts in its way', async () => {
    await putLink('link', '/etc');
    await put('x/passwd', 'evil');
    const manifest = { renameFiles: { '/link': '/x' } };
    await expect(plan({ manifest })).rejects.toThrow('/x/passwd is below /x, which is a symlink');
  });

  it('refuses a template that is too large or no text', async () => {
    const manifest = { installedFilesTemplate: ['/t'] };
    await put('t', 'x'.repeat(limitOf('export-size') + 1));
    await expect(plan({ manifest })).rejects.toMatchObject({ code: 'limit-exceeded' });
    await writeFile(join(rootfs, 'exports/hostfs/t'), Buffer.from([0x61, 0xff]));
    await expect(plan({ manifest })).rejects.toMatchObject({ code: 'exports-invalid' });
  });
});

describe('renamePath', () => {
  it('looks up every prefix under the name that it has by then', () => {
    expect(renamePath('/a/b/c', {})).toBe('/a/b/c');
    expect(renamePath('/a/b/c', { '/a/b': '/x' })).toBe('/x/c');
    expect(renamePath('/a/b/c', { '/a': '/x', '/x/b': '/y' })).toBe('/y/c');
    expect(renamePath('/a/b/c', { '/a': '/x', '/a/b': '/z' })).toBe('/x/b/c');
    expect(renamePath('/ab/c', { '/a': '/x' })).toBe('/ab/c');
    expect(renamePath('/constructor', {})).toBe('/constructor');
  });

  it('gives plain paths', () => {
    expect(parseHostPath('/etc//x/./y/', 'it')).toBe('/etc/x/y');
    expect(parseHostPath('/a..b', 'it')).toBe('/a..b');
  });
});

describe('planHostFileRemoval', () => {
  const removal = (
    checksums: Readonly<Record<string, string>>,
    host: Readonly<Record<string, string>>,
  ): ReturnType<typeof planHostFileRemoval> =>
    planHostFileRemoval({
      installedFiles: Object.keys(checksums),
      checksums,
      currentChecksum: (path) => Promise.resolve(host[path]),
    });

  it('removes what is as it was made, and keeps what was changed', async () => {
    expect(await removal({ '/a': 'x', '/b': 'x', '/d': '0' }, { '/a': 'x', '/b': 'y', '/d': '0' })).toEqual({
      remove: ['/a', '/d'],
      keep: [{ path: '/b', message: 'Will not delete /b as it was manually modified.' }],
    });
  });

  it('says nothing of what is gone', async () => {
    expect(await removal({ '/a': 'x' }, {})).toEqual({ remove: [], keep: [] });
  });

  it('finds the files that atomic lists in its own way', async () => {
    expect((await removal({ '/./link': '0' }, { '/link': '0' })).remove).toEqual(['/link']);
  });

  it('removes files of old deployments whose checksum was never taken', async () => {
    expect((await removal({ '/a': '' }, { '/a': 'x' })).remove).toEqual(['/a']);
  });

  it('never removes what is no plain absolute path', async () => {
    const { remove, keep } = await removal({ '/a/../b': '', b: '' }, { '/b': 'x', b: 'x' });
    expect(remove).toEqual([]);
    expect(keep.map(({ path }) => path)).toEqual(['/a/../b', 'b']);
  });
});
