import { describe, expect, it } from 'vitest';
import { formatChecks } from '../../src/cli/commands/doctor.ts';
import { formatStatus } from '../../src/cli/commands/status.ts';
import type { ContainerStatus } from '../../src/app/drift/status.ts';
import { parseInfo } from '../../src/container/info.ts';
import { parseContainerName } from '../../src/container/name.ts';

const created = new Date(2026, 10, 22, 3, 27, 2).getTime() / 1000;
const info = parseInfo(
  JSON.stringify({ image: 'example.com/hello', revision: 'a343', 'manifest-digest': 'sha256:a343', created }),
  'info',
);
const well: ContainerStatus = {
  name: parseContainerName('web'),
  current: { slot: 1, path: '/c/web.1', info },
  preinstalled: false,
  other: { slot: 0, path: '/c/web.0', info },
  failed: undefined,
  service: { state: 'running since T', enabled: 'enabled', dropIns: ['/etc/web.service.d/x.conf'] },
  change: undefined,
  parts: [
    { name: 'unit', status: 'ok', found: '/etc/web.service', details: [] },
    { name: 'host-files', status: 'not recorded', found: 'no checksums of 1 of 2', details: [] },
  ],
  drift: false,
};

describe('the status of a container', () => {
  it('is told to people in lines', () => {
    expect(formatStatus(well)).toEqual([
      'web',
      '  image        example.com/hello sha256:a343',
      '  deployment   /c/web.1, made 2026-11-22 03:27:02',
      '  rollback to  /c/web.0, example.com/hello',
      '  service      running since T, enabled',
      '  drop-in      /etc/web.service.d/x.conf',
      '',
      'ok            unit        /etc/web.service',
      'not recorded  host-files  no checksums of 1 of 2',
      '',
      'It is what was recorded.',
    ]);
  });

  it('tells of a tree that is elsewhere, and of a container that is not ours to change', () => {
    const remote = { ...well.current, info: { ...info, remote: '/srv/tree' } };
    const lines = formatStatus({ ...well, current: remote, preinstalled: true });
    expect(lines[3]).toBe('  rootfs       /srv/tree');
    expect(lines.at(-1)).toBe('It is what was recorded; it is part of the operating system.');
    expect(formatStatus({ ...well, preinstalled: true, drift: true }).at(-1)).toBe(
      'It is not what was recorded, and part of the operating system: its package manager can put it right.',
    );
  });

  it('names ten things that differ, and how many more', () => {
    const details = Array.from({ length: 12 }, (_, i) => `/f${i}: gone`);
    const parts = [{ name: 'rootfs', status: 'drift', found: '12 entries differ', details }] as const;
    const lines = formatStatus({ ...well, service: undefined, other: undefined, parts, drift: true });
    expect(lines.slice(4, 7)).toEqual([
      'drift         rootfs      12 entries differ',
      '                          /f0: gone',
      '                          /f1: gone',
    ]);
    expect(lines.slice(-4)).toEqual([
      '                          /f9: gone',
      '                          and 2 more',
      '',
      'It is not what was recorded; put it right with: atomic-ts repair web',
    ]);
  });

  it('names the check of its service, and an update that did not come up', () => {
    const times = { intervalMs: 1, timeoutMs: 1, startPeriodMs: 1, startIntervalMs: undefined, retries: 1 };
    const healthCheck = { source: 'image', command: ['curl', '-f', 'localhost'], ...times } as const;
    const lines = formatStatus({
      ...well,
      current: { ...well.current, info: { ...info, healthCheck } },
      failed: {
        image: 'example.com/hello:2',
        time: 'T',
        reason: 'it did not stay up',
        path: '/c/failed/web',
      },
    });
    expect(lines).toContain('  failed       example.com/hello:2, it did not stay up: /c/failed/web');
    expect(lines).toContain('  health       curl -f localhost');
  });

  it('leaves the judgement open while it is being changed', () => {
    const lines = formatStatus({ ...well, change: { pid: 7, action: 'update' } });
    expect(lines).toContain('  change       process 7 is at its update now');
    expect(lines.at(-1)).toBe('It is being changed: ask again when that has ended.');
  });
});

it('the doctor counts containers that have drifted apart from what keeps installs from working', () => {
  const check = {
    name: 'container web',
    status: 'drift',
    found: 'unit: was edited',
    advice: 'repair it',
  } as const;
  expect(formatChecks([check]).slice(-2)).toEqual([
    'System containers can be installed on this host.',
    '1 container is not what was recorded.',
  ]);
});
