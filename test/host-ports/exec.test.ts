import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AtomicError } from '../../src/errors.ts';
import { createExec } from '../../src/host/exec.ts';
import type { Exec } from '../../src/host/ports.ts';
import { CHILD_OUTPUT_BYTES } from '../../src/limits.ts';

const exec = createExec({ PATH: '/usr/bin:/bin', HOME: '/root', LANG: 'de_DE.UTF-8', LANGUAGE: 'de' });
const shell = (script: string, ...args: string[]): string[] => ['-c', script, '_', ...args];

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atomic-exec-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function failureOf(promise: Promise<unknown>): Promise<AtomicError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof AtomicError) return error;
  throw new Error(`expected an AtomicError, got ${String(error)}`);
}

/** Whether a process is there and not merely a corpse that nobody has collected yet. */
async function isRunning(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return stat !== '' && !/\) [ZX] /.test(stat);
}

async function until(check: () => Promise<boolean>): Promise<void> {
  while (!(await check())) await wait(10);
}

/** Endless chunks, until someone has enough. */
function endless(): Readable {
  const chunk = Buffer.alloc(65536, 0x61);
  return new Readable({
    read() {
      this.push(chunk);
    },
  });
}

describe('run', () => {
  it('gives back status, output and error output apart', async () => {
    expect(await exec.run('sh', shell('echo out; echo err >&2'))).toEqual({
      exitCode: 0,
      stdout: 'out\n',
      stderr: 'err\n',
    });
  });

  it('passes arguments as they are, without a shell', async () => {
    const { stdout } = await exec.run('printf', ['%s|', '$HOME', '; ls', '`x`', 'a b', '']);
    expect(stdout).toBe('$HOME|; ls|`x`|a b||');
  });

  it('feeds a text to standard input, and nothing when there is none', async () => {
    expect((await exec.run('cat', [], { input: 'grüße' })).stdout).toBe('grüße');
    expect((await exec.run('cat', [])).stdout).toBe('');
  });

  it('gives programs a fixed locale, the sbin folders, and no message to systemd', async () => {
    const own = createExec({ PATH: '/usr/bin:.::/bin', LANGUAGE: 'de', NOTIFY_SOCKET: '/run/x', KEPT: '1' });
    const { stdout } = await own.run('/usr/bin/env', [], { env: { ADDED: '2', KEPT: undefined } });
    expect(stdout.trim().split('\n').sort()).toEqual([
      'ADDED=2',
      'LC_ALL=C.UTF-8',
      'PATH=/usr/bin:/bin:/usr/sbin:/sbin',
    ]);
  });

  it('fails with the last line in the sentence and the lines before it in the details', async () => {
    const error = await failureOf(exec.run('sh', shell('printf "one\\ntwo \\033[31mred\\n" >&2; exit 3')));
    expect(error.code).toBe('command-failed');
    expect(error.message).toBe('sh failed (exit status 3): two \\u001b[31mred');
    expect(error.details).toBe('one\ntwo \\u001b[31mred');
  });

  it('never shows arguments that may hold secrets', async () => {
    const error = await failureOf(exec.run('sh', shell('exit 1', '--password=hunter2')));
    expect(`${error.message}${error.details ?? ''}`).not.toContain('hunter2');
  });

  it('takes other exit statuses for an answer when told so', async () => {
    expect((await exec.run('sh', shell('exit 3'), { accept: [0, 3] })).exitCode).toBe(3);
    expect((await failureOf(exec.run('true', [], { accept: [3] }))).code).toBe('command-failed');
  });

  it('says which signal ended a program', async () => {
    expect((await failureOf(exec.run('sh', shell('kill -SEGV $$')))).message).toBe(
      'sh failed (ended by SIGSEGV)',
    );
  });

  it.each([
    ['error: Writing object: No space left on device', 'disk-full'],
    ["error: min-free-space-percent '3%' would be exceeded", 'disk-full'],
    ['error: No such ref', 'command-failed'],
  ])('takes "%s" for %s', async (line, code) => {
    expect((await failureOf(exec.run('sh', shell('echo "$1" >&2; exit 1', line)))).code).toBe(code);
  });

  it('names the package of a program that is missing', async () => {
    const missing = createExec({ PATH: folder });
    const error = await failureOf(missing.run(join(folder, 'ostree'), []));
    expect(error.code).toBe('tool-missing');
    expect(error.hint).toBe('Install it: dnf install ostree, or apt-get install ostree.');
    expect((await failureOf(missing.run(join(folder, 'flock'), []))).hint).toContain('util-linux');
  });

  it('does not blame the program for a folder that is missing', async () => {
    const error = await failureOf(exec.run('true', [], { cwd: join(folder, 'nowhere') }));
    expect(error.code).toBe('command-failed');
    expect(error.message).toContain('there is no such folder');
  });

  it('cuts off output above the limit and lets the program end', async () => {
    const script = `head -c ${CHILD_OUTPUT_BYTES + 100000} /dev/zero; echo done >&2`;
    const { stdout, stderr } = await exec.run('sh', shell(script));
    expect(stdout.length).toBe(CHILD_OUTPUT_BYTES);
    expect(stderr).toBe('done\n');
  });

  it('keeps the end of a long error output', async () => {
    const script = `head -c ${3 * CHILD_OUTPUT_BYTES} /dev/zero >&2; echo last >&2`;
    const { stderr } = await exec.run('sh', shell(script));
    expect(stderr.length).toBe(CHILD_OUTPUT_BYTES);
    expect(stderr.endsWith('last\n')).toBe(true);
  });

  it('ends a program, and what that has started, when its time is over', async () => {
    const file = join(folder, 'pid');
    const error = await failureOf(
      exec.run('sh', shell('sleep 1000 & echo $! >"$1"; wait', file), { timeoutMs: 300 }),
    );
    expect(error.message).toBe('sh did not end within 0.3 seconds');
    await until(async () => !(await isRunning(Number(await readFile(file, 'utf8')))));
  });
});

