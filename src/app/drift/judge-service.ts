/** A service against what was recorded of it: pure, from what systemd says. */
import type { ContainerInfo } from '../../container/info.ts';
import type { UnitProperties } from '../../service/systemd.ts';
import { drift, notRecorded, ok, type Judgement } from './parts.ts';

export const SERVICE_PROPERTIES: readonly string[] = [
  'ActiveState',
  'SubState',
  'UnitFileState',
  'Type',
  'Result',
  'ExecMainStatus',
  'InvocationID',
  'StateChangeTimestamp',
  'DropInPaths',
];

/** `static` and its like have nothing to enable: systemctl(1), is-enabled. */
const ENABLED: ReadonlySet<string> = new Set([
  'enabled',
  'enabled-runtime',
  'static',
  'indirect',
  'generated',
  'alias',
  'transient',
]);
const RUNNING: ReadonlySet<string | undefined> = new Set(['active', 'reloading', 'refreshing', 'activating']);

/** More than was recorded is no drift: who enables or starts a service has a reason, and the next boot starts it anyway. */
export function judgeEnabled({ enabled }: ContainerInfo, unit: UnitProperties): Judgement {
  const state = unit['UnitFileState'] ?? '';
  const shown = state === '' ? 'no unit' : state;
  if (ENABLED.has(state)) return ok('enabled', shown);
  if (enabled === undefined) return notRecorded('enabled', shown);
  return enabled ? drift('enabled', `${shown}, was enabled`, { enable: true }) : ok('enabled', shown);
}

export function judgeStarted({ started }: ContainerInfo, unit: UnitProperties): Judgement {
  const shown = describeState(unit);
  if (isUp(unit) || hasDone(unit)) return ok('started', shown);
  if (started === undefined) return notRecorded('started', shown);
  return started ? drift('started', `${shown}, was started`, { start: true }) : ok('started', shown);
}

function isUp(unit: UnitProperties): boolean {
  // Its program has ended, and systemd will try again.
  if (unit['SubState']?.startsWith('auto-restart') === true) return false;
  return RUNNING.has(unit['ActiveState']);
}

/** A oneshot that has run and ended well since the host was booted. */
function hasDone(unit: UnitProperties): boolean {
  return (
    unit['Type'] === 'oneshot' &&
    unit['ActiveState'] === 'inactive' &&
    unit['Result'] === 'success' &&
    (unit['InvocationID'] ?? '') !== ''
  );
}

/** `running since Sun 2026-11-22 08:45:00 UTC` */
export function describeState(unit: UnitProperties): string {
  const since = unit['StateChangeTimestamp'] ?? '';
  return `${stateWord(unit)}${since === '' ? '' : ` since ${since}`}`;
}

function stateWord(unit: UnitProperties): string {
  const state = unit['ActiveState'] ?? 'unknown';
  const result = unit['Result'] ?? 'success';
  if (unit['SubState']?.startsWith('auto-restart') === true)
    return `failing (${result}), tried again and again`;
  if (state === 'active') return unit['SubState'] === 'exited' ? 'done' : 'running';
  if (state === 'failed')
    return `failed (${result === 'exit-code' ? `status ${unit['ExecMainStatus'] ?? ''}` : result})`;
  if (state === 'inactive') return hasDone(unit) ? 'done' : 'stopped';
  return state;
}
