import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readProcesses } from '../../src/host/processes.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';

const folder = useTempFolder();

function writeProcess(
  pid: number,
  { name = 'sh', command = '', cgroup = '0::/a\n' }: { name?: string; command?: string; cgroup?: string },
): void {
  const path = join(folder(), String(pid));
  mkdirSync(path);
  // Fields 3 to 22: state, ppid, …, utime (14), stime (15), …, starttime (22).
  const fields = ['S', 42, 1, 1, 0, -1, 0, 0, 0, 0, 0, 150, 50, 0, 0, 20, 0, 1, 0, 9_000, 0, 0];
  writeFileSync(join(path, 'stat'), `${pid} (${name}) ${fields.join(' ')}\n`);
  writeFileSync(
    join(path, 'status'),
    `Name:\t${name}\nUid:\t7\t8\t9\t10\nGid:\t3\t3\t3\t3\nVmRSS:\t    1024 kB\n`,
  );
  writeFileSync(join(path, 'cmdline'), command);
  writeFileSync(join(path, 'cgroup'), cgroup);
}

describe('what is read of processes', () => {
  it('is their times, ids, memory, words and cgroup; one that has ended is left out', async () => {
    writeFileSync(join(folder(), 'uptime'), '100.50 200.00\n');
    writeProcess(12, { name: 'a) S 1 (b', command: 'sh\0-c\0\0echo\0' });
    writeProcess(3, { name: 'kworker', cgroup: '4:memory:/m\n1:name=systemd:/s\n' });
    const all = { parent: 42, uid: 7, gid: 3, cpuSeconds: 2, ageSeconds: 10.5, residentBytes: 1_048_576 };
    expect(await readProcesses([12, 77, 3], folder())).toEqual([
      { ...all, pid: 3, command: ['[kworker]'], cgroup: undefined },
      { ...all, pid: 12, command: ['sh', '-c', '', 'echo'], cgroup: '/a' },
    ]);
  });

  it('is true of ourselves', async () => {
    const [own] = await readProcesses([process.pid]);
    expect(own).toMatchObject({ pid: process.pid, parent: process.ppid, uid: process.getuid?.() });
    expect(own?.command.length).toBeGreaterThan(0);
    expect(own?.residentBytes).toBeGreaterThan(1_000_000);
  });
});