describe('run, given up through a signal', () => {
  it('ends the program and says that it was interrupted', async () => {
    const abort = new AbortController();
    const running = failureOf(exec.run('sleep', ['1000'], { signal: abort.signal }));
    await wait(50);
    abort.abort();
    expect((await running).code).toBe('interrupted');
  });

  it('throws the reason when that is an error of ours', async () => {
    const reason = new AtomicError('interrupted', 'stopped by SIGINT');
    expect(await failureOf(exec.run('sleep', ['1000'], { signal: AbortSignal.abort(reason) }))).toBe(reason);
  });

  it('starts nothing when it was given up before', async () => {
    const file = join(folder, 'touched');
    await failureOf(exec.run('touch', [file], { signal: AbortSignal.abort() }));
    await expect(readFile(file)).rejects.toThrow('ENOENT');
  });

  it('kills a program that is fed by a stream, so that it sees no end of its input', async () => {
    const file = join(folder, 'committed');
    const abort = new AbortController();
    const source = endless();
    const running = failureOf(
      exec.run('sh', shell('trap "" TERM; cat >/dev/null; touch "$1"', file), {
        inputStream: source,
        signal: abort.signal,
      }),
    );
    await wait(100);
    abort.abort();
    expect((await running).code).toBe('interrupted');
    expect(source.destroyed).toBe(true);
    await expect(readFile(file)).rejects.toThrow('ENOENT');
  });
});

