import { describe, expect, it } from 'vitest';
import { AtomicError } from '../../src/errors.ts';
import { parseHealthcheck, type HealthCheck } from '../../src/image/health-check.ts';
import { probe, waitHealthy, type HealthVerdict, type Probe } from '../../src/service/health.ts';
import { FakeClock, FakeExec } from './fake-systemctl.ts';

const CHECK: HealthCheck = {
  command: ['/bin/check', '-q'],
  intervalMs: 5000,
  timeoutMs: 3000,
  startPeriodMs: 0,
  startIntervalMs: undefined,
  retries: 3,
};
const { signal } = new AbortController();

interface Watched {
  readonly verdict: HealthVerdict;
  readonly tries: number;
  readonly waited: number;
}

/** A check that fails until the clock says `healthyAt`, each try of which takes `takesMs`. */
async function watch(changes: Partial<HealthCheck>, healthyAt = Infinity, takesMs = 0): Promise<Watched> {
  const clock = new FakeClock();
  const begin = clock.now();
  let tries = 0;
  const attempt = (): Promise<Probe> => {
    tries += 1;
    clock.time += takesMs;
    const healthy = clock.now() - begin >= healthyAt;
    return Promise.resolve({ healthy, ending: `exit status ${tries}`, output: `try ${tries}` });
  };
  const verdict = await waitHealthy({ ...CHECK, ...changes }, attempt, { clock, signal });
  return { verdict, tries, waited: clock.now() - begin };
}

describe('a check', () => {
  it('that passes at once is asked once', async () => {
    expect(await watch({}, 0)).toEqual({ verdict: { healthy: true }, tries: 1, waited: 0 });
  });

  it('is asked each second, so that nobody waits for its interval', async () => {
    expect(await watch({}, 3500)).toEqual({ verdict: { healthy: true }, tries: 5, waited: 4000 });
  });

  it('is asked as often as the image says while it starts', async () => {
    expect(await watch({ startIntervalMs: 2000 }, 3500)).toMatchObject({ tries: 3, waited: 4000 });
    expect(await watch({ intervalMs: 100 }, 250)).toMatchObject({ tries: 4, waited: 300 });
  });

  it('has failed when it fails for as many intervals as it may, and no sooner', async () => {
    const { verdict, waited } = await watch({});
    expect(waited).toBe(15_000);
    expect(verdict).toEqual({
      healthy: false,
      reason: 'its health check failed 16 times, the last one with exit status 16',
      output: 'try 16',
    });
    expect((await watch({}, 15_000)).verdict).toEqual({ healthy: true });
  });

  it('does not fail within its start period', async () => {
    expect((await watch({ startPeriodMs: 60_000 }, 74_000)).verdict.healthy).toBe(true);
    expect((await watch({ startPeriodMs: 60_000 })).waited).toBe(75_000);
  });

  it('fails as often as it may, however long each try takes', async () => {
    const { tries, waited, verdict } = await watch({ intervalMs: 1000 }, Infinity, 30_000);
    expect([tries, waited]).toEqual([3, 90_002]);
    expect(verdict.healthy).toBe(false);
  });

  it('that may not fail even once is told of so', async () => {
    const { verdict } = await watch({ retries: 1, intervalMs: 1 });
    expect(verdict).toMatchObject({ reason: expect.stringMatching(/failed( 2 times.*)? with exit status/) });
  });

  it('that is given up throws what it was given up for', async () => {
    const reason = new AtomicError('interrupted', 'stopped');
    const attempt = (): Promise<Probe> => Promise.reject(reason);
    await expect(waitHealthy(CHECK, attempt, { clock: new FakeClock(), signal })).rejects.toBe(reason);
  });
});

describe('one try', () => {
  const gate = { runtime: '/usr/bin/runc', container: 'web', check: CHECK };

  it('runs the command in the container, and no longer than it may', async () => {
    const exec = new FakeExec(() => 'all is well\n');
    expect(await probe(exec, gate, signal)).toEqual({
      healthy: true,
      ending: 'exit status 0',
      output: 'all is well',
    });
    expect(exec.lines).toEqual(['/usr/bin/runc exec web /bin/check -q']);
    expect(exec.calls[0]?.options).toMatchObject({ timeoutMs: 3000, signal });
  });

  it('that ends with another status has failed; the end of what it said is kept', async () => {
    const exec = new FakeExec(() => ({ exitCode: 5, stderr: `${'x'.repeat(5000)} last words` }));
    const { healthy, ending, output } = await probe(exec, gate, signal);
    expect([healthy, ending, output.length]).toEqual([false, 'exit status 5', 4096]);
    expect(output).toMatch(/ last words$/);
  });

  it('of a runtime that is gone, or that takes too long, has failed', async () => {
    const exec = new FakeExec(() => ({ exitCode: 127, stderr: '' }));
    expect(await probe(exec, gate, signal)).toMatchObject({
      healthy: false,
      ending: expect.stringContaining('not installed'),
    });
  });

  it('that was interrupted is none', async () => {
    const exec = new FakeExec();
    exec.run = () => Promise.reject(new AtomicError('interrupted', 'stopped'));
    await expect(probe(exec, gate, signal)).rejects.toThrow('stopped');
  });
});

describe('a Healthcheck of an image', () => {
  it('is read as Docker writes it', () => {
    expect(
      parseHealthcheck({
        Test: ['CMD', '/bin/check', '-q'],
        Interval: 5_000_000_000,
        Timeout: 3_000_000_000,
        StartPeriod: 1_500_000_000,
        StartInterval: 250_000_000,
        Retries: 4,
      }),
    ).toEqual({ ...CHECK, startPeriodMs: 1500, startIntervalMs: 250, retries: 4 });
    expect(parseHealthcheck({ Test: ['CMD-SHELL', 'curl -f localhost || exit 1'] })).toEqual({
      command: ['/bin/sh', '-c', 'curl -f localhost || exit 1'],
      intervalMs: 30_000,
      timeoutMs: 30_000,
      startPeriodMs: 0,
      startIntervalMs: undefined,
      retries: 3,
    });
  });

  it.each([
    undefined,
    null,
    'curl',
    [],
    {},
    { Test: [] },
    { Test: ['NONE'] },
    { Test: ['CMD'] },
    { Test: ['CMD-SHELL'] },
    { Test: 'CMD true' },
    { Test: ['CMD', 1] },
    { Test: ['OTHER', 'x'] },
  ])('%j is none', (value) => {
    expect(parseHealthcheck(value).command).toEqual([]);
  });

  it.each([-1, 0, Number.NaN, 'x', null, 1.5])('times and counts of %j are Docker’s own', (value) => {
    const parsed = parseHealthcheck({ Test: ['CMD', 'x'], Retries: value, Timeout: value });
    expect(parsed.retries).toBe(3);
    expect(parsed.timeoutMs).toBe(value === 1.5 ? 1 : 30_000);
  });

  it('can make nobody wait for long', () => {
    const parsed = parseHealthcheck({
      Test: ['CMD', 'x'],
      Interval: 1e30,
      Timeout: 1e30,
      StartPeriod: 1e30,
      StartInterval: 1e30,
      Retries: 1e9,
    });
    expect(parsed).toEqual({
      command: ['x'],
      intervalMs: 600_000,
      timeoutMs: 600_000,
      startPeriodMs: 3_600_000,
      startIntervalMs: 600_000,
      retries: 100,
    });
  });
});
