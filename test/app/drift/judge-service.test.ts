import { describe, expect, it } from 'vitest';
import { judgeEnabled, judgeStarted } from '../../../src/app/drift/judge-service.ts';
import { parseInfo } from '../../../src/container/info.ts';

const infoOf = (info: object) => parseInfo(JSON.stringify(info), 'info');

describe('enablement', () => {
  it.each([
    [true, 'enabled', 'ok', 'enabled'],
    [true, 'static', 'ok', 'static'],
    [true, 'disabled', 'drift', 'disabled, was enabled'],
    [true, 'masked', 'drift', 'masked, was enabled'],
    [true, '', 'drift', 'no unit, was enabled'],
    [false, 'disabled', 'ok', 'disabled'],
    [false, 'enabled', 'ok', 'enabled'],
    [undefined, 'disabled', 'not recorded', 'disabled'],
    [undefined, 'enabled', 'ok', 'enabled'],
  ])('recorded as %s and found as %j is %s', (enabled, state, status, found) => {
    const { part, remedies } = judgeEnabled(infoOf({ enabled }), { UnitFileState: state });
    expect(part).toMatchObject({ status, found });
    expect(remedies).toEqual(status === 'drift' ? { enable: true } : {});
  });
});

describe('the run state', () => {
  const running = { ActiveState: 'active', SubState: 'running' };
  const stopped = { ActiveState: 'inactive', SubState: 'dead', Result: 'success', InvocationID: 'x' };
  it.each([
    ['a service that runs', true, running, 'ok', 'running'],
    ['one on its way up', true, { ActiveState: 'activating', SubState: 'start' }, 'ok', 'activating'],
    [
      'one that was stopped',
      true,
      { ...stopped, StateChangeTimestamp: 'T' },
      'drift',
      'stopped since T, was started',
    ],
    [
      'one that fails again and again',
      true,
      { ActiveState: 'activating', SubState: 'auto-restart', Result: 'exit-code' },
      'drift',
      'failing (exit-code), tried again and again, was started',
    ],
    [
      'one that failed',
      true,
      { ActiveState: 'failed', Result: 'exit-code', ExecMainStatus: '3' },
      'drift',
      'failed (status 3), was started',
    ],
    [
      'one that was killed',
      true,
      { ActiveState: 'failed', Result: 'signal' },
      'drift',
      'failed (signal), was started',
    ],
    ['a oneshot that is done', true, { ...stopped, Type: 'oneshot' }, 'ok', 'done'],
    [
      'a oneshot that has not run',
      true,
      { ...stopped, Type: 'oneshot', InvocationID: '' },
      'drift',
      'stopped, was started',
    ],
    ['a oneshot that remains', true, { ActiveState: 'active', SubState: 'exited' }, 'ok', 'done'],
    ['one that was not to be started', false, stopped, 'ok', 'stopped'],
    ['one that was started by hand', false, running, 'ok', 'running'],
    ['one that nothing was recorded of', undefined, stopped, 'not recorded', 'stopped'],
  ])('of %s', (_what, started, unit, status, found) => {
    const { part, remedies } = judgeStarted(infoOf({ started }), unit);
    expect(part).toMatchObject({ status, found });
    expect(remedies).toEqual(status === 'drift' ? { start: true } : {});
  });
});
