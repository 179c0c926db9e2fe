import { execFile, spawn } from 'node:child_process';
import { readdir, readFile, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bootHost, type Host } from '../host/host.ts';

const UNITS = '/etc/systemd/system';

/** A bundle as an operator would write it by hand: busybox alone on a read-only root, in the host's network. */
const BUNDLE = {
  ociVersion: '1.0.2',
  root: { path: 'rootfs', readonly: true },
  process: {
    cwd: '/',
    user: { uid: 0, gid: 0 },
    env: ['PATH=/bin'],
    args: [
      '/bin/busybox',
      'sh',
      '-c',
      'trap "exit 0" TERM; echo up >/out/state; while :; do sleep 0.1; done',
    ],
  },
  mounts: [
    { destination: '/proc', type: 'proc', source: 'proc' },
    { destination: '/out', type: 'bind', source: '/run/hello', options: ['bind'] },
  ],
  linux: { namespaces: [{ type: 'pid' }, { type: 'mount' }, { type: 'ipc' }, { type: 'uts' }] },
};

const UNIT = `[Unit]
Description=A container of the smoke test
[Service]
RuntimeDirectory=hello
WorkingDirectory=/var/lib/containers/hello
ExecStart=/usr/bin/env runc --systemd-cgroup run hello
ExecStop=/usr/bin/env runc --systemd-cgroup kill hello
`;

const callScript = (...args: string[]) => promisify(execFile)('test/host/host', args);
const mountsOfMachine = (): Promise<string> => readFile('/proc/self/mountinfo', 'utf8');
const unitsOfMachine = async (): Promise<string[]> => (await readdir(UNITS, { recursive: true })).sort();

describe('the throw-away host', () => {
  let host: Host;
  let units: string[];
  let mounts: string;

  const run = async (...[command, ...args]: [string, ...string[]]): Promise<string> => {
    const { code, stdout, stderr } = await host.exec(command, args);
    if (code !== 0) throw new Error(`${command} ${args.join(' ')}: status ${code}\n${stdout}${stderr}`);
    return stdout.trim();
  };

  beforeAll(async () => {
    units = await unitsOfMachine();
    mounts = await mountsOfMachine();
    host = await bootHost();
  });
  afterAll(() => host.stop());

  it('has a real systemd as PID 1, with a network of its own', async () => {
    expect(await run('cat', '/proc/1/comm')).toBe('systemd');
    expect(await run('systemctl', 'is-system-running')).toBe('running');
    expect(await run('ls', '/sys/class/net')).toBe('lo');
    expect(await run('cat', '/sys/class/net/lo/carrier')).toBe('1');
  });

  it('shows this checkout and runs node', async () => {
    expect(await run('node', '-p', '6 * 7')).toBe('42');
    expect(await run('cat', `${process.cwd()}/package.json`)).toContain('"atomic-ts"');
  });

  it('passes input, environment, folder and exit status through', async () => {
    const result = await host.exec('sh', ['-c', 'cat; pwd; echo "$A" >&2; exit 7'], {
      input: 'in\n',
      env: { A: 'b c' },
      cwd: '/usr',
    });
    expect(result).toEqual({ code: 7, stdout: 'in\n/usr\n', stderr: 'b c\n' });
    expect(await host.exec('sleep', ['60'], { timeoutMs: 100 })).toMatchObject({ code: 124 });
  });

  it('runs a busybox bundle under runc from a unit, and stops it at once', async () => {
    await host.writeFile(`${UNITS}/hello.service`, UNIT);
    await host.writeFile('/var/lib/containers/hello/config.json', JSON.stringify(BUNDLE));
    const rootfs = '/var/lib/containers/hello/rootfs';
    await run('mkdir', '-p', `${rootfs}/bin`, `${rootfs}/proc`, `${rootfs}/out`);
    await run('cp', '/bin/busybox', `${rootfs}/bin/busybox`);
    await run('ln', '-s', 'busybox', `${rootfs}/bin/sleep`);

    await run('systemctl', 'daemon-reload');
    await run('systemctl', 'start', 'hello');
    await expect.poll(() => run('cat', '/run/hello/state').catch(() => ''), { timeout: 20_000 }).toBe('up');
    expect(await run('runc', 'list', '-q')).toBe('hello');
    expect(await run('systemctl', 'is-active', 'hello')).toBe('active');

    await run('systemctl', 'stop', 'hello');
    expect(await run('runc', 'list', '-q')).toBe('');
    expect(await run('systemctl', 'show', '-P', 'Result', 'hello')).toBe('success');
  });

  it('leaves this machine as it was, while it runs and after', async () => {
    await host.writeFile('/etc/systemd/system/only-inside.service', UNIT);
    expect(await host.readFile('/etc/systemd/system/only-inside.service')).toBe(UNIT);
    expect(await unitsOfMachine()).toEqual(units);
    expect(await mountsOfMachine()).toBe(mounts);

    await host.stop();
    await host.stop();
    expect(await mountsOfMachine()).toBe(mounts);
    await expect(stat(host.root)).rejects.toMatchObject({ code: 'ENOENT' });
    expect((await readdir(tmpdir())).filter((name) => name.endsWith(host.name))).toEqual([]);
  });

  it('is ended by the next reaper when its owner was killed, and so are the leftovers of a crash', async () => {
    const owner = spawn('sleep', ['1000']);
    const name = `orphan-${process.pid}`;
    try {
      const { stdout } = await callScript('start', name, '--owner', String(owner.pid));
      const state = stdout.trim();
      await callScript('reap');
      expect((await callScript('exec', name, 'cat', '/proc/1/comm')).stdout).toBe('systemd\n');

      const [nspawn = '', leader = ''] = await Promise.all(
        ['nspawn', 'leader'].map(async (file) => (await readFile(`${state}/${file}`, 'utf8')).split(' ')[0]),
      );
      // nspawn alone: its PID 1 outlives it.
      process.kill(Number(nspawn), 'SIGKILL');
      owner.kill('SIGKILL');
      await new Promise((resolve) => owner.on('close', resolve));
      await callScript('reap');
      await expect(stat(state)).rejects.toMatchObject({ code: 'ENOENT' });
      // A zombie that nobody has waited for yet has no program any more.
      await expect.poll(() => stat(`/proc/${leader}/exe`).catch(() => 'gone')).toBe('gone');
    } finally {
      owner.kill('SIGKILL');
      await callScript('stop', name);
    }
  });
});
