import { AtomicError, isAtomicError, messageOf } from '../errors.ts';
import type { Exec } from '../host/ports.ts';
import { systemClock, type Clock } from './clock.ts';
import { makingLinks } from './full-disk.ts';
import { probe, waitHealthy, type HealthGate, type HealthVerdict } from './health.ts';
import { SETTLE_PROPERTIES, waitSettled, type StartVerdict } from './settle.ts';

/** What `systemctl show` says of a unit: property to value; properties that do not apply are absent. */
export type UnitProperties = Readonly<Record<string, string>>;

/** What `systemctl list-units` says of a service: its ActiveState and SubState. */
export interface UnitState {
  readonly active: string;
  readonly sub: string;
}

/** Descriptions come with it, and an image chooses its unit's. */
const UNIT_LIST_BYTES = 64 * 1024 * 1024;

/** The longest that we wait for a unit to come up; systemd's own limit is 90 seconds unless the unit sets another. */
const START_LIMIT_MS = 300_000;
/** Enough to see why a program gave up. */
const JOURNAL_LINES = 30;

const ANY_STATUS = Array.from({ length: 256 }, (_, status) => status);

const RUNNING: ReadonlySet<string | undefined> = new Set(['active', 'reloading', 'refreshing', 'activating']);

export interface SettleOptions {
  readonly settleMs: number;
  readonly health?: HealthGate;
  readonly signal?: AbortSignal;
}

/** Asks systemd; units are services, named without their suffix. All errors are the programs' own `command-failed`. */
export interface Systemd {
  daemonReload(): Promise<void>;
  enable(unit: string): Promise<void>;
  disable(unit: string): Promise<void>;
  /** Stops it as well. */
  disableNow(unit: string): Promise<void>;
  /** Returns when systemd takes the unit for started, at the latest after START_LIMIT_MS. */
  start(unit: string, signal?: AbortSignal): Promise<void>;
  stop(unit: string): Promise<void>;
  /** Ask for it and return: systemd does it when it comes to it. */
  startLater(unit: string): Promise<void>;
  restartLater(unit: string): Promise<void>;
  /** Whether the boot is still going on, so that a start may have to wait for whoever asks for it. */
  isBooting(): Promise<boolean>;
  /** Forgets a failure, so that the unit can be started at once and is not listed as failed. */
  resetFailed(unit: string): Promise<void>;
  isActive(unit: string): Promise<boolean>;
  isEnabled(unit: string): Promise<boolean>;
  /** `active` includes a service that is on its way up, or between two tries of its Restart=. */
  state(unit: string): Promise<{ readonly active: boolean; readonly enabled: boolean }>;
  /**
   * The states of all services that systemd has loaded; one that is not among them is inactive. One question for all:
   * `show` has systemd load each unit that is asked for, which takes it 20 ms.
   */
  loadedStates(): Promise<ReadonlyMap<string, UnitState>>;
  /** Properties of some units in one call, by the name that was asked for. */
  show(units: readonly string[], properties: readonly string[]): Promise<ReadonlyMap<string, UnitProperties>>;
  /**
   * Watches a unit that was started until it has been up for `settleMs` and its check, if any, has passed, or it has
   * failed: see settle.ts.
   */
  waitSettled(unit: string, options: SettleOptions): Promise<StartVerdict>;
  /** The last lines of a unit's journal, of those since a time (ms since 1970) when one is given; empty when there is no journal. */
  journalTail(unit: string, lines: number, since?: number): Promise<string>;
  tmpfilesCreate(path: string): Promise<void>;
  tmpfilesRemove(path: string): Promise<void>;
}

/** Where an administrator's units are, and the links of those that are enabled. */
const UNITS = '/etc/systemd/system';

