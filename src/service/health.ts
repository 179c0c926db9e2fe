import { isAtomicError, messageOf } from '../errors.ts';
import type { Exec } from '../host/ports.ts';
import type { HealthCheck } from '../image/health-check.ts';
import { HEALTH_OUTPUT_CHARACTERS } from '../limits.ts';
import type { Clock } from './clock.ts';

/** How often a service that has just been started is asked, unless its image says. */
const PROBE_MS = 1000;

/** One try of a check. */
export interface Probe {
  readonly healthy: boolean;
  /** What it ended with, as in "its health check …". */
  readonly ending: string;
  /** What it printed, the end of it. */
  readonly output: string;
}

export type HealthVerdict =
  { readonly healthy: true } | { readonly healthy: false; readonly reason: string; readonly output: string };

/** A check, and who runs it: `RUNTIME exec CONTAINER COMMAND…`. */
export interface HealthGate {
  readonly runtime: string;
  readonly container: string;
  readonly check: HealthCheck;
}

const ANY_STATUS = Array.from({ length: 256 }, (_, status) => status);

/**
 * Runs a check once, in the container, as its user and with its environment (crun 1.8: as root, in /). One that takes
 * too long is ended.
 * @throws AtomicError `interrupted`; a runtime that fails is a check that fails
 */
export async function probe(
  exec: Exec,
  { runtime, container, check }: HealthGate,
  signal: AbortSignal,
): Promise<Probe> {
  try {
    const args = ['exec', container, ...check.command];
    const options = { accept: ANY_STATUS, timeoutMs: check.timeoutMs, signal };
    const { exitCode, stdout, stderr } = await exec.run(runtime, args, options);
    const output = `${stdout}${stderr}`.trimEnd().slice(-HEALTH_OUTPUT_CHARACTERS);
    return { healthy: exitCode === 0, ending: `exit status ${exitCode}`, output };
  } catch (error) {
    if (!isAtomicError(error, 'command-failed', 'tool-missing')) throw error;
    return { healthy: false, ending: messageOf(error), output: '' };
  }
}

/**
 * Tries a check of a service that is up until it passes, or has failed for as long as the image allows: `retries`
 * failures in a row, one an interval, behind the start period. Tries in between only find out sooner that all is well.
 * @throws whatever `attempt` throws; what the clock throws when the signal aborts
 */
export async function waitHealthy(
  check: HealthCheck,
  attempt: () => Promise<Probe>,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<HealthVerdict> {
  const patience = check.startPeriodMs + check.retries * check.intervalMs;
  const begin = clock.now();
  for (let failures = 1; ; failures++) {
    const age = clock.now() - begin;
    const { healthy, ending, output } = await attempt();
    if (healthy) return { healthy: true };
    if (age >= patience && failures >= check.retries) {
      const tries = failures === 1 ? '' : ` ${failures} times, the last one`;
      return { healthy: false, reason: `its health check failed${tries} with ${ending}`, output };
    }
    const pause = check.startIntervalMs ?? Math.min(check.intervalMs, PROBE_MS);
    // The last try is made when the time is up, and not long after.
    await clock.sleep(Math.max(1, Math.min(pause, patience - (clock.now() - begin))), signal);
  }
}
