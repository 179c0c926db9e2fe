import { AtomicError } from '../errors.ts';
import type { Clock } from './clock.ts';

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
  readonly clock: Clock;
  readonly signal: AbortSignal | undefined;
}

type Look = Readonly<Record<string, string>>;
type Judgement = 'good' | 'up' | 'on-its-way' | { readonly failed: string };

/**
 * Watches a unit that was started: it has to become active and to stay so for the settling time, without a restart.
 * A Type=oneshot that ended well is good at once.
 * @throws AtomicError `interrupted` when the signal aborts
 */
export async function waitSettled(settling: Settling): Promise<StartVerdict> {
  const { settleMs, deadline, look, clock } = settling;
  let first: Look | undefined;
  let upSince: number | undefined;
  for (;;) {
    throwIfAborted(settling.signal);
    const now = await look();
    const judgement = restartedSince(first, now) ?? judge(now);
    first ??= now;
    if (judgement === 'good') return { ok: true };
    if (typeof judgement === 'object') return giveUp(settling, judgement.failed);
    if (judgement === 'up') {
      upSince ??= clock.now();
      if (clock.now() - upSince >= settleMs) return { ok: true };
    } else {
      upSince = undefined;
      if (clock.now() >= deadline) return giveUp(settling, `it is still ${now['ActiveState'] ?? 'unknown'}`);
    }
    const rest = upSince === undefined ? POLL_MS : settleMs - (clock.now() - upSince);
    await pause(settling, Math.max(1, Math.min(POLL_MS, rest)));
  }
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

async function giveUp(settling: Settling, reason: string): Promise<StartVerdict> {
  return { ok: false, reason, journal: await settling.journal() };
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
