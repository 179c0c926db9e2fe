import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readImageFacts } from '../../src/container/image-facts.ts';
import { limitOf } from '../../src/limits.ts';

let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'facts-'));
  for (const path of ['run', 'tmp', 'var/data', 'etc']) mkdirSync(join(root, path), { recursive: true });
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

describe('readImageFacts', () => {
  it('tells directories with their looks, and links to them as links', async () => {
    chmodSync(join(root, 'tmp'), 0o1777);
    symlinkSync('../run', join(root, 'var/run'));
    writeFileSync(join(root, 'var/file'), '');
    const { directories } = await readImageFacts(root, ['/tmp', '/var/run', '/var/file', '/none']);
    expect([...directories.keys()]).toEqual(['/tmp', '/var/run']);
    expect(directories.get('/tmp')).toMatchObject({ realPath: '/tmp', linked: false, mode: 0o1777 });
    expect(directories.get('/var/run')).toMatchObject({ realPath: '/run', linked: true });
  });

  it('never looks at the host through a link', async () => {
    symlinkSync('/usr/bin', join(root, 'var/bin'));
    symlinkSync('/etc/hostname', join(root, 'etc/passwd'));
    const facts = await readImageFacts(root, ['/var/bin']);
    expect(facts.directories.size).toBe(0);
    expect(facts.accounts).toEqual({ passwd: undefined, group: undefined });
  });

  it('refuses an account file above the limit', async () => {
    writeFileSync(join(root, 'etc/passwd'), '');
    truncateSync(join(root, 'etc/passwd'), limitOf('passwd-size') + 1);
    await expect(readImageFacts(root, [])).rejects.toMatchObject({ code: 'limit-exceeded' });
  });
});