/** @param units where systemctl enable makes its links */
export function createSystemd(exec: Exec, clock: Clock = systemClock, units = UNITS): Systemd {
  const startedAt = new Map<string, number>();
  const control = async (verb: string, unit: string, ...options: string[]): Promise<void> => {
    const args = [verb, ...options, '--no-ask-password', '--', unitName(unit)];
    await exec.run('systemctl', args, { endWithUs: true });
  };
  const state = async (unit: string): Promise<{ active: boolean; enabled: boolean }> => {
    const shown = (await showUnits(exec, [unit], ['ActiveState', 'UnitFileState'])).get(unit);
    return {
      active: RUNNING.has(shown?.['ActiveState']),
      enabled: shown?.['UnitFileState']?.startsWith('enabled') === true,
    };
  };
  const tail = (unit: string, lines: number, since?: number): Promise<string> =>
    journalTail(exec, unit, lines, since);
  return {
    daemonReload: async () => void (await exec.run('systemctl', ['daemon-reload', '--no-ask-password'])),
    enable: (unit) => makingLinks(units, () => control('enable', unit)),
    disable: (unit) => control('disable', unit),
    disableNow: (unit) => control('disable', unit, '--now'),
    start: async (unit, signal) => {
      startedAt.set(unit, clock.now());
      await exec.run('systemctl', ['start', '--no-ask-password', '--', unitName(unit)], {
        timeoutMs: START_LIMIT_MS,
        endWithUs: true,
        ...(signal === undefined ? {} : { signal }),
      });
    },
    stop: (unit) => control('stop', unit),
    startLater: (unit) => control('start', unit, '--no-block'),
    restartLater: (unit) => control('restart', unit, '--no-block'),
    isBooting: async () => {
      // Its exit status says whether all is well, which is not asked.
      const { stdout } = await exec.run('systemctl', ['is-system-running'], { accept: ANY_STATUS });
      return ['initializing', 'starting'].includes(stdout.trim());
    },
    resetFailed: async (unit) => {
      // Status 1: systemd does not know the unit any more, so there is nothing to forget.
      const args = ['reset-failed', '--no-ask-password', '--', unitName(unit)];
      await exec.run('systemctl', args, { accept: [0, 1] });
    },
    isActive: async (unit) =>
      (await showUnits(exec, [unit], ['ActiveState'])).get(unit)?.['ActiveState'] === 'active',
    isEnabled: async (unit) => (await state(unit)).enabled,
    state,
    loadedStates: () => listStates(exec),
    show: (units, properties) => showUnits(exec, units, properties),
    waitSettled: (unit, { settleMs, health, signal }) => {
      const since = startedAt.get(unit);
      return waitSettled({
        settleMs,
        deadline: (since ?? clock.now()) + START_LIMIT_MS,
        look: async () => (await showUnits(exec, [unit], SETTLE_PROPERTIES)).get(unit) ?? {},
        journal: () => tail(unit, JOURNAL_LINES, since),
        ...(health === undefined ? {} : { health: (stop) => watchHealth(exec, health, clock, stop) }),
        clock,
        signal,
      });
    },
    journalTail: tail,
    tmpfilesCreate: async (path) => void (await exec.run('systemd-tmpfiles', ['--create', '--', path])),
    tmpfilesRemove: async (path) => void (await exec.run('systemd-tmpfiles', ['--remove', '--', path])),
  };
}

function watchHealth(
  exec: Exec,
  gate: HealthGate,
  clock: Clock,
  signal: AbortSignal,
): Promise<HealthVerdict> {
  return waitHealthy(gate.check, () => probe(exec, gate, signal), { clock, signal });
}

/**
 * The unit of a container. Always with its suffix: systemctl would take `a.mount` for a mount.
 * @throws AtomicError `unit-invalid`
 */
function unitName(unit: string): string {
  if (/^[A-Za-z0-9_][A-Za-z0-9:_.@-]*$/.test(unit)) return `${unit}.service`;
  throw new AtomicError('unit-invalid', `${JSON.stringify(unit)} is no name of a service`);
}

