/** The host's ports against the real programs: ostree, flock, runc, systemd-analyze, and our own process dying. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createExec } from '../../src/host/exec.ts';
import { createLocks } from '../../src/host/locks.ts';
import { findRuntime } from '../../src/service/oci-runtime.ts';
import { verifyUnit } from '../../src/service/systemd.ts';

const exec = createExec();
let folder: string;
const started: ChildProcess[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atomic-host-'));
  // A process of its own that can be killed: node 20 does not read TypeScript.
  await build({
    stdin: {
      contents: `export { createExec } from './src/host/exec.ts'; export { createLocks } from './src/host/locks.ts';`,
      resolveDir: join(import.meta.dirname, '../..'),
    },
    bundle: true,
    platform: 'node',
    format: 'esm',
    outfile: join(folder, 'host.mjs'),
    banner: {
      js: `import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);`,
    },
  });
});
afterAll(async () => {
  for (const child of started) child.kill('SIGKILL');
  await rm(folder, { recursive: true, force: true });
});

/** Runs a script in a process group of its own, with the host's ports at hand; resolves when it has said something. */
async function startScript(script: string): Promise<{ child: ChildProcess; said: () => string }> {
  const source = `import { createExec, createLocks } from ${JSON.stringify(join(folder, 'host.mjs'))};\n${script}`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  started.push(child);
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  await new Promise((resolve) => child.stdout.once('data', resolve));
  return { child, said: () => output };
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    await new Promise((resolve) => child.once('close', resolve));
  }
}

async function until(check: () => Promise<boolean>): Promise<void> {
  while (!(await check())) await wait(20);
}

async function runsStill(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return stat !== '' && !/\) [ZX] /.test(stat);
}

describe('a lock', () => {
  const request = (path: string, waitMs = 0) =>
    ({ path, mode: 'exclusive', waitMs, purpose: 'change the container spc' }) as const;
  const acquire = (path: string): string =>
    `await createLocks('atomic-ts install').acquire(${JSON.stringify(request(path))});`;

  it('dies with the process that holds it, however that dies', async () => {
    const path = join(folder, 'lock');
    const { child } = await startScript(`${acquire(path)} console.log('held'); setInterval(() => {}, 1000);`);
    const locks = createLocks('atomic-ts');
    await expect(locks.acquire(request(path))).rejects.toThrow(
      new RegExp(
        `^Cannot change the container spc: process ${child.pid} \\(atomic-ts install, since [0-9:]+\\) is at it$`,
      ),
    );
    child.kill('SIGKILL');
    await (await locks.acquire(request(path, 30_000))).release();
  });

  it('outlives that process until the last program that works for it has ended; whoever comes is told of both', async () => {
    const path = join(folder, 'inherited-lock');
    const { child } = await startScript(
      `${acquire(path)}
       void createExec().run('sh', ['-c', 'echo $$ >${folder}/orphan; exec sleep 1000']);
       console.log('held');`,
    );
    const orphan = join(folder, 'orphan');
    await until(async () => (await readFile(orphan, 'utf8').catch(() => '')).endsWith('\n'));
    const pid = Number(await readFile(orphan, 'utf8'));
    child.kill('SIGKILL');
    await ended(child);
    const locks = createLocks('atomic-ts');
    await expect(locks.acquire(request(path))).rejects.toThrow(
      new RegExp(
        `process ${child.pid} \\(atomic-ts install, since [0-9:]+\\) has died, and its child ${pid} \\(sleep\\) is still at work$`,
      ),
    );
    // Who has no time to wait for a living process may have some for what a dead one has left.
    const waiting = locks.acquire({ ...request(path), orphanWaitMs: 60_000 });
    process.kill(pid);
    await (await waiting).release();
  });

  it('of a living process is not waited for as if it had died', async () => {
    const path = join(folder, 'living-lock');
    const { child } = await startScript(`${acquire(path)} console.log('held'); setInterval(() => {}, 1000);`);
    const impatient = { ...request(path), orphanWaitMs: 3_600_000 };
    await expect(createLocks('atomic-ts').acquire(impatient)).rejects.toThrow(/is at it$/);
    child.kill('SIGKILL');
    await ended(child);
  });

  it('is not held by who waits for a program that another one works for, and dies', async () => {
    const path = join(folder, 'tied-lock');
    const { child } = await startScript(
      `${acquire(path)}
       void createExec().run('sh', ['-c', 'echo $$ >${folder}/tied; exec sleep 1000'], { endWithUs: true });
       console.log('held');`,
    );
    await until(async () => (await readFile(join(folder, 'tied'), 'utf8').catch(() => '')).endsWith('\n'));
    const pid = Number(await readFile(join(folder, 'tied'), 'utf8'));
    child.kill('SIGKILL');
    await (await createLocks('atomic-ts').acquire(request(path, 60_000))).release();
    expect(await runsStill(pid)).toBe(false);
  });
});

