import { mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { readPackages, type RpmTree } from '../../../src/app/diff/rpm-packages.ts';
import { createExec } from '../../../src/host/exec.ts';
import { createFiles } from '../../../src/host/files.ts';
import { useTempFolder } from '../../fixtures/temp-folder.ts';
import { FakeExec } from '../../service/fake-systemctl.ts';
import { failureOf } from '../../stream/collect.ts';

const folder = useTempFolder();
const at = (path: string): string => join(folder(), path);

function put(path: string, content: string): void {
  mkdirSync(dirname(at(path)), { recursive: true });
  writeFileSync(at(path), content);
}

let copied: Record<string, string>;
const exec = new FakeExec((line) => {
  if (!line.startsWith('rpm ')) throw new Error(`not asked for: ${line}`);
  const database = at('scratch/rpmdb');
  copied = Object.fromEntries(
    readdirSync(database).map((name) => [name, readFileSync(join(database, name), 'utf8')]),
  );
  return 'zlib-0-1.2-3\ngpg-pubkey-0-1-2\nbash-1-5.2-1\nbash-1-5.2-1\n';
});

function read(namesOnly = false): Promise<RpmTree> {
  return readPackages(
    { exec, files: createFiles(createExec()) },
    'web',
    at('tree'),
    at('scratch'),
    namesOnly,
  );
}

beforeEach(() => {
  exec.calls.length = 0;
  mkdirSync(at('scratch'));
  mkdirSync(at('tree'));
});

describe('the packages of a tree', () => {
  it('are read by the host’s rpm out of a copy of the database', async () => {
    put('tree/usr/lib/sysimage/rpm/rpmdb.sqlite', 'db');
    put('tree/usr/lib/sysimage/rpm/rpmdb.sqlite-wal', 'wal');
    put('tree/usr/lib/sysimage/rpm/rpmdb.sqlite-shm', 'shm');
    put('tree/etc/redhat-release', 'Fedora release 40 (Forty)\n');
    mkdirSync(at('tree/var/lib'), { recursive: true });
    symlinkSync('../../usr/lib/sysimage/rpm', at('tree/var/lib/rpm'));
    expect(await read()).toEqual({
      release: 'Fedora release 40 (Forty)',
      packages: ['bash-1-5.2-1', 'zlib-0-1.2-3'],
    });
    expect(copied).toEqual({ 'rpmdb.sqlite': 'db', 'rpmdb.sqlite-wal': 'wal' });
    const [line = ''] = exec.lines;
    expect(line).toContain(`rpm --dbpath ${at('scratch/rpmdb')} --nosignature --nodigest -qa --queryformat `);
    expect(line).not.toContain(at('tree'));
    expect(readdirSync(at('scratch'))).toEqual([]);
  });

  it('are asked for by name alone', async () => {
    put('tree/var/lib/rpm/Packages', 'db');
    put('tree/usr/lib/os-release', 'NAME=X\nPRETTY_NAME="CentOS Linux 7 (Core)"\n');
    expect((await read(true)).release).toBe('CentOS Linux 7 (Core)');
    expect(exec.lines[0]).toMatch(/ --queryformat %\{NAME\}\\n$/);
  });

  it('cannot be read where there is no database', async () => {
    mkdirSync(at('tree/var/lib/rpm/Packages'), { recursive: true });
    const error = await failureOf(read());
    expect([error.code, error.message]).toEqual(['unsupported', 'web is not RPM based.']);
    expect(exec.lines).toEqual([]);
  });

  it('are not looked for outside of the tree', async () => {
    put('outside/Packages', 'secret');
    mkdirSync(at('tree/var/lib'), { recursive: true });
    symlinkSync(at('outside'), at('tree/var/lib/rpm'));
    expect((await failureOf(read())).code).toBe('unsupported');
  });
});
