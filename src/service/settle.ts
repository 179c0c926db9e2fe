import { AtomicError } from '../errors.ts';
import type { Clock } from './clock.ts';
import type { HealthVerdict } from './health.ts';

/** How a start went; `reason` continues "NAME was not started: …". */
export type StartVerdict =
  { readonly ok: true } | { readonly ok: false; readonly reason: string; readonly journal: string };

export const SETTLE_PROPERTIES: readonly string[] = [
  'Type',
  'LoadState',
  'ActiveState',
  'SubState',
  'Result',
  'NRestarts',
  'InvocationID',
  'ExecMainCode',
  'ExecMainStatus',
];

const POLL_MS = 250;

export interface Settling {
  /** How long the unit has to stay up. */
  readonly settleMs: number;
  /** When a unit that is still on its way up counts as failed; the clock's time. */
  readonly deadline: number;
  readonly look: () => Promise<Readonly<Record<string, string>>>;
  readonly journal: () => Promise<string>;
  /** The service's own check, begun when the unit is up. */
  readonly health?: (signal: AbortSignal) => Promise<HealthVerdict>;
  readonly clock: Clock;
  readonly signal: AbortSignal | undefined;
}

type Look = Readonly<Record<string, string>>;
type Judgement = 'good' | 'up' | 'on-its-way' | { readonly failed: string };

/** A check that runs beside the looks at the unit. */
interface Checking {
  state: 'running' | HealthVerdict | { readonly error: unknown };
  readonly ended: Promise<void>;
}

/**
 * Watches a unit that was started: it has to become active and to stay so for the settling time, without a restart, and
 * its check, where there is one, has to pass meanwhile or later. A Type=oneshot that ended well is good at once.
 * @throws AtomicError `interrupted` when the signal aborts
 */
export async function waitSettled(settling: Settling): Promise<StartVerdict> {
  const stop = new AbortController();
  const signals = settling.signal === undefined ? [] : [settling.signal];
  let checking: Checking | undefined;
  const check = (unit: Look): Checking | undefined => {
    // What a oneshot ran is no more.
    if (settling.health === undefined || unit['Type'] === 'oneshot') return undefined;
    checking ??= startChecking(settling.health(AbortSignal.any([stop.signal, ...signals])));
    return checking;
  };
  try {
    return await watch(settling, check);
  } finally {
    stop.abort();
    // Its program has ended before anything else happens to the container.
    await checking?.ended;
  }
}

async function watch(settling: Settling, check: (unit: Look) => Checking | undefined): Promise<StartVerdict> {
  const { settleMs, deadline, look, clock } = settling;
  let first: Look | undefined;
  let upSince: number | undefined;
  let checking: Checking | undefined;
  for (;;) {
    throwIfAborted(settling.signal);
    // Read before the unit is looked at: the service that has passed is the one that is still there.
    const health = checking?.state;
    const now = await look();
    const judgement = restartedSince(first, now) ?? judge(now);
    first ??= now;
    if (judgement === 'good') return { ok: true };
    if (typeof judgement === 'object') return giveUp(settling, judgement.failed);
    if (typeof health === 'object' && 'error' in health) throw health.error;
    if (typeof health === 'object' && !health.healthy) return giveUp(settling, health.reason, health.output);
    if (judgement === 'up') {
      upSince ??= clock.now();
      checking ??= check(now);
      // A unit without a check is as well as it is up.
      const passed = checking === undefined || typeof health === 'object';
      if (passed && clock.now() - upSince >= settleMs) return { ok: true };
    } else {
      upSince = undefined;
      if (clock.now() >= deadline) return giveUp(settling, `it is still ${now['ActiveState'] ?? 'unknown'}`);
    }
    const rest = upSince === undefined ? POLL_MS : settleMs - (clock.now() - upSince);
    await pause(settling, rest <= 0 ? POLL_MS : Math.min(POLL_MS, rest));
  }
}

function startChecking(run: Promise<HealthVerdict>): Checking {
  const checking: { state: Checking['state']; ended: Promise<void> } = {
    state: 'running',
    ended: Promise.resolve(),
  };
  checking.ended = run.then(
    (verdict) => void (checking.state = verdict),
    (error: unknown) => void (checking.state = { error }),
  );
  return checking;
}

function judge(unit: Look): Judgement {
  const state = unit['ActiveState'] ?? '';
  switch (state) {
    case 'active':
    case 'reloading':
    case 'refreshing':
      return 'up';
    case 'activating':
      return unit['SubState']?.startsWith('auto-restart') === true
        ? { failed: describeEnd(unit) }
        : 'on-its-way';
    case 'deactivating':
      return 'on-its-way';
    case 'inactive':
      if (unit['LoadState'] === 'not-found') return { failed: 'systemd does not know the unit' };
      return unit['Type'] === 'oneshot' && unit['Result'] === 'success' && hasRun(unit)
        ? 'good'
        : { failed: describeEnd(unit) };
    default:
      return { failed: describeEnd(unit) };
  }
}

/** A oneshot whose requirements failed is inactive with the result "success" as well, but was never run. */
function hasRun(unit: Look): boolean {
  return unit['InvocationID'] !== undefined && unit['InvocationID'] !== '';
}

function restartedSince(first: Look | undefined, now: Look): Judgement | undefined {
  if (first === undefined) return undefined;
  const isSame =
    Number(now['NRestarts'] ?? 0) <= Number(first['NRestarts'] ?? 0) &&
    (now['InvocationID'] === first['InvocationID'] || now['ActiveState'] !== 'active');
  return isSame ? undefined : { failed: `systemd had to restart it: ${describeEnd(now)}` };
}

/** systemd.service(5), "Result": exit-code, signal, core-dump, timeout, oom-kill, start-limit-hit… */
function describeEnd(unit: Look): string {
  const status = unit['ExecMainStatus'] ?? '0';
  const result = unit['Result'] ?? 'success';
  switch (result) {
    case 'exit-code':
      return `its program ended with status ${status}`;
    case 'signal':
    case 'core-dump':
      return `its program was ended by signal ${status}`;
    case 'success':
      return unit['ActiveState'] === 'active' ? 'it did not stay up' : 'it ended at once, without an error';
    default:
      return `systemd says ${result}`;
  }
}

async function giveUp(settling: Settling, reason: string, said = ''): Promise<StartVerdict> {
  const journal = await settling.journal();
  const output = said === '' ? [] : ['The health check said:', said];
  return { ok: false, reason, journal: [journal, ...output].filter((text) => text !== '').join('\n') };
}

async function pause({ clock, signal }: Settling, ms: number): Promise<void> {
  try {
    await clock.sleep(ms, signal);
  } catch (error) {
    throwIfAborted(signal);
    throw error;
  }
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return;
  if (signal.reason instanceof AtomicError) throw signal.reason;
  throw new AtomicError('interrupted', 'The wait for the service was interrupted', { cause: signal.reason });
}