async function listStates(exec: Exec): Promise<ReadonlyMap<string, UnitState>> {
  const args = ['list-units', '--type=service', '--all', '--full', '--plain', '--no-legend'];
  const { stdout } = await exec.run('systemctl', args, { outputBytes: UNIT_LIST_BYTES });
  // Its end is missing when there was more.
  if (stdout !== '' && !stdout.endsWith('\n'))
    throw new AtomicError('command-failed', 'systemctl list-units printed more than can be read');
  const states = new Map<string, UnitState>();
  for (const line of stdout.split('\n')) {
    const [, name, active, sub] = /^\s*(\S+)\.service\s+\S+\s+(\S+)\s+(\S+)/.exec(line) ?? [];
    if (name !== undefined && active !== undefined && sub !== undefined) states.set(name, { active, sub });
  }
  return states;
}

/** systemctl prints a block for each unit, in the order asked, with an empty line between two. */
async function showUnits(
  exec: Exec,
  units: readonly string[],
  properties: readonly string[],
): Promise<ReadonlyMap<string, UnitProperties>> {
  // Without a unit it would show the manager.
  if (units.length === 0) return new Map();
  const args = ['show', `--property=${['Id', ...properties].join(',')}`, '--', ...units.map(unitName)];
  const { stdout } = await exec.run('systemctl', args);
  const blocks = stdout.trimEnd().split('\n\n');
  if (blocks.length !== units.length) {
    throw new AtomicError(
      'command-failed',
      `systemctl show answered for ${blocks.length} of ${units.length} units`,
    );
  }
  return new Map(units.map((unit, i) => [unit, parseProperties(blocks[i] ?? '')]));
}

function parseProperties(block: string): UnitProperties {
  const properties: Record<string, string> = {};
  for (const line of block.split('\n')) {
    const equals = line.indexOf('=');
    if (equals > 0) properties[line.slice(0, equals)] = line.slice(equals + 1);
  }
  return properties;
}

/**
 * What a container's processes say themselves is its scope's where its runtime has made one (--systemd-cgroup) and handed
 * our streams on: crun always, runc when it detaches.
 */
const SCOPES = ['runc', 'crun'];

async function journalTail(exec: Exec, unit: string, lines: number, since?: number): Promise<string> {
  const from = since === undefined ? [] : [`--since=@${(since / 1000).toFixed(3)}`];
  const units = [unitName(unit), ...SCOPES.map((runtime) => `${runtime}-${unit}.scope`)];
  const args = [
    '--no-pager',
    '--quiet',
    ...units.map((name) => `--unit=${name}`),
    `--lines=${lines}`,
    ...from,
  ];
  try {
    return (await exec.run('journalctl', args)).stdout.trimEnd();
  } catch (error) {
    // It only illustrates an error that is told anyway.
    if (isAtomicError(error, 'tool-missing', 'command-failed')) return `(no journal: ${messageOf(error)})`;
    throw error;
  }
}

/**
 * What keeps systemd from running a unit file, as systemd-analyze says it; nothing where that is not installed.
 *
 * It also judges manuals and every unit that is pulled in: only lines about this file count. What systemd ignores
 * (real images have `Restart=on-crash`) is no problem, and a program that is missing may come with the deployment.
 */
export async function verifyUnit(exec: Exec, path: string): Promise<string[]> {
  const name = path.slice(path.lastIndexOf('/') + 1);
  try {
    const args = ['verify', '--man=no', '--', path];
    const { stdout, stderr } = await exec.run('systemd-analyze', args, { accept: [0, 1] });
    return `${stdout}\n${stderr}`
      .split('\n')
      .filter((line) => line.startsWith(`${path}:`) || line.startsWith(`${name}: `))
      .filter((line) => !/, ignoring|is not executable/.test(line));
  } catch (error) {
    if (isAtomicError(error, 'tool-missing')) return [];
    throw error;
  }
}
