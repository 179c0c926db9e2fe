import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AtomicError } from '../../src/errors.ts';
import { createExec } from '../../src/host/exec.ts';
import { createLocks } from '../../src/host/locks.ts';
import type { HeldLock, LockRequest } from '../../src/host/ports.ts';

const ENVIRONMENT = { PATH: '/usr/bin:/bin' };
const locks = createLocks('atomic-ts update', ENVIRONMENT);
const exec = createExec(ENVIRONMENT);
let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atomic-locks-'));
  path = join(folder, 'run', 'lock');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const acquire = (mode: LockRequest['mode'], waitMs = 0, more: Partial<LockRequest> = {}): Promise<HeldLock> =>
  locks.acquire({ path, mode, waitMs, purpose: 'change the container spc', ...more });

/** The sentence of who comes too late. */
async function refusal(mode: LockRequest['mode'] = 'exclusive'): Promise<string> {
  const error: unknown = await acquire(mode).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof AtomicError && error.code === 'busy') return error.message;
  throw new Error(`expected to be refused, got ${String(error)}`);
}

const ended = (child: ChildProcess): Promise<unknown> =>
  new Promise((resolve) => child.once('close', resolve));

describe('locks', () => {
  it('gives an exclusive lock to one holder, and again after its release', async () => {
    const held = await acquire('exclusive');
    await expect(acquire('exclusive')).rejects.toMatchObject({ code: 'busy' });
    await held.release();
    await (await acquire('exclusive')).release();
  });

  it('names the holder by its pid, its command and since when, and says how to wait', async () => {
    const held = await acquire('exclusive');
    await expect(acquire('shared')).rejects.toMatchObject({
      message: expect.stringMatching(
        new RegExp(
          `^Cannot change the container spc: process ${process.pid} \\(atomic-ts update, since \\d\\d:\\d\\d\\) is at it$`,
        ),
      ),
      hint: expect.stringContaining('--wait'),
    });
    await held.release();
  });

  it('tells the day when that is not today', async () => {
    const held = await acquire('exclusive');
    const record = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
    await writeFile(path, JSON.stringify({ ...record, since: new Date(2026, 0, 2, 3, 4).getTime() }));
    expect(await refusal()).toContain('since 2026-01-02 03:04)');
    await held.release();
  });

  it('does not name a process that has ended, nor one that has its number since', async () => {
    const first = await acquire('shared');
    const gone = spawn('true');
    await ended(gone);
    for (const [pid, started] of [
      [gone.pid, '1'],
      [1, 'another'],
    ]) {
      await writeFile(path, JSON.stringify({ pid, started, program: 'atomic-ts pull', since: 0 }));
      expect(await refusal()).toMatch(
        new RegExp(`^Cannot change the container spc: process ${process.pid} \\(.+\\) is at it$`),
      );
    }
    await first.release();
  });

  it.each(['', 'no JSON', '{"pid":"1"}'])('finds the holder although its file says %j', async (text) => {
    const held = await acquire('exclusive');
    await writeFile(path, text);
    expect(await refusal()).toContain(`process ${process.pid} (`);
    await held.release();
  });

  it('gives a shared lock to many, and not beside an exclusive one', async () => {
    const one = await acquire('shared');
    const two = await acquire('shared');
    await one.release();
    await expect(acquire('exclusive')).rejects.toMatchObject({ code: 'busy' });
    await two.release();
    await (await acquire('exclusive')).release();
  });

  it('waits for a lock that is released in time', async () => {
    const held = await acquire('exclusive');
    let isFree = false;
    const waiting = acquire('exclusive', 60_000);
    setTimeout(() => void held.release().then(() => (isFree = true)), 100);
    const second = await waiting;
    expect(isFree).toBe(true);
    await second.release();
  });

  it('gives up when its time is over', async () => {
    const held = await acquire('exclusive');
    await expect(acquire('exclusive', 50)).rejects.toMatchObject({ code: 'busy' });
    await held.release();
  });

  it('gives up when it is told to, and holds nothing then', async () => {
    const held = await acquire('exclusive');
    const controller = new AbortController();
    const waiting = acquire('exclusive', 60_000, { signal: controller.signal });
    setTimeout(() => controller.abort(new AtomicError('interrupted', 'stop')), 100);
    await expect(waiting).rejects.toMatchObject({ code: 'interrupted' });
    await expect(acquire('exclusive', 0, { signal: controller.signal })).rejects.toThrow('stop');
    await held.release();
    await (await acquire('exclusive')).release();
  });

  it('releases once, however often it is told to', async () => {
    const held = await acquire('exclusive');
    await held.release();
    const next = await acquire('exclusive');
    await held.release();
    await expect(acquire('exclusive')).rejects.toMatchObject({ code: 'busy' });
    await next.release();
  });

  it('says which package has flock', async () => {
    const bare = createLocks('x', { PATH: folder });
    const request = { path, mode: 'exclusive', waitMs: 0, purpose: 'x' } as const;
    await expect(bare.acquire(request)).rejects.toMatchObject({ code: 'tool-missing' });
  });

  it('does not follow a link in place of the lock file', async () => {
    const link = join(folder, 'link');
    await symlink('/etc/passwd', link);
    await expect(acquire('exclusive', 0, { path: link })).rejects.toThrow('it is a symbolic link');
  });
});

describe('a passing lock', () => {
  const take = (waitMs = 0, more: Partial<LockRequest> = {}): Promise<HeldLock> =>
    acquire('exclusive', waitMs, { passing: true, ...more });

  it('takes its file with it, and is again one for all who come then', async () => {
    const held = await take();
    await expect(take()).rejects.toMatchObject({ code: 'busy' });
    const waiting = [take(Infinity), take(60_000)];
    await held.release();
    const next = await Promise.race(waiting);
    await expect(take()).rejects.toMatchObject({ code: 'busy' });
    await next.release();
    for (const lock of await Promise.all(waiting)) await lock.release();
    expect(await readdir(join(folder, 'run'))).toEqual([]);
  });

  it('is nobody else’s, whatever is run meanwhile', async () => {
    const held = await take();
    const { stdout } = await exec.run('ls', ['-l', '/proc/self/fd']);
    expect(stdout).not.toContain(path);
    await held.release();
  });

  it('is not waited for any longer than it is told to, however long that is', async () => {
    const held = await take();
    const controller = new AbortController();
    const waiting = take(Infinity, { signal: controller.signal });
    setTimeout(() => controller.abort(new AtomicError('interrupted', 'stop')), 100);
    await expect(waiting).rejects.toMatchObject({ code: 'interrupted' });
    await held.release();
    await (await take()).release();
  });
});

describe('a program that is run while a lock is held', () => {
  it('keeps it, in whichever way it was started, until it has ended', async () => {
    const count = 'ls -l /proc/self/fd | grep -c " $1$" || true';
    const held = await acquire('exclusive');
    const shell = ['-c', count, 'sh', path];
    expect((await exec.run('sh', shell)).stdout).toBe('1\n');
    let text = '';
    for await (const chunk of exec.filter('sh', shell).end()) text += String(chunk);
    expect(text).toBe('1\n');
    const attached = ['-c', `ls -l /proc/self/fd | grep -q " $1$"`, 'sh', path];
    expect(await exec.attach('sh', attached)).toBe(0);
    await held.release();
    expect((await exec.run('sh', shell)).stdout).toBe('0\n');
    expect(await exec.attach('sh', attached)).toBe(1);
  });
});
