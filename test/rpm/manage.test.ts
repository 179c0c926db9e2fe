/** A database of its own, in a root of its own: the real rpm, and nothing of the machine's. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { parseContainerName } from '../../src/container/name.ts';
import { createExec } from '../../src/host/exec.ts';
import type { Exec } from '../../src/host/ports.ts';
import { buildPackage, sourceTree } from '../../src/rpm/build.ts';
import { readPackageFacts } from '../../src/rpm/facts.ts';
import { createPackageManager, parseVerified, type PackageManager } from '../../src/rpm/manage.ts';
import { findRpmHost } from '../../src/rpm/program.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';

const folder = useTempFolder();
const exec = createExec();
const NAME = 'atomic-container-web';
const at = (path: string): string => join(folder(), 'root', path);

/** The same rpm, which takes our folder for the root of the file system. */
const rooted: Exec = {
  ...exec,
  run: (program, args, options) =>
    exec.run(
      program,
      program === 'rpm' && !args.includes('--package') ? [`--root=${join(folder(), 'root')}`, ...args] : args,
      options,
    ),
};

async function makePackage(content: Readonly<Record<string, string>>): Promise<string> {
  const cwd = join(folder(), `build-${Object.values(content).join('-')}`);
  const paths = Object.keys(content);
  for (const path of paths) {
    mkdirSync(join(sourceTree(cwd), path, '..'), { recursive: true });
    writeFileSync(join(sourceTree(cwd), path), content[path] ?? '');
  }
  const facts = readPackageFacts(parseContainerName('web'), {}, { revision: 'ab', defaultVersion: '0' });
  const files = paths.map((path) => ({ path, user: 'root', group: 'root' }));
  return (await buildPackage(exec, { folder: cwd, facts, files, epoch: 1 })).path;
}

let manager: PackageManager;
beforeEach(() => {
  mkdirSync(join(folder(), 'root'));
  manager = createPackageManager(rooted, { exists: (path) => Promise.resolve(existsSync(at(path))) });
});

describe('a package in a scratch root', () => {
  it('is installed, replaced by another of the same version, and erased', async () => {
    const first = await makePackage({ '/opt/a b%{c}': 'one', '/opt/gone': 'one' });
    const second = await makePackage({ '/opt/a b%{c}': 'two', '/opt/new': 'two' });
    expect(await manager.installed(NAME)).toBeUndefined();
    // A question alone makes no database.
    expect(existsSync(at(await manager.database()))).toBe(false);

    await manager.upgrade(first);
    expect(await manager.installed(NAME)).toBe(await manager.identify(first));
    expect(readFileSync(at('/opt/a b%{c}'), 'utf8')).toBe('one');

    await manager.upgrade(second);
    expect(await manager.installed(NAME)).toBe(await manager.identify(second));
    expect(await manager.identify(first)).not.toBe(await manager.identify(second));
    expect([readFileSync(at('/opt/a b%{c}'), 'utf8'), existsSync(at('/opt/gone'))]).toEqual(['two', false]);
    expect(await manager.listAltered(NAME)).toEqual([]);

    writeFileSync(at('/opt/a b%{c}'), 'by hand');
    rmSync(at('/opt/new'));
    expect(await manager.listAltered(NAME)).toEqual(['/opt/a b%{c}', '/opt/new']);
    await manager.upgrade(second);
    expect(await manager.listAltered(NAME)).toEqual([]);

    await manager.erase(NAME);
    expect(await manager.installed(NAME)).toBeUndefined();
    expect(existsSync(at('/opt/new'))).toBe(false);
  });
});

describe('what rpm says of altered files', () => {
  it('is read with all their spaces', () => {
    const text = [
      'S.5....T.    /usr/share/a b',
      '.......T.  c /etc/x.conf',
      'missing     /usr/share/gone',
      'missing   c /etc/gone (Permission denied)',
      'Unsatisfied dependencies for x',
      '',
    ].join('\n');
    expect(parseVerified(text)).toEqual(['/usr/share/a b', '/etc/x.conf', '/usr/share/gone', '/etc/gone']);
  });
});

describe('rpm', () => {
  it('manages a host whose database knows the program itself', async () => {
    const database = execFileSync('rpm', ['--eval', '%{_dbpath}'], {
      env: { PATH: process.env['PATH'], HOME: '/nonexistent' },
      encoding: 'utf8',
    }).trim();
    const answering = (status: number): Exec => ({
      ...exec,
      run: (program, args, options) =>
        args.includes('--file')
          ? Promise.resolve({ exitCode: status, stdout: '', stderr: '' })
          : exec.run(program, args, options),
    });
    const withDatabase = { exists: (path: string) => Promise.resolve(path === `${database}/Packages.db`) };
    expect(await findRpmHost(answering(0), withDatabase)).toEqual({
      isNative: true,
      database,
      exists: true,
      options: [],
    });
    expect(await findRpmHost(answering(1), withDatabase)).toMatchObject({ isNative: false });
    expect(await findRpmHost(answering(0), { exists: () => Promise.resolve(false) })).toEqual({
      isNative: false,
      database: '/var/lib/rpm',
      exists: false,
      options: ['--dbpath=/var/lib/rpm'],
    });
    expect(
      await findRpmHost({ ...exec, find: () => Promise.resolve(undefined) }, withDatabase),
    ).toBeUndefined();
  });
});
