import { describe, expect, it } from 'vitest';
import { findRuntime, listPids } from '../../src/service/oci-runtime.ts';
import { FakeExec } from './fake-systemctl.ts';

/** A host on which only these programs are installed; each knows the given options. */
function hostWith(programs: Readonly<Record<string, string>>): FakeExec {
  return new FakeExec((line) => {
    if (line.startsWith('find ')) return line.slice(5) in programs ? 'there' : '';
    return programs[line.split(' ')[0] ?? ''] ?? '';
  });
}
const nothing = { option: undefined, environment: undefined, conf: undefined };
const ALL = '--systemd-cgroup --pid-file';

describe('findRuntime', () => {
  it.each([
    [{ option: '/opt/a', environment: '/opt/b', conf: '/opt/c' }, '/opt/a'],
    [{ option: undefined, environment: '/opt/b', conf: '/opt/c' }, '/opt/b'],
    [{ option: '', environment: '', conf: '/opt/c' }, '/opt/c'],
    [nothing, '/usr/bin/runc'],
  ])('takes the option, then the variable, then the configuration, then runc: %j', async (sources, path) => {
    const exec = hostWith({ '/opt/a': ALL, '/opt/b': ALL, '/opt/c': ALL, '/usr/bin/runc': ALL, crun: ALL });
    expect((await findRuntime(exec, sources)).path).toBe(path);
  });

  it('takes crun only where there is no runc', async () => {
    expect((await findRuntime(hostWith({ '/usr/sbin/runc': ALL, '/usr/bin/crun': ALL }), nothing)).path).toBe(
      '/usr/sbin/runc',
    );
    expect((await findRuntime(hostWith({ '/usr/bin/crun': ALL }), nothing)).path).toBe('/usr/bin/crun');
  });

  it('takes no other in place of one that was named', async () => {
    const named = findRuntime(hostWith({ '/usr/bin/runc': ALL }), { ...nothing, option: '/does/not/exist' });
    await expect(named).rejects.toMatchObject({
      code: 'tool-missing',
      message: 'Cannot install the container: the runtime /does/not/exist is not installed',
    });
  });

  it('says what to install where there is none at all', async () => {
    await expect(findRuntime(hostWith({}), nothing)).rejects.toMatchObject({
      message: 'Cannot install the container: the runtime runc is not installed',
      hint: 'Install it: dnf install runc, or apt-get install runc.',
    });
  });

  it('reads from the help texts what a runtime can do', async () => {
    const runc = hostWith({ '/usr/bin/runc': ALL });
    expect((await findRuntime(runc, nothing)).features).toEqual({ systemdCgroup: true, pidFile: true });
    expect(runc.lines).toEqual(['/usr/bin/runc --help', '/usr/bin/runc run --help']);
    const plain = hostWith({ '/bin/ls': 'Usage: ls' });
    expect((await findRuntime(plain, { ...nothing, option: '/bin/ls' })).features).toEqual({
      systemdCgroup: false,
      pidFile: false,
    });
  });
});

describe('listPids', () => {
  it.each([
    ['[12,34]\n', [12, 34]],
    ['[\n  12\n]\n', [12]],
    ['null\n', []],
  ])('reads %j', async (text, pids) => {
    const exec = new FakeExec(() => text);
    expect(await listPids(exec, '/usr/bin/runc', 'web')).toEqual(pids);
    expect(exec.lines).toEqual(['/usr/bin/runc ps --format=json web']);
  });

  it.each(['PID TTY\n', '{}', '["1"]', '[1.5]'])('takes %j for no answer', async (text) => {
    const asked = listPids(new FakeExec(() => text), '/usr/bin/runc', 'web');
    await expect(asked).rejects.toMatchObject({ code: 'command-failed' });
  });
});
