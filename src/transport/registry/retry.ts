import type { Report } from '../../events.ts';
import { RETRY_AFTER_MAX_MS } from '../../limits.ts';
import { ConnectionFailure, StatusFailure } from './failure.ts';
import type { Timing } from './options.ts';
import { showForeign } from './text.ts';

const PASSING_STATUSES: ReadonlySet<number> = new Set([429, 500, 502, 503, 504]);
const PASSING_CODES: ReadonlySet<string> = new Set([
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EAI_AGAIN',
  'UND_ERR_SOCKET',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
]);
const FIRST_WAIT_MS = 500;

export interface RetryContext {
  readonly timing: Timing;
  readonly report: Report;
  readonly signal: AbortSignal | undefined;
  /** Of one request, the first included. */
  readonly tries: number;
}

/** Runs `attempt` as often as is allowed while it fails for a passing reason; the last failure is thrown. */
export async function retryPassing<T>(attempt: () => Promise<T>, context: RetryContext): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await attempt();
    } catch (error) {
      if (tries === context.tries || context.signal?.aborted === true || !isPassing(error)) throw error;
      await waitToRetry(error, tries, context);
    }
  }
}

/** Reports why and waits: as long as the server asks, else longer each time and never twice the same. */
export async function waitToRetry(
  error: ConnectionFailure | StatusFailure,
  tries: number,
  { timing, report, signal }: RetryContext,
): Promise<void> {
  const asked =
    error instanceof StatusFailure ? readRetryAfter(error.headers['retry-after'], Date.now()) : undefined;
  const backoff = FIRST_WAIT_MS * 2 ** (tries - 1) * (0.5 + Math.random());
  const waitMs = Math.round(Math.min(asked ?? backoff, RETRY_AFTER_MAX_MS));
  const found =
    error instanceof StatusFailure ? `answered ${error.status}` : `failed: ${showForeign(error.message)}`;
  report({ event: 'retry', text: `${error.url.host} ${found}; trying again`, waitMs });
  await timing.pause(waitMs, signal);
}

/** Whether a failure may be gone at the next try. */
export function isPassing(error: unknown): error is ConnectionFailure | StatusFailure {
  if (error instanceof StatusFailure) return PASSING_STATUSES.has(error.status);
  return error instanceof ConnectionFailure && error.code !== undefined && PASSING_CODES.has(error.code);
}

/** Retry-After in milliseconds from `now`: seconds or a date, RFC 9110 section 10.2.3. */
export function readRetryAfter(header: string | undefined, now: number): number | undefined {
  if (header === undefined) return undefined;
  // More digits than a number of milliseconds has are as good as for ever.
  if (/^\d+$/.test(header)) return Math.min(Number(header) * 1000, Number.MAX_SAFE_INTEGER);
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