describe('run with an input stream', () => {
  it('carries every byte in order', async () => {
    const chunks = Array.from({ length: 300 }, (_, i) => Buffer.alloc(70_000, i % 251));
    const { stdout } = await exec.run('sha256sum', [], { inputStream: Readable.from(chunks) });
    const { createHash } = await import('node:crypto');
    expect(stdout.slice(0, 64)).toBe(createHash('sha256').update(Buffer.concat(chunks)).digest('hex'));
  });

  it('waits for a slow program instead of filling memory', async () => {
    let given = 0;
    const source = new Readable({
      highWaterMark: 65536,
      read() {
        given += 65536;
        this.push(given > 64 * 1024 * 1024 ? null : Buffer.alloc(65536));
      },
    });
    const running = exec.run('sh', shell('sleep 0.5; cat >/dev/null'), { inputStream: source });
    await wait(300);
    expect(given).toBeLessThan(4 * 1024 * 1024);
    await running;
    expect(given).toBeGreaterThan(64 * 1024 * 1024);
  });

  it('kills the program when the stream fails, and rethrows the error as it was', async () => {
    const file = join(folder, 'committed');
    const broken = new AtomicError('digest-mismatch', 'the layer is not what it should be');
    const source = new Readable({ read() {} });
    source.push('half');
    setTimeout(() => source.destroy(broken), 100);
    const running = exec.run('sh', shell('cat >/dev/null; touch "$1"', file), { inputStream: source });
    await expect(running).rejects.toBe(broken);
    await expect(readFile(file)).rejects.toThrow('ENOENT');
  });

  it('rethrows the error of a stream that had failed before', async () => {
    const broken = new Error('early');
    const source = new Readable({ read() {} });
    source.destroy(broken);
    await expect(exec.run('cat', [], { inputStream: source })).rejects.toBe(broken);
  });

  it('takes a stream that closes without an end for broken', async () => {
    const source = new Readable({ read() {} });
    setTimeout(() => source.destroy(), 50);
    expect((await failureOf(exec.run('cat', [], { inputStream: source }))).code).toBe('stream-broken');
  });

  it('reports what the program said and not EPIPE when it dies first', async () => {
    const source = endless();
    const error = await failureOf(
      exec.run('sh', shell('head -c 10 >/dev/null; echo "error: bad tar" >&2; exit 1'), {
        inputStream: source,
      }),
    );
    expect(error.message).toBe('sh failed (exit status 1): error: bad tar');
    expect(source.destroyed).toBe(true);
  });

  it('ends the stream when there is no such program', async () => {
    const source = endless();
    expect((await failureOf(exec.run(join(folder, 'none'), [], { inputStream: source }))).code).toBe(
      'tool-missing',
    );
    expect(source.destroyed).toBe(true);
  });

  it('reads a stream to its end though the program stopped early, and believes its late error', async () => {
    const late = new Error('the digest is wrong');
    const source = (fails: boolean): Readable => {
      let count = 0;
      return new Readable({
        read() {
          if (count++ < 100) this.push(Buffer.alloc(65536));
          else if (fails) this.destroy(late);
          else this.push(null);
        },
      });
    };
    const takeTen = ['-c', '10'];
    await expect(exec.run('head', takeTen, { inputStream: source(true) })).rejects.toBe(late);
    expect((await exec.run('head', takeTen, { inputStream: source(false) })).stdout.length).toBe(10);
  });
});

describe('filter', () => {
  it('is a stream through a program', async () => {
    const filter = exec.filter('tr', ['a-z', 'A-Z']);
    const big = 'abc'.repeat(300_000);
    Readable.from([Buffer.from(big)]).pipe(filter);
    expect((await buffer(filter)).toString()).toBe(big.toUpperCase());
  });

  it('fails before its end when the program fails', async () => {
    const filter = exec.filter('sh', shell('cat; echo "corrupt" >&2; exit 4'));
    filter.end('data');
    const seen: string[] = [];
    filter.on('data', (chunk: Buffer) => seen.push(chunk.toString()));
    filter.on('end', () => seen.push('END'));
    const error = await new Promise<Error>((resolve) => filter.on('error', resolve));
    expect(error.message).toBe('sh failed (exit status 4): corrupt');
    expect(seen).toEqual(['data']);
  });

  it('goes on when the program has had enough', async () => {
    const filter = exec.filter('head', ['-c', '3']);
    Readable.from(Array.from({ length: 50 }, () => Buffer.alloc(65536, 0x78))).pipe(filter);
    expect((await buffer(filter)).toString()).toBe('xxx');
  });

  it('fails as tool-missing when there is no such program', async () => {
    const filter = exec.filter(join(folder, 'zstd'), []);
    const error = await new Promise<unknown>((resolve) => filter.on('error', resolve));
    expect(error).toMatchObject({ code: 'tool-missing' });
  });

  it('kills the program when it is destroyed', async () => {
    const file = join(folder, 'pid');
    const filter = exec.filter('sh', shell('echo $$ >"$1"; exec sleep 1000', file));
    await until(async () => (await readFile(file, 'utf8').catch(() => '')).endsWith('\n'));
    const pid = Number(await readFile(file, 'utf8'));
    expect(await isRunning(pid)).toBe(true);
    filter.destroy();
    await until(async () => !(await isRunning(pid)));
  });
});

