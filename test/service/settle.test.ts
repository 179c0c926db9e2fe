import { describe, expect, it } from 'vitest';
import { AtomicError } from '../../src/errors.ts';
import type { HealthVerdict } from '../../src/service/health.ts';
import { waitSettled, type StartVerdict } from '../../src/service/settle.ts';
import { FakeClock } from './fake-systemctl.ts';

type Look = Readonly<Record<string, string>>;

const UP: Look = {
  Type: 'simple',
  LoadState: 'loaded',
  ActiveState: 'active',
  SubState: 'running',
  Result: 'success',
  NRestarts: '0',
  InvocationID: 'a1',
};
const STARTING: Look = { ...UP, Type: 'notify', ActiveState: 'activating', SubState: 'start' };
const FAILED: Look = {
  ...UP,
  ActiveState: 'failed',
  SubState: 'failed',
  Result: 'exit-code',
  ExecMainStatus: '1',
};

interface Watched {
  readonly verdict: StartVerdict;
  readonly looks: number;
  readonly waited: number;
}

/** Shows the looks one after the other, the last one forever. */
async function watch(looks: readonly Look[], settleMs = 1000, limitMs = 10_000): Promise<Watched> {
  const clock = new FakeClock();
  const begin = clock.now();
  let count = 0;
  const verdict = await waitSettled({
    settleMs,
    deadline: begin + limitMs,
    look: () => Promise.resolve(looks[Math.min(count++, looks.length - 1)] ?? {}),
    journal: () => Promise.resolve('the journal'),
    clock,
    signal: undefined,
  });
  return { verdict, looks: count, waited: clock.now() - begin };
}

const failure = (reason: string): StartVerdict => ({ ok: false, reason, journal: 'the journal' });

describe('a service that was started', () => {
  it('is good when it stays up for the settling time, looked at a few times a second', async () => {
    const { verdict, looks, waited } = await watch([UP]);
    expect(verdict).toEqual({ ok: true });
    expect(waited).toBe(1000);
    expect(looks).toBe(5);
  });

  it('is good at once when no settling is asked for', async () => {
    expect(await watch([UP], 0)).toEqual({ verdict: { ok: true }, looks: 1, waited: 0 });
  });

  it('has to stay up from the moment it is up', async () => {
    const { verdict, waited } = await watch([STARTING, STARTING, UP]);
    expect(verdict).toEqual({ ok: true });
    expect(waited).toBe(1500);
  });

  it('counts as up while it reloads', async () => {
    expect((await watch([UP, { ...UP, ActiveState: 'reloading' }, UP])).verdict).toEqual({ ok: true });
  });

  it('is bad when it fails, at once or later', async () => {
    expect((await watch([FAILED])).verdict).toEqual(failure('its program ended with status 1'));
    expect((await watch([UP, UP, FAILED])).verdict).toEqual(failure('its program ended with status 1'));
  });

  it('is bad when it was restarted, though it is up again', async () => {
    const again = { ...UP, NRestarts: '1', InvocationID: 'a2' };
    expect((await watch([UP, again])).verdict).toEqual(
      failure('systemd had to restart it: it did not stay up'),
    );
    expect((await watch([UP, { ...UP, InvocationID: 'a2' }])).verdict.ok).toBe(false);
  });

  it('is not blamed for restarts before it was looked at', async () => {
    expect((await watch([{ ...UP, NRestarts: '4' }])).verdict).toEqual({ ok: true });
  });

  it('is bad while systemd waits to restart it', async () => {
    const between = {
      ...FAILED,
      ActiveState: 'activating',
      SubState: 'auto-restart',
      Result: 'signal',
      ExecMainStatus: '11',
    };
    expect((await watch([between])).verdict).toEqual(failure('its program was ended by signal 11'));
  });

  it('is bad when it never gets ready', async () => {
    const { verdict, waited } = await watch([STARTING], 1000, 5000);
    expect(verdict).toEqual(failure('it is still activating'));
    expect(waited).toBe(5000);
  });

  it('may be stopping before it has failed', async () => {
    expect((await watch([{ ...UP, ActiveState: 'deactivating' }, FAILED])).verdict.ok).toBe(false);
  });

  it('is bad when it ends without an error', async () => {
    const ended = { ...UP, ActiveState: 'inactive', SubState: 'dead' };
    expect((await watch([UP, ended])).verdict).toEqual(failure('it ended at once, without an error'));
  });

  it('is bad when systemd does not know it, or gave it up', async () => {
    const unknown = { LoadState: 'not-found', ActiveState: 'inactive', Result: 'success' };
    expect((await watch([unknown])).verdict).toEqual(failure('systemd does not know the unit'));
    expect((await watch([{ ...FAILED, Result: 'start-limit-hit' }])).verdict).toEqual(
      failure('systemd says start-limit-hit'),
    );
    expect((await watch([{}])).verdict.ok).toBe(false);
  });
});

