import { describe, expect, it } from 'vitest';
import { createSystemd, verifyUnit } from '../../src/service/systemd.ts';
import { FakeClock, FakeExec, propertyBlock } from './fake-systemctl.ts';

describe('systemd', () => {
  it('names units with their suffix, behind the end of options', async () => {
    const exec = new FakeExec();
    const systemd = createSystemd(exec);
    await systemd.daemonReload();
    await systemd.enable('web');
    await systemd.disable('web');
    await systemd.disableNow('web');
    await systemd.start('redis-7.0');
    await systemd.stop('a.mount');
    await systemd.resetFailed('web');
    await systemd.tmpfilesCreate('/etc/tmpfiles.d/web.conf');
    await systemd.tmpfilesRemove('/etc/tmpfiles.d/web.conf');
    expect(exec.lines).toEqual([
      'systemctl daemon-reload --no-ask-password',
      'systemctl enable --no-ask-password -- web.service',
      'systemctl disable --no-ask-password -- web.service',
      'systemctl disable --now --no-ask-password -- web.service',
      'systemctl start --no-ask-password -- redis-7.0.service',
      'systemctl stop --no-ask-password -- a.mount.service',
      'systemctl reset-failed --no-ask-password -- web.service',
      'systemd-tmpfiles --create -- /etc/tmpfiles.d/web.conf',
      'systemd-tmpfiles --remove -- /etc/tmpfiles.d/web.conf',
    ]);
  });

  it.each(['', '-rf', '--now', 'a b', 'a/b', '../a', 'a\n', '.a', 'ä'])(
    'runs nothing for the name %j',
    async (name) => {
      const exec = new FakeExec();
      await expect(createSystemd(exec).start(name)).rejects.toMatchObject({ code: 'unit-invalid' });
      expect(exec.lines).toEqual([]);
    },
  );

  it('bounds a start, and lets it be given up', async () => {
    const exec = new FakeExec();
    const { signal } = new AbortController();
    await createSystemd(exec).start('web', signal);
    expect(exec.calls[0]?.options).toEqual({ timeoutMs: 300_000, endWithUs: true, signal });
  });

  it('does not mind a failure that systemd has forgotten already', async () => {
    const exec = new FakeExec(() => ({ exitCode: 1, stderr: 'Unit web.service not loaded.' }));
    await expect(createSystemd(exec).resetFailed('web')).resolves.toBeUndefined();
    await expect(createSystemd(exec).stop('web')).rejects.toThrow('not loaded');
  });

  it('shows many units in one call, each under the name that was asked for', async () => {
    const exec = new FakeExec(
      () =>
        `${propertyBlock({ Id: 'other.service', ActiveState: 'active', Description: 'a=b' })}\n` +
        propertyBlock({ Id: 'b.service', ActiveState: 'inactive', Description: '' }),
    );
    const shown = await createSystemd(exec).show(['a', 'b'], ['ActiveState', 'Description']);
    expect(exec.lines).toEqual([
      'systemctl show --property=Id,ActiveState,Description -- a.service b.service',
    ]);
    expect(shown.get('a')).toEqual({ Id: 'other.service', ActiveState: 'active', Description: 'a=b' });
    expect(shown.get('b')).toEqual({ Id: 'b.service', ActiveState: 'inactive', Description: '' });
  });

  it('tells the states of all services that are loaded, by one question', async () => {
    const exec = new FakeExec(() =>
      [
        'web.service                loaded    active       running      hello world active',
        'a.mount.service            loaded    failed       failed       a.mount.service',
        'redis-7.0.service          loaded    activating   auto-restart',
        '  gone.service             not-found inactive     dead         gone.service',
        'nothing of a service',
        '',
      ].join('\n'),
    );
    const states = await createSystemd(exec).loadedStates();
    expect(exec.lines).toEqual(['systemctl list-units --type=service --all --full --plain --no-legend']);
    expect(Object.fromEntries(states)).toEqual({
      web: { active: 'active', sub: 'running' },
      'a.mount': { active: 'failed', sub: 'failed' },
      'redis-7.0': { active: 'activating', sub: 'auto-restart' },
      gone: { active: 'inactive', sub: 'dead' },
    });
    expect((await createSystemd(new FakeExec()).loadedStates()).size).toBe(0);
  });

  it('takes a list of services that was cut off for none', async () => {
    const systemd = createSystemd(new FakeExec(() => 'web.service loaded active running x\nother.serv'));
    await expect(systemd.loadedStates()).rejects.toMatchObject({ code: 'command-failed' });
  });

  it('shows nothing for no units, because systemctl would show the manager', async () => {
    const exec = new FakeExec();
    expect((await createSystemd(exec).show([], ['ActiveState'])).size).toBe(0);
    expect(exec.lines).toEqual([]);
  });

  it('refuses an answer for another number of units', async () => {
    const exec = new FakeExec(() => 'Id=a.service\n');
    await expect(createSystemd(exec).show(['a', 'b'], [])).rejects.toThrow('answered for 1 of 2 units');
  });

  it.each([
    ['active', 'enabled', { active: true, enabled: true }, true],
    ['activating', 'enabled-runtime', { active: true, enabled: true }, false],
    ['failed', 'disabled', { active: false, enabled: false }, false],
    ['inactive', 'static', { active: false, enabled: false }, false],
    ['inactive', '', { active: false, enabled: false }, false],
  ])('reads %s and %s', async (ActiveState, UnitFileState, state, isActive) => {
    const exec = new FakeExec(() => propertyBlock({ Id: 'web.service', ActiveState, UnitFileState }));
    const systemd = createSystemd(exec);
    expect(await systemd.state('web')).toEqual(state);
    expect(await systemd.isActive('web')).toBe(isActive);
    expect(await systemd.isEnabled('web')).toBe(state.enabled);
  });

  it('keeps of a verification what is about the unit itself and keeps it from running', async () => {
    const exec = new FakeExec(() => ({
      exitCode: 1,
      stderr: [
        '/srv/web.0/web.service:9: Failed to parse service restart specifier, ignoring: on-crash',
        '/lib/systemd/system/other.service:3: Unknown key',
        'other.service: Command /x is not executable',
        'web.service: Command /nowhere is not executable: No such file or directory',
        '/srv/web.0/web.service:7: WorkingDirectory= path is not absolute: relative',
        'web.service: Unit configuration has fatal error, unit will not be started.',
        'Unit web.service has a bad unit file setting.',
      ].join('\n'),
    }));
    expect(await verifyUnit(exec, '/srv/web.0/web.service')).toEqual([
      '/srv/web.0/web.service:7: WorkingDirectory= path is not absolute: relative',
      'web.service: Unit configuration has fatal error, unit will not be started.',
    ]);
    expect(exec.lines).toEqual(['systemd-analyze verify --man=no -- /srv/web.0/web.service']);
  });

  it('finds nothing wrong where there is no systemd-analyze', async () => {
    const exec = new FakeExec(() => ({ exitCode: 127, stderr: '' }));
    expect(await verifyUnit(exec, '/x/web.service')).toEqual([]);
  });

  it('reads the journal since a time, and does without when there is none', async () => {
    const exec = new FakeExec(() => 'line 1\nline 2\n');
    expect(await createSystemd(exec).journalTail('web', 20, 1_500)).toBe('line 1\nline 2');
    expect(exec.lines).toEqual([
      'journalctl --no-pager --quiet --unit=web.service --unit=runc-web.scope --unit=crun-web.scope --lines=20 --since=@1.500',
    ]);
    const none = new FakeExec(() => ({ exitCode: 127, stderr: '' }));
    expect(await createSystemd(none).journalTail('web', 20)).toContain('no journal');
    expect(none.lines).toEqual([
      'journalctl --no-pager --quiet --unit=web.service --unit=runc-web.scope --unit=crun-web.scope --lines=20',
    ]);
  });

  it('gives the journal since the start with a failure', async () => {
    const failed = propertyBlock({
      Id: 'web.service',
      ActiveState: 'failed',
      Result: 'exit-code',
      ExecMainStatus: '7',
    });
    const exec = new FakeExec((line) =>
      line.startsWith('systemctl show') ? failed : line.startsWith('journalctl') ? 'cannot bind\n' : '',
    );
    const systemd = createSystemd(exec, new FakeClock());
    await systemd.start('web');
    expect(await systemd.waitSettled('web', { settleMs: 3000 })).toEqual({
      ok: false,
      reason: 'its program ended with status 7',
      journal: 'cannot bind',
    });
    expect(exec.lines.at(-1)).toContain('--since=@1000.000');
  });
});