describe('programs that run for us', () => {
  it('do not hear Ctrl-C at the terminal', async () => {
    const { child, said } = await startScript(
      `process.on('SIGINT', () => console.log('we were told'));
       const running = createExec().run('sh', ['-c', 'echo $$ >${folder}/child; sleep 1; echo finished']);
       console.log('started');
       console.log((await running).stdout);`,
    );
    await until(async () => (await readFile(`${folder}/child`, 'utf8').catch(() => '')) !== '');
    process.kill(-(child.pid ?? 0), 'SIGINT');
    await ended(child);
    expect(said()).toContain('we were told');
    expect(said()).toContain('finished');
  });

  it('end when our process exits in their midst', async () => {
    const { child, said } = await startScript(
      `import { PassThrough } from 'node:stream';
       const exec = createExec();
       const source = new PassThrough();
       void exec.run('sh', ['-c', 'echo $$ >${folder}/fed; trap "" TERM; cat; touch ${folder}/saw-its-end'], { inputStream: source });
       void exec.run('sh', ['-c', 'echo $$ >${folder}/plain; sleep 1000']);
       setInterval(() => {}, 1000);
       process.on('SIGTERM', () => process.exit(3));
       console.log('started');`,
    );
    const pids: number[] = [];
    for (const name of ['fed', 'plain']) {
      await until(async () => (await readFile(join(folder, name), 'utf8').catch(() => '')).endsWith('\n'));
      pids.push(Number(await readFile(join(folder, name), 'utf8')));
    }
    child.kill('SIGTERM');
    await ended(child);
    expect(child.exitCode).toBe(3);
    expect(said()).toBe('started\n');
    for (const pid of pids) await until(async () => !(await runsStill(pid)));
    await expect(readFile(join(folder, 'saw-its-end'))).rejects.toThrow('ENOENT');
  });
});

describe('ostree', () => {
  const repo = (): string => `--repo=${join(folder, 'repo')}`;
  const commit = ['commit', '--branch=test', '--tree=tar=-', '--tar-autocreate-parents', '--fsync=false'];

  it('commits what it is fed whole, and nothing of a stream that fails', async () => {
    await exec.run('ostree', [repo(), 'init', '--mode=bare-user']);
    await mkdir(join(folder, 'tree'));
    for (let i = 0; i < 40; i++) await writeFile(join(folder, 'tree', `f${i}`), Buffer.alloc(100_000, i));
    const tar = execFileSync('tar', ['-C', join(folder, 'tree'), '-c', '.'], { maxBuffer: 1e8 });
    const broken = new Error('the digest is wrong');
    const half = Readable.from(
      (async function* () {
        // To the end of an entry: to a tar reader an end there looks like a whole archive.
        yield tar.subarray(0, 512 + 20 * (512 + 100_352));
        await wait(300);
        throw broken;
      })(),
    );
    await expect(exec.run('ostree', [...commit, repo()], { inputStream: half })).rejects.toBe(broken);
    expect((await exec.run('ostree', [repo(), 'refs'])).stdout).toBe('');
    const whole = Readable.from([tar]);
    const { stdout } = await exec.run('ostree', [...commit, repo()], { inputStream: whole });
    expect((await exec.run('ostree', [repo(), 'rev-parse', 'test'])).stdout).toBe(stdout);
  });

  it('is quoted when it fails', async () => {
    await expect(exec.run('ostree', [`--repo=${folder}/none`, 'refs'])).rejects.toMatchObject({
      code: 'command-failed',
      message: expect.stringMatching(/^ostree refs failed \(exit status 1\): error: /),
    });
    const garbage = Readable.from([Buffer.alloc(2_000_000, 0x41)]);
    await expect(exec.run('ostree', [...commit, repo()], { inputStream: garbage })).rejects.toMatchObject({
      code: 'command-failed',
      message: expect.stringMatching(/^ostree commit failed/),
    });
  });

  it('is not blamed for a full disk', async () => {
    await expect(exec.run('dd', ['if=/dev/zero', 'of=/dev/full', 'count=1'])).rejects.toMatchObject({
      code: 'disk-full',
    });
  });
});

describe('the programs of the host', () => {
  it('tell what they can do', async () => {
    const sources = { option: undefined, environment: undefined, conf: undefined };
    expect((await findRuntime(exec, sources)).path).toMatch(/^\/usr\/s?bin\/runc$/);
    for (const option of ['runc', 'crun']) {
      expect((await findRuntime(exec, { ...sources, option })).features).toEqual({
        systemdCgroup: true,
        pidFile: true,
      });
    }
    expect((await findRuntime(exec, { ...sources, option: '/bin/ls' })).features).toEqual({
      systemdCgroup: false,
      pidFile: false,
    });
  });

  it('judge units: what systemd ignores is no problem, what it refuses is', async () => {
    const unit = (lines: string): string => `[Service]\nExecStart=/nowhere/runc run x\n${lines}\n`;
    await writeFile(join(folder, 'mild.service'), unit('Restart=on-crash\nFoo=bar'));
    await writeFile(join(folder, 'bad.service'), unit('WorkingDirectory=relative'));
    await writeFile(join(folder, 'empty.service'), '[Service]\nExecStart=\n');
    expect(await verifyUnit(exec, join(folder, 'mild.service'))).toEqual([]);
    expect((await verifyUnit(exec, join(folder, 'bad.service'))).join()).toContain('not absolute');
    expect((await verifyUnit(exec, join(folder, 'empty.service'))).join()).toContain('Refusing');
  });
});
