import { tmpdir } from 'node:os';
import { describe, expect, it } from 'vitest';
import { createExec } from '../../src/host/exec.ts';
import { findVersion, gatherFacts, mountOf, parseIdRanges } from '../../src/host/facts.ts';
import { createFiles } from '../../src/host/files.ts';

describe('facts of the host', () => {
  it('tell of the system, the tools and the places, and leave PATH as it was', async () => {
    const exec = createExec({ PATH: '/usr/bin:/bin' });
    const before = process.env['PATH'];
    const paths = { checkouts: `${tmpdir()}/not/there`, repository: '/' };
    const facts = await gatherFacts(exec, paths, createFiles(exec));
    expect(process.env['PATH']).toBe(before);
    expect(facts.system.memory).toBeGreaterThan(0);
    expect(facts.system.cores).toBeGreaterThan(0);
    expect(facts.system.kernel).toMatch(/^\d/);
    const flock = facts.tools.find(({ name }) => name === 'flock');
    expect(flock?.path).toMatch(/^\/.*flock$/);
    expect(flock?.version).toMatch(/^\d+\.\d+/);
    expect(facts.checkouts).toMatchObject({ exists: false, path: paths.checkouts });
    expect(facts.repository.exists).toBe(true);
    expect(facts.repository.freeBytes).toBeGreaterThan(0);
  });

  it.each([
    ["libostree:\n Version: '2022.7'\n", '2022.7'],
    ['runc version 1.1.5+ds1\ncommit: x', '1.1.5+ds1'],
    ['systemd 252 (252.39-1~deb12u2)', '252.39-1~deb12u2'],
    ['systemd 257', '257'],
    ['*** Zstandard CLI (64-bit) v1.5.4, by Yann Collet ***', '1.5.4'],
    ['no number', undefined],
  ])('find the version in %j', (text, version) => {
    expect(findVersion(text)).toBe(version);
  });

  it('find the file system of a path by its longest mount point', () => {
    const mounts = [
      { mount: '/', type: 'ext4', size: 1 },
      { mount: '/var', type: 'xfs', size: 2 },
      { mount: '/var/lib/containers', type: 'btrfs', size: 3 },
    ];
    expect(mountOf('/var/lib/containers/atomic', mounts)).toEqual(mounts[2]);
    expect(mountOf('/var/lib/containersX', mounts)).toEqual(mounts[1]);
    expect(mountOf('/variable', mounts)).toEqual(mounts[0]);
    expect(mountOf('/x', [])).toBeUndefined();
  });

  it('read the ranges of subuid and subgid, and pass over what is none', () => {
    const text = '# none\nalice:100000:65536\n1001:165536:1000\nbob:x:1\nbob:1\n:1:1\n';
    expect(parseIdRanges(text)).toEqual([
      { owner: 'alice', start: 100_000, count: 65_536 },
      { owner: '1001', start: 165_536, count: 1000 },
    ]);
  });
});
