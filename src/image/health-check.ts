/**
 * How an image says that what it runs is well: `Healthcheck`, Docker's extension of the image config.
 * @see moby image specification v1.2, "Healthcheck"; docker run, --health-cmd and its like
 */
import { HEALTH_INTERVAL_MS, HEALTH_RETRIES, HEALTH_START_PERIOD_MS, HEALTH_TIMEOUT_MS } from '../limits.ts';
import { isRecord, type JsonRecord } from './json.ts';

/** When a check is tried, and when it has failed. */
export interface HealthTiming {
  /** Between two failures that count. */
  readonly intervalMs: number;
  /** What one try may take. */
  readonly timeoutMs: number;
  /** For so long after the start a failure does not count. */
  readonly startPeriodMs: number;
  /** Between two tries while a service starts, where the image says so. */
  readonly startIntervalMs: number | undefined;
  /** Failures in a row that are one too many. */
  readonly retries: number;
}

/** A program that is run in the container; status 0 says that all is well. */
export interface HealthCheck extends HealthTiming {
  /** Program and arguments; none: nothing is checked. */
  readonly command: readonly string[];
}

/** Docker's defaults. */
const DEFAULTS: HealthTiming = {
  intervalMs: 30_000,
  timeoutMs: 30_000,
  startPeriodMs: 0,
  startIntervalMs: undefined,
  retries: 3,
};

const NANOSECONDS = 1_000_000;

/** A command for a shell, as Docker and podman run it. */
export function shellCommand(text: string): readonly string[] {
  return ['/bin/sh', '-c', text];
}

/**
 * Reads `Healthcheck` of a config. Foreign and optional: what is none of its forms counts as absent, durations are held
 * within limits.
 */
export function parseHealthcheck(value: unknown): HealthCheck {
  if (!isRecord(value)) return { command: [], ...DEFAULTS };
  const [form, ...args] = Array.isArray(value['Test']) ? (value['Test'] as unknown[]) : [];
  const words = args.every((word) => typeof word === 'string') ? args : [];
  const command =
    form === 'CMD' ? words : form === 'CMD-SHELL' && words[0] !== undefined ? shellCommand(words[0]) : [];
  return {
    command,
    intervalMs: duration(value, 'Interval', HEALTH_INTERVAL_MS) ?? DEFAULTS.intervalMs,
    timeoutMs: duration(value, 'Timeout', HEALTH_TIMEOUT_MS) ?? DEFAULTS.timeoutMs,
    startPeriodMs: duration(value, 'StartPeriod', HEALTH_START_PERIOD_MS) ?? DEFAULTS.startPeriodMs,
    startIntervalMs: duration(value, 'StartInterval', HEALTH_INTERVAL_MS),
    retries: readRetries(value['Retries']),
  };
}

/** Milliseconds, at least one; 0 is how Docker writes that nothing was said. */
function duration(record: JsonRecord, key: string, most: number): number | undefined {
  const value = record[key];
  if (typeof value !== 'number' || !(value > 0)) return undefined;
  return Math.min(most, Math.max(1, Math.round(value / NANOSECONDS)));
}

function readRetries(value: unknown): number {
  return typeof value === 'number' && Number.isInteger(value) && value > 0
    ? Math.min(value, HEALTH_RETRIES)
    : DEFAULTS.retries;
}
