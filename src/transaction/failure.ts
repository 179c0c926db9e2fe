/** Why a change was given up: its service did not come up. Plain data, in the journal and in `failure.json`. */
import { AtomicError } from '../errors.ts';
import { isRecord } from '../image/json.ts';

export interface Failure {
  /** ISO 8601. */
  readonly time: string;
  /** A sentence. */
  readonly reason: string;
  /** The last lines of the unit's journal, and what its health check said. */
  readonly journal: string;
}

/** The failure that an error tells of; undefined for any error but that of a service that did not start. */
export function failureOf(error: unknown, time: Date): Failure | undefined {
  if (!(error instanceof AtomicError) || error.code !== 'service-failed') return undefined;
  return { time: time.toISOString(), reason: error.message, journal: error.details ?? '' };
}

/** As a journal has it; undefined for anything else. */
export function readFailure(value: unknown): Failure | undefined {
  if (!isRecord(value)) return undefined;
  const { time, reason, journal } = value;
  if (typeof time !== 'string' || typeof reason !== 'string') return undefined;
  return { time, reason, journal: typeof journal === 'string' ? journal : '' };
}
