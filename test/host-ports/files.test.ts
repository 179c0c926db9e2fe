import { createHash } from 'node:crypto';
import {
  chmod,
  lchown,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { execFileSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createExec } from '../../src/host/exec.ts';
import type { Exec, HostFile } from '../../src/host/ports.ts';
import { createFiles } from '../../src/host/files.ts';
import { fileError } from '../../src/host/files/file-error.ts';

const files = createFiles(createExec({ PATH: '/usr/bin:/bin' }));
let folder: string;
const at = (name: string): string => join(folder, name);
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atomic-files-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('writeFileAtomic', () => {
  it('writes content and mode, whatever the umask, and leaves nothing else', async () => {
    const before = process.umask(0o077);
    await files.writeFileAtomic(at('f'), 'grün\n', 0o664).finally(() => process.umask(before));
    expect(await readFile(at('f'), 'utf8')).toBe('grün\n');
    expect((await stat(at('f'))).mode & 0o7777).toBe(0o664);
    expect(await readdir(folder)).toEqual(['f']);
  });

  it('replaces a file, and a link by a file without touching what it points to', async () => {
    await writeFile(at('target'), 'old');
    await symlink('target', at('f'));
    await files.writeFileAtomic(at('f'), 'new', 0o644);
    expect((await lstat(at('f'))).isFile()).toBe(true);
    expect(await readFile(at('target'), 'utf8')).toBe('old');
  });

  it('names the path when the folder is missing', async () => {
    await expect(files.writeFileAtomic(at('no/f'), '', 0o644)).rejects.toMatchObject({
      code: 'host-file',
      message: `Cannot write ${at('no/f')}: there is no such file or folder`,
    });
  });

  it('takes names of the greatest length', async () => {
    const name = 'n'.repeat(255);
    await files.writeFileAtomic(at(name), 'x', 0o644);
    expect(await readdir(folder)).toEqual([name]);
  });
});

describe('what is made for the first time', () => {
  it('is a file with its mode, or a link; nothing is replaced, a broken link neither', async () => {
    await files.createFile(at('f'), 'x', 0o4751);
    await files.createSymlink(at('l'), '/no/where');
    expect((await stat(at('f'))).mode & 0o7777).toBe(0o4751);
    expect(await readlink(at('l'))).toBe('/no/where');
    for (const path of [at('f'), at('l')]) {
      const taken = { code: 'file-exists', message: `The file ${path} already exists.` };
      await expect(files.createFile(path, 'y', 0o644)).rejects.toMatchObject(taken);
      await expect(files.createSymlink(path, 'y')).rejects.toMatchObject(taken);
      await expect(files.link(at('f'), path)).rejects.toMatchObject(taken);
    }
    expect(await readFile(at('f'), 'utf8')).toBe('x');
    expect(await readdir(folder)).toEqual(['f', 'l']);
  });

  it('may be a second name, of a link as of a file; and is known for one', async () => {
    await files.createFile(at('f'), 'x', 0o644);
    await files.createSymlink(at('l'), 'f');
    await files.link(at('f'), at('f2'));
    await files.link(at('l'), at('l2'));
    expect((await lstat(at('l2'))).isSymbolicLink()).toBe(true);
    expect(await files.isSame(at('f'), at('f2'))).toBe(true);
    expect(await files.inode(at('f'))).toBe(await files.inode(at('f2')));
    expect(await files.isSame(at('l'), at('l2'))).toBe(true);
    expect(await files.isSame(at('f'), at('l'))).toBe(false);
    expect(await files.inode(at('f'))).not.toBe(await files.inode(at('l')));
    expect(await files.inode(at('nothing'))).toBe(undefined);
    expect(await files.isSame(at('none'), at('nothing'))).toBe(false);
    await expect(files.link(at('none'), at('g'))).rejects.toThrow(`Cannot link ${at('none')} to ${at('g')}`);
  });
});

describe('reading', () => {
  it('gives the bytes up to the limit and refuses more', async () => {
    await writeFile(at('f'), '12345');
    expect((await files.readIfExists(at('f'), 5))?.toString()).toBe('12345');
    await expect(files.readIfExists(at('f'), 4)).rejects.toMatchObject({ code: 'limit-exceeded' });
    await expect(files.readIfExists('/dev/zero', 10)).rejects.toThrow('it is no regular file');
  });

  it('does not wait for the writer of a pipe', async () => {
    execFileSync('mkfifo', [at('pipe')]);
    await expect(files.readIfExists(at('pipe'), 10)).rejects.toThrow('it is no regular file');
  });

  it('gives undefined where nothing is, also below a file', async () => {
    await writeFile(at('f'), '');
    expect(await files.readIfExists(at('no'), 5)).toBeUndefined();
    expect(await files.readIfExists(at('f/x'), 5)).toBeUndefined();
    expect(await files.readLink(at('no'))).toBeUndefined();
    expect(await files.readLink(at('f'))).toBeUndefined();
    expect(await files.list(at('no'))).toEqual([]);
    expect(await files.checksum(at('no'))).toBeUndefined();
  });

  it('sees a broken link as something that exists and that is no folder', async () => {
    await symlink('/no/where', at('broken'));
    await symlink('/', at('root'));
    expect(await files.exists(at('broken'))).toBe(true);
    expect(await files.exists(at('none'))).toBe(false);
    expect(await files.isDirectory(at('broken'))).toBe(false);
    expect(await files.isDirectory(at('root'))).toBe(true);
    expect(await files.readLink(at('broken'))).toBe('/no/where');
  });

  it('lists names in order', async () => {
    for (const name of ['b', 'a', 'C']) await writeFile(at(name), '');
    expect(await files.list(folder)).toEqual(['C', 'a', 'b']);
  });

  it('takes the checksum of files and of what links point to, and "0" of folders and broken links', async () => {
    await writeFile(at('f'), 'text');
    await symlink('f', at('link'));
    await symlink('/no/where', at('broken'));
    const sha = createHash('sha256').update('text').digest('hex');
    expect(await files.checksum(at('f'))).toBe(sha);
    expect(await files.checksum(at('link'))).toBe(sha);
    expect(await files.checksum(at('broken'))).toBe('0');
    expect(await files.checksum(folder)).toBe('0');
  });
});

describe('removing', () => {
  it('removes files, links and empty folders one at a time', async () => {
    await writeFile(at('f'), '');
    await mkdir(at('d/sub'), { recursive: true });
    await symlink('d', at('link'));
    expect(await files.remove(at('f'))).toBe(true);
    expect(await files.remove(at('f'))).toBe(false);
    expect(await files.remove(at('link'))).toBe(true);
    expect(await files.remove(at('d'))).toBe(false);
    expect(await files.remove(at('d/sub'))).toBe(true);
    expect(await files.remove(at('d'))).toBe(true);
    expect(await readdir(folder)).toEqual([]);
  });

  it('removes a tree with locked folders, and follows no link in it', async () => {
    await mkdir(at('kept'));
    await writeFile(at('kept/f'), 'kept');
    await mkdir(at('tree/locked'), { recursive: true });
    await writeFile(at('tree/locked/f'), '');
    await symlink(at('kept'), at('tree/link'));
    if (process.getuid?.() === 0) await chmod(at('tree/locked'), 0o500);
    await files.removeTree(at('tree'));
    await files.removeTree(at('tree'));
    expect(await readdir(folder)).toEqual(['kept']);
    expect(await readFile(at('kept/f'), 'utf8')).toBe('kept');
  });

  it('removes a link to a tree and not the tree', async () => {
    await mkdir(at('kept/sub'), { recursive: true });
    await symlink('kept', at('link'));
    await files.removeTree(at('link'));
    expect(await readdir(folder)).toEqual(['kept']);
  });

  it('refuses a tree in which something is mounted', async () => {
    const run: Exec['run'] = () => Promise.reject(new Error('rm was run'));
    const careful = createFiles({ ...createExec({}), run });
    await expect(careful.removeTree('/proc')).rejects.toMatchObject({ code: 'busy' });
    await expect(careful.removeTree(folder)).rejects.toThrow('rm was run');
  });
});

describe('folders and file systems', () => {
  it('says whether a folder is new', async () => {
    expect(await files.makeDirectory(at('a/b'), 0o700)).toBe(true);
    expect(await files.makeDirectory(at('a/b'))).toBe(false);
    expect((await stat(at('a/b'))).mode & 0o777).toBe(0o700);
    await writeFile(at('f'), '');
    await expect(files.makeDirectory(at('f'))).rejects.toMatchObject({ code: 'file-exists' });
  });

  it('renames, and finds the real path', async () => {
    await mkdir(at('a'));
    await files.rename(at('a'), at('b'));
    await symlink('b', at('link'));
    expect(await files.realpath(at('link'))).toBe(await files.realpath(at('b')));
    await expect(files.rename(at('a'), at('c'))).rejects.toThrow(`Cannot rename ${at('a')} to ${at('c')}`);
  });

  it('syncs folders and whole file systems', async () => {
    await files.syncDirectory(folder);
    await files.syncFilesystem(folder);
    await expect(files.syncDirectory(at('no'))).rejects.toThrow('Cannot sync the folder');
  });

  it('asks the nearest folder that exists about space and file system', async () => {
    expect(await files.freeBytes(at('not/yet/there'))).toBeGreaterThan(0);
    expect(await files.sameFilesystem(at('not/yet'), folder)).toBe(true);
    expect(await files.sameFilesystem('/proc/self', folder)).toBe(false);
  });
});

describe('fileError', () => {
  it.each([
    ['ENOSPC', 'disk-full'],
    ['EDQUOT', 'disk-full'],
    ['EROFS', 'host-file'],
    ['EIO', 'host-file'],
    ['EACCES', process.getuid?.() === 0 ? 'host-file' : 'not-root'],
    ['EPERM', process.getuid?.() === 0 ? 'host-file' : 'not-root'],
  ])('gives %s the code %s', (code, expected) => {
    const error = fileError(Object.assign(new Error('some text'), { code }), 'write /etc/x');
    expect(error.code).toBe(expected);
    expect(error.message).toMatch(/^Cannot write \/etc\/x: ./);
  });
});

describe('install', () => {
  const isRoot = process.getuid?.() === 0;
  const me = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  const owner = isRoot ? { uid: 1234, gid: 2345 } : me;
  const file = (path: string): HostFile => ({
    path: at(path),
    kind: 'file',
    mode: 0o4755,
    ...owner,
    content: 'rendered',
    link: false,
  });

  it('creates a rendered file with owner, setuid and the folders above it', async () => {
    expect(await files.missingParents(at('a/b/f'))).toEqual([at('a'), at('a/b')]);
    await files.install(file('a/b/f'), at('a/b/.new'));
    expect(await files.isSame(at('a/b/.new'), at('a/b/f'))).toBe(true);
    await files.remove(at('a/b/.new'));
    const stats = await stat(at('a/b/f'));
    expect(await readFile(at('a/b/f'), 'utf8')).toBe('rendered');
    expect({ mode: stats.mode & 0o7777, uid: stats.uid, gid: stats.gid }).toEqual({ mode: 0o4755, ...owner });
    expect(await files.missingParents(at('a/b/f'))).toEqual([]);
    expect(await readdir(at('a/b'))).toEqual(['f']);
  });

  it('copies a source, or links it where that will do', async () => {
    await writeFile(at('source'), 'bytes', { mode: 0o640 });
    const { content: _content, ...rest } = file('copy');
    await files.install({ ...rest, source: at('source'), mode: 0o444 }, at('.1'));
    await writeFile(at('.2'), 'left over');
    await files.install({ ...rest, path: at('linked'), source: at('source'), link: true }, at('.2'));
    const source = await stat(at('source'));
    expect(await readFile(at('copy'), 'utf8')).toBe('bytes');
    expect((await stat(at('copy'))).mode & 0o7777).toBe(0o444);
    expect((await stat(at('copy'))).ino).not.toBe(source.ino);
    expect((await stat(at('linked'))).ino).toBe(source.ino);
  });

  it('creates folders and links, broken ones too', async () => {
    const { content: _content, ...rest } = file('d');
    await files.install({ ...rest, kind: 'directory', mode: 0o1750 }, at('.1'));
    await files.install({ ...rest, kind: 'symlink', path: at('link'), target: '/no/where' }, at('.2'));
    expect((await stat(at('d'))).mode & 0o7777).toBe(0o1750);
    expect(await readlink(at('link'))).toBe('/no/where');
    expect((await lstat(at('link'))).uid).toBe(owner.uid);
  });

  it.each(['file', 'symlink', 'directory'] as const)(
    'never puts a %s in place of something',
    async (kind) => {
      await symlink('/no/where', at('f'));
      await expect(files.install({ ...file('f'), kind, target: '/x' }, at('.new'))).rejects.toMatchObject({
        code: 'file-exists',
        message: `The file ${at('f')} already exists.`,
      });
      await files.remove(at('.new'));
      expect(await readdir(folder)).toEqual(['f']);
    },
  );

  it('goes through links that stay in their folder, and not through those of others', async () => {
    await mkdir(at('real'));
    await symlink('real', at('link'));
    await files.install(file('link/f'), at('link/.new'));
    expect(await readdir(at('real'))).toEqual(['.new', 'f']);
    if (!isRoot) return;
    await lchown(at('link'), 1234, 1234);
    await expect(files.install(file('link/g'), at('link/.new2'))).rejects.toThrow(
      `Cannot create ${at('link/g')}: ${at('link')} is a symbolic link that belongs to user 1234`,
    );
    expect(await readdir(at('real'))).toEqual(['.new', 'f']);
  });

  it.each([
    ['leads out of its folder', () => at('elsewhere'), 'that leads out of its folder, to '],
    ['leads out by way of another', () => 'hop', 'that leads out of its folder, to '],
    ['leads nowhere', () => 'nothing', 'that leads nowhere'],
    ['leads up', () => '..', 'that leads out of its folder, to '],
  ])('does not follow a link that %s', async (_, target, found) => {
    await mkdir(at('elsewhere'));
    await mkdir(at('named'));
    await symlink(at('elsewhere'), at('named/hop'));
    await symlink(target(), at('named/link'));
    await expect(files.install(file('named/link/deep/f'), at('named/link/deep/.new'))).rejects.toThrow(
      `${at('named/link')} is a symbolic link ${found}`,
    );
    expect(await readdir(at('elsewhere'))).toEqual([]);
    expect((await readdir(at('named'))).sort()).toEqual(['hop', 'link']);
  });
});

describe('what stands at a path', () => {
  it('is told as an image’s file, links not followed', async () => {
    await writeFile(at('f'), 'x');
    await chmod(at('f'), 0o4711);
    await mkdir(at('d'), 0o750);
    await symlink('/no/where', at('l'));
    const own = { uid: process.getuid?.(), gid: process.getgid?.(), link: false };
    expect(await files.describe(at('f'))).toEqual({
      ...own,
      path: at('f'),
      kind: 'file',
      mode: 0o4711,
      source: at('f'),
    });
    expect(await files.describe(at('d'))).toEqual({ ...own, path: at('d'), kind: 'directory', mode: 0o750 });
    expect(await files.describe(at('l'))).toMatchObject({ kind: 'symlink', target: '/no/where' });
    expect(await files.describe(at('none'))).toBeUndefined();
    expect(await files.describe(at('f/below'))).toBeUndefined();
    await expect(files.describe('/dev/null')).rejects.toMatchObject({ code: 'host-file' });
  });
});

describe('reproduce', () => {
  it('makes the same at another path, by a hard link or by a copy', async () => {
    await writeFile(at('f'), 'x');
    await chmod(at('f'), 0o4711);
    await symlink('/no/where', at('l'));
    await mkdir(at('d'));
    await chmod(at('d'), 0o1777);
    for (const name of ['f', 'l', 'd']) {
      const found = await files.describe(at(name));
      if (found === undefined) throw new Error(name);
      await files.reproduce({ ...found, link: true }, at(`linked/deep/${name}`));
      await files.reproduce(found, at(`copied/${name}`));
      for (const copy of [`linked/deep/${name}`, `copied/${name}`]) {
        const { path: _path, source: _source, ...what } = (await files.describe(at(copy))) ?? {};
        expect({ ...found, ...what }).toEqual(found);
      }
    }
    expect(await files.isSame(at('f'), at('linked/deep/f'))).toBe(true);
    expect(await files.isSame(at('f'), at('copied/f'))).toBe(false);
    expect(await readFile(at('copied/f'), 'utf8')).toBe('x');
  });

  it('writes content that is given, and nothing over what is there', async () => {
    const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
    const file: HostFile = {
      path: '/x',
      kind: 'file',
      mode: 0o600,
      ...owner,
      content: 'content',
      link: false,
    };
    await files.reproduce(file, at('kept/f'));
    expect(await readFile(at('kept/f'), 'utf8')).toBe('content');
    await expect(files.reproduce(file, at('kept/f'))).rejects.toMatchObject({ code: 'file-exists' });
  });
});

describe('createJournal', () => {
  it('grows line by line and is there only once', async () => {
    const journal = await files.createJournal(at('j'));
    await journal.append('one\n');
    await journal.append('two\n');
    expect(await readFile(at('j'), 'utf8')).toBe('one\ntwo\n');
    await expect(files.createJournal(at('j'))).rejects.toMatchObject({ code: 'file-exists' });
    await journal.close();
  });
});
