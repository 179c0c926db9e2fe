import { describe, expect, it } from 'vitest';
import { withoutWaitingAtBoot } from '../../src/service/booting.ts';
import { createSystemd } from '../../src/service/systemd.ts';
import { FakeExec, propertyBlock } from './fake-systemctl.ts';

/** A systemd in a state, with a unit in another; what it was asked to change. */
function systemd(system: string, unit: 'active' | 'inactive') {
  const exec = new FakeExec((line) => {
    if (line === 'systemctl is-system-running') return `${system}\n`;
    if (line.startsWith('systemctl show')) return propertyBlock({ Id: 'web.service', ActiveState: unit });
    return '';
  });
  const changes = (): string[] => exec.lines.filter((line) => !/ (?:show|is-system-running)\b/.test(line));
  return { services: withoutWaitingAtBoot(createSystemd(exec)), exec, changes };
}

const OPTIONS = '--no-ask-password -- web.service';

describe.each(['initializing', 'starting'])('while systemd says %s', (system) => {
  it('a start is asked for and not waited for', async () => {
    const { services, changes } = systemd(system, 'inactive');
    await services.start('web');
    expect(changes()).toEqual([`systemctl start --no-block ${OPTIONS}`]);
  });

  it('a service that came up before us is started anew', async () => {
    const { services, changes } = systemd(system, 'active');
    await services.start('web');
    expect(changes()).toEqual([`systemctl restart --no-block ${OPTIONS}`]);
  });

  it('only what runs is stopped', async () => {
    const down = systemd(system, 'inactive');
    await down.services.stop('web');
    expect(down.changes()).toEqual([]);
    const up = systemd(system, 'active');
    await up.services.stop('web');
    expect(up.changes()).toEqual([`systemctl stop ${OPTIONS}`]);
  });
});

describe.each(['running', 'degraded', 'maintenance', 'stopping', ''])('while systemd says %j', (system) => {
  it('all is waited for, and it is asked once', async () => {
    const { services, exec, changes } = systemd(system, 'inactive');
    await services.start('web');
    await services.stop('web');
    expect(changes()).toEqual([`systemctl start ${OPTIONS}`, `systemctl stop ${OPTIONS}`]);
    expect(exec.lines.filter((line) => line.endsWith('is-system-running'))).toHaveLength(1);
  });
});
