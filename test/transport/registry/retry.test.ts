import { describe, expect, it } from 'vitest';
import type { ProgressEvent } from '../../../src/events.ts';
import { REQUEST_TRIES, RETRY_AFTER_MAX_MS } from '../../../src/limits.ts';
import { ConnectionFailure, StatusFailure } from '../../../src/transport/registry/failure.ts';
import { readRetryAfter, retryPassing } from '../../../src/transport/registry/retry.ts';
import { QUICK } from './setup.ts';

const URL_ = new URL('https://r.example/v2/');

function status(code: number, headers = {}): StatusFailure {
  return new StatusFailure(URL_, code, headers, '');
}

function broken(code: string): ConnectionFailure {
  return new ConnectionFailure(URL_, Object.assign(new Error('bro\u001bken'), { code }));
}

/** Fails with each of the errors in turn, then succeeds; gives what was waited and how often it was tried. */
async function run(
  failures: Error[],
  allowed: number = REQUEST_TRIES,
): Promise<{ tries: number; waits: number[]; texts: string[]; error?: unknown }> {
  const waits: number[] = [];
  const texts: string[] = [];
  let tries = 0;
  const context = {
    timing: { ...QUICK, pause: async (ms: number) => void waits.push(ms) },
    report: (event: ProgressEvent) => void (event.event === 'retry' && texts.push(event.text)),
    signal: undefined,
    tries: allowed,
  };
  try {
    await retryPassing(async () => {
      const failure = failures[tries++];
      if (failure !== undefined) throw failure;
    }, context);
    return { tries, waits, texts };
  } catch (error) {
    return { tries, waits, texts, error };
  }
}

describe('a request', () => {
  it.each([429, 500, 502, 503, 504])('is tried again after status %i', async (code) => {
    expect(await run([status(code)])).toMatchObject({ tries: 2 });
  });

  it.each([
    'ECONNRESET',
    'UND_ERR_SOCKET',
    'UND_ERR_HEADERS_TIMEOUT',
    'UND_ERR_CONNECT_TIMEOUT',
    'EAI_AGAIN',
  ])('is tried again after %s', async (code) => {
    expect(await run([broken(code)])).toMatchObject({ tries: 2 });
  });

  it('is not tried again when that cannot help', async () => {
    for (const failure of [
      status(404),
      status(401),
      broken('ECONNREFUSED'),
      broken('CERT_HAS_EXPIRED'),
      new Error('x'),
    ]) {
      expect(await run([failure])).toMatchObject({ tries: 1, error: failure });
    }
  });

  it.each([1, REQUEST_TRIES])('is given up after %i tries, with the last failure', async (allowed) => {
    const failures = Array.from({ length: 10 }, (_, i) => status(500 + (i % 2) * 3));
    const { tries, waits, error } = await run(failures, allowed);
    expect([tries, waits.length, error]).toEqual([allowed, allowed - 1, failures[allowed - 1]]);
  });

  it('waits longer each time', async () => {
    const { waits } = await run([status(503), status(503), status(503)]);
    for (const [i, wait] of waits.entries()) {
      expect(wait).toBeGreaterThanOrEqual(250 * 2 ** i);
      expect(wait).toBeLessThanOrEqual(750 * 2 ** i);
    }
  });

  it('waits as long as the server asks, up to a limit', async () => {
    const { waits } = await run([
      status(429, { 'retry-after': '7' }),
      status(429, { 'retry-after': '86400' }),
    ]);
    expect(waits).toEqual([7000, RETRY_AFTER_MAX_MS]);
  });

  it('reports why, with control characters escaped', async () => {
    const { texts } = await run([status(503), broken('ECONNRESET')]);
    expect(texts).toEqual([
      'r.example answered 503; trying again',
      'r.example failed: bro\\u001bken; trying again',
    ]);
  });
});

it('reads Retry-After as seconds or as a date', () => {
  const now = Date.parse('Wed, 21 Oct 2026 07:28:00 GMT');
  expect(readRetryAfter('120', now)).toBe(120_000);
  expect(readRetryAfter('Wed, 21 Oct 2026 07:29:00 GMT', now)).toBe(60_000);
  expect(readRetryAfter('Wed, 21 Oct 2026 07:00:00 GMT', now)).toBe(0);
  expect(readRetryAfter('soon', now)).toBeUndefined();
  expect(readRetryAfter(undefined, now)).toBeUndefined();
});