describe('a oneshot service that was started', () => {
  const ONESHOT = { ...UP, Type: 'oneshot' };
  const ended = { ...ONESHOT, ActiveState: 'inactive', SubState: 'dead' };

  it('is good once it has ended well', async () => {
    expect((await watch([{ ...ONESHOT, ActiveState: 'activating' }, ended])).verdict).toEqual({ ok: true });
  });

  it('is good while systemd remembers it as active', async () => {
    expect((await watch([{ ...ONESHOT, SubState: 'exited' }])).verdict).toEqual({ ok: true });
  });

  it('is bad when it failed or was never run', async () => {
    expect((await watch([{ ...ended, ActiveState: 'failed', Result: 'exit-code' }])).verdict.ok).toBe(false);
    expect((await watch([{ ...ended, InvocationID: '' }])).verdict.ok).toBe(false);
  });
});

describe('a service with a check', () => {
  interface Checked {
    readonly looks?: readonly Look[];
    readonly settleMs?: number;
    readonly health: (signal: AbortSignal, clock: FakeClock) => Promise<HealthVerdict>;
  }
  async function check({ looks = [UP], settleMs = 1000, health }: Checked): Promise<Watched> {
    const clock = new FakeClock();
    const begin = clock.now();
    let count = 0;
    const verdict = await waitSettled({
      settleMs,
      deadline: Infinity,
      look: () => Promise.resolve(looks[Math.min(count++, looks.length - 1)] ?? {}),
      journal: () => Promise.resolve('the journal'),
      health: (signal) => health(signal, clock),
      clock,
      signal: undefined,
    });
    return { verdict, looks: count, waited: clock.now() - begin };
  }
  /** Passes or fails when the clock has gone on for so long. */
  const after =
    (ms: number, verdict: HealthVerdict): Checked['health'] =>
    async (_signal, clock) => {
      const end = clock.now() + ms;
      while (clock.now() < end) await Promise.resolve();
      return verdict;
    };
  const never: Checked['health'] = (signal) =>
    new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('ended'))));

  it('is good when both have passed, whichever is later', async () => {
    expect(await check({ health: after(0, { healthy: true }) })).toMatchObject({
      verdict: { ok: true },
      waited: 1000,
    });
    const late = await check({ health: after(3000, { healthy: true }) });
    expect(late.verdict).toEqual({ ok: true });
    expect(late.waited).toBeGreaterThanOrEqual(3000);
  });

  it('is bad when its check has failed, though it stays up; its last words are told', async () => {
    const health = after(2000, { healthy: false, reason: 'its health check failed', output: 'no database' });
    expect((await check({ health })).verdict).toEqual({
      ok: false,
      reason: 'its health check failed',
      journal: 'the journal\nThe health check said:\nno database',
    });
  });

  it('is bad at once when it dies meanwhile, and its check is ended', async () => {
    let ended = false;
    const health: Checked['health'] = (signal, clock) => {
      signal.addEventListener('abort', () => (ended = true));
      return never(signal, clock);
    };
    expect((await check({ looks: [UP, UP, FAILED], health })).verdict).toEqual(
      failure('its program ended with status 1'),
    );
    expect(ended).toBe(true);
  });

  it('has to be the same one that was checked', async () => {
    let passed = false;
    const health: Checked['health'] = async () => {
      await Promise.resolve();
      passed = true;
      return { healthy: true };
    };
    const clock = new FakeClock();
    const verdict = await waitSettled({
      settleMs: 0,
      deadline: Infinity,
      look: () => Promise.resolve(passed ? { ...UP, NRestarts: '1', InvocationID: 'a2' } : UP),
      journal: () => Promise.resolve(''),
      health: (signal) => health(signal, clock),
      clock,
      signal: undefined,
    });
    expect(verdict).toMatchObject({ ok: false, reason: expect.stringContaining('had to restart it') });
  });

  it('is not asked before it is up, nor when all that it had to do is done', async () => {
    const health: Checked['health'] = () => Promise.reject(new Error('not asked for'));
    const ended = { ...UP, Type: 'oneshot', ActiveState: 'inactive', SubState: 'dead' };
    expect((await check({ looks: [STARTING, FAILED], health })).verdict.ok).toBe(false);
    expect((await check({ looks: [ended], health })).verdict).toEqual({ ok: true });
    expect((await check({ looks: [{ ...UP, Type: 'oneshot' }], health })).verdict).toEqual({ ok: true });
  });

  it('gives up with what its check throws', async () => {
    const health: Checked['health'] = () => Promise.reject(new Error('a defect'));
    await expect(check({ health })).rejects.toThrow('a defect');
  });
});

describe('a wait that is given up', () => {
  it('throws what it was given up for', async () => {
    const reason = new AtomicError('interrupted', 'stopped by SIGINT');
    const settling = {
      settleMs: 1000,
      deadline: Infinity,
      look: () => Promise.resolve(UP),
      journal: () => Promise.resolve(''),
      clock: new FakeClock(),
    };
    await expect(waitSettled({ ...settling, signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const abort = new AbortController();
    const look = (): Promise<Look> => {
      abort.abort();
      return Promise.resolve(UP);
    };
    await expect(waitSettled({ ...settling, look, signal: abort.signal })).rejects.toMatchObject({
      code: 'interrupted',
    });
  });
});
