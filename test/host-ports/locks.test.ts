import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createLocks } from '../../src/host/locks.ts';

const locks = createLocks({ PATH: '/usr/bin:/bin' });
let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atomic-locks-'));
  path = join(folder, 'run', 'lock');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('locks', () => {
  it('gives an exclusive lock to one holder, and again after its release', async () => {
    const held = await locks.acquire(path, 'exclusive', 0);
    await expect(locks.acquire(path, 'exclusive', 0)).rejects.toMatchObject({ code: 'busy' });
    await held.release();
    await (await locks.acquire(path, 'exclusive', 0)).release();
  });

  it('names the holder by its pid', async () => {
    const held = await locks.acquire(path, 'exclusive', 0);
    expect(await readFile(path, 'utf8')).toBe(`${process.pid}\n`);
    await expect(locks.acquire(path, 'shared', 0)).rejects.toThrow(
      `Cannot lock ${path}: process ${process.pid} holds it`,
    );
    await held.release();
  });

  it('does not name a process that has ended', async () => {
    const first = await locks.acquire(path, 'shared', 0);
    const gone = spawn('true');
    await new Promise((resolve) => gone.once('close', resolve));
    await writeFile(path, `${gone.pid}\n`);
    await expect(locks.acquire(path, 'exclusive', 0)).rejects.toThrow('another process holds it');
    await first.release();
  });

  it('gives a shared lock to many, and not beside an exclusive one', async () => {
    const one = await locks.acquire(path, 'shared', 0);
    const two = await locks.acquire(path, 'shared', 0);
    await one.release();
    await expect(locks.acquire(path, 'exclusive', 0)).rejects.toMatchObject({ code: 'busy' });
    await two.release();
    await (await locks.acquire(path, 'exclusive', 0)).release();
  });

  it('waits for a lock that is released in time', async () => {
    const held = await locks.acquire(path, 'exclusive', 0);
    const waiting = locks.acquire(path, 'exclusive', 60_000);
    setTimeout(() => void held.release(), 100);
    const second = await waiting;
    expect(await readFile(path, 'utf8')).toBe(`${process.pid}\n`);
    await second.release();
  });

  it('gives up when its time is over', async () => {
    const held = await locks.acquire(path, 'exclusive', 0);
    await expect(locks.acquire(path, 'exclusive', 50)).rejects.toMatchObject({ code: 'busy' });
    await held.release();
  });

  it('releases once, however often it is told to', async () => {
    const held = await locks.acquire(path, 'exclusive', 0);
    await held.release();
    const next = await locks.acquire(path, 'exclusive', 0);
    await held.release();
    await expect(locks.acquire(path, 'exclusive', 0)).rejects.toMatchObject({ code: 'busy' });
    await next.release();
  });

  it('says which package has flock', async () => {
    const bare = createLocks({ PATH: folder });
    await expect(bare.acquire(path, 'exclusive', 0)).rejects.toMatchObject({ code: 'tool-missing' });
  });

  it('does not follow a link in place of the lock file', async () => {
    const link = join(folder, 'link');
    await symlink('/etc/passwd', link);
    await expect(locks.acquire(link, 'exclusive', 0)).rejects.toThrow('it is a symbolic link');
  });
});