describe('find', () => {
  it('finds programs in PATH, in the sbin folders and by their path', async () => {
    expect(await exec.find('sh')).toBe('/usr/bin/sh');
    expect(await createExec({ PATH: '/nowhere' }).find('ldconfig')).toMatch(/sbin\/ldconfig$/);
    expect(await exec.find('/bin/sh')).toBe('/bin/sh');
  });

  it('does not take folders, plain files or files of the current folder', async () => {
    await writeFile(join(folder, 'plain'), '');
    const here = createExec({ PATH: `${folder}:.:` });
    expect(await here.find('plain')).toBeUndefined();
    expect(await here.find('package.json')).toBeUndefined();
    expect(await here.find(folder)).toBeUndefined();
  });
});

describe('attach', () => {
  it('hands over a text in a file without a name', async () => {
    const read = 'test "$(cat /proc/self/fd/3)" = "a b" && exec readlink /proc/self/fd/3 >"$0"';
    const seen = join(folder, 'seen');
    expect(await exec.attach('sh', ['-c', read, seen], { document: 'a b' })).toBe(0);
    expect(await readFile(seen, 'utf8')).toMatch(/ \(deleted\)\n$/);
  });

  it('leaves no stream of ours to one that is silent', async () => {
    const seen = join(folder, 'streams');
    const list = 'for fd in 0 1 2; do readlink /proc/self/fd/$fd >>"$0"; done';
    expect(await exec.attach('sh', ['-c', list, seen], { silent: true })).toBe(0);
    // Each readlink has its own standard output.
    expect(await readFile(seen, 'utf8')).toBe(`/dev/null\n${seen}\n/dev/null\n`);
  });

  it('gives back the exit status', async () => {
    expect(await exec.attach('sh', shell('exit 7'))).toBe(7);
  });

  it('gives back 128 and the number of the signal that ended the program', async () => {
    expect(await exec.attach('sh', shell('kill -TERM $$'))).toBe(143);
  });

  it('fails as tool-missing when there is no such program', async () => {
    expect((await failureOf(exec.attach(join(folder, 'none'), []))).code).toBe('tool-missing');
  });
});

describe('a program that ends with us', () => {
  /** A folder of programs, for a PATH that has no others. */
  async function programs(files: Readonly<Record<string, string>>): Promise<Exec> {
    for (const [name, script] of Object.entries(files)) {
      await writeFile(join(folder, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    }
    return createExec({ PATH: folder });
  }

  it('is run by way of setpriv, with our process for its parent, and fails under its own name', async () => {
    const tied = createExec({ PATH: '/usr/bin:/bin' });
    const { stdout } = await tied.run('sh', shell('echo "$PPID $1"', 'a b'), { endWithUs: true });
    expect(stdout).toBe(`${process.pid} a b\n`);
    const failed = await failureOf(tied.run('sh', shell('echo why >&2; exit 3'), { endWithUs: true }));
    expect(failed).toMatchObject({ code: 'command-failed', message: 'sh failed (exit status 3): why' });
  });

  it('that is missing is told as missing, and not as a failure of setpriv', async () => {
    const tied = createExec({ PATH: '/usr/bin:/bin' });
    const failed = await failureOf(tied.run('no-such-program', [], { endWithUs: true }));
    expect(failed).toMatchObject({
      code: 'tool-missing',
      message: 'Cannot run no-such-program: it is not installed',
    });
  });

  it.each([
    ['there is none', undefined],
    ['it is too old', 'echo "setpriv: unrecognized option \'--pdeathsig\'" >&2; exit 1'],
  ])('is run all the same where setpriv cannot see to that: %s', async (_why, setpriv) => {
    const few = await programs({ work: 'echo done', ...(setpriv === undefined ? {} : { setpriv }) });
    expect((await few.run('work', [], { endWithUs: true })).stdout).toBe('done\n');
  });
});
