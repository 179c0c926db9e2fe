import { describe, expect, it } from 'vitest';
import { commonCgroup, listProcesses, listStats, parseCgroup } from '../../src/app/processes.ts';
import { parseContainerName } from '../../src/container/name.ts';
import type { ProcessFacts } from '../../src/host/ports.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';
import { answerShow, createListHost, writeContainer, type ListHost } from './list-host.ts';

const folder = useTempFolder();
const web = parseContainerName('web');
const db = parseContainerName('db');

function facts(pid: number, changes: Partial<ProcessFacts> = {}): ProcessFacts {
  return {
    pid,
    parent: 1,
    uid: 0,
    gid: 0,
    cpuSeconds: 2,
    ageSeconds: 8,
    residentBytes: 1000,
    command: ['run.sh'],
    cgroup: undefined,
    ...changes,
  };
}
const read = (pids: readonly number[]): Promise<ProcessFacts[]> =>
  Promise.resolve(pids.map((pid) => facts(pid)));

/** `web` and `db` are installed; each runtime answers with one process. */
function host(state = 'active'): ListHost {
  const show = answerShow({ web: { ActiveState: state }, db: { ActiveState: 'active' } });
  const made = createListHost(folder(), (line) => (line.includes(' ps ') ? '[7, 9]\n' : show(line)));
  writeContainer(made.app.paths.checkouts, 'web');
  writeContainer(made.app.paths.checkouts, 'db');
  return made;
}

describe('the processes of containers', () => {
  it('are those that the runtime names', async () => {
    const { app, exec } = host();
    expect(await listProcesses(app, [web], read)).toMatchObject([
      { container: 'web', pid: 7, user: 'root', cpuPercent: 25, command: ['run.sh'] },
      { container: 'web', pid: 9 },
    ]);
    expect(exec.lines.at(-1)).toBe('/usr/bin/runc ps --format=json web');
  });

  it('are of all that run when none is named', async () => {
    const { app } = host('failed');
    const listed = await listProcesses(app, [], read);
    expect(listed.map(({ container }) => container)).toEqual(['db', 'db']);
  });

  it('are asked for in vain of one that is down, and of one that there is not', async () => {
    const { app } = host('inactive');
    await expect(listProcesses(app, [db, web], read)).rejects.toMatchObject({
      code: 'not-running',
      message: 'The container web is not running, so it has no processes',
    });
    await expect(listProcesses(app, [parseContainerName('nosuch')], read)).rejects.toMatchObject({
      code: 'container-not-found',
    });
  });

  it('are root’s to look at', async () => {
    const { app } = host();
    const other = { ...app, identity: { ...app.identity, uid: 1000 } };
    await expect(listProcesses(other, [web], read)).rejects.toMatchObject({ code: 'not-root' });
  });

  it('are added up where the kernel counts nothing for them', async () => {
    const { app } = host();
    expect(await listStats(app, [web], read)).toEqual([
      {
        container: 'web',
        processes: 2,
        cpuSeconds: 4,
        cpuPercent: 50,
        memoryBytes: 2000,
        memoryLimitBytes: undefined,
        readBytes: undefined,
        writtenBytes: undefined,
      },
    ]);
  });
});

describe('the cgroup of a container', () => {
  const of = (...paths: (string | undefined)[]): string | undefined =>
    commonCgroup(paths.map((cgroup) => ({ cgroup })));

  it('is what all of its processes are in, or below', () => {
    expect(of('/system.slice/runc-web.scope')).toBe('/system.slice/runc-web.scope');
    expect(of('/s/web.scope/init.scope', '/s/web.scope/system.slice/a')).toBe('/s/web.scope');
    expect(of('/s/web.scope', '/s/web.scope/b')).toBe('/s/web.scope');
  });

  it('is unknown where that is the root, another namespace’s, or of version 1', () => {
    expect(of('/a', '/b')).toBeUndefined();
    expect(of('/')).toBeUndefined();
    expect(of('/../other/x')).toBeUndefined();
    expect(of('/..')).toBeUndefined();
    expect(of('/a', undefined)).toBeUndefined();
    expect(of()).toBeUndefined();
  });

  it('has its counts read as the kernel writes them', () => {
    expect(
      parseCgroup({
        cpu: 'usage_usec 1500000\nuser_usec 1\n',
        current: '4096\n',
        limit: 'max\n',
        io: '8:0 rbytes=10 wbytes=20 rios=1\n8:16 rbytes=1 wbytes=2\n',
      }),
    ).toEqual({
      cpuSeconds: 1.5,
      memoryBytes: 4096,
      memoryLimitBytes: undefined,
      readBytes: 11,
      writtenBytes: 22,
    });
    expect(parseCgroup({ cpu: undefined, current: undefined, limit: '8192\n', io: '' })).toEqual({
      cpuSeconds: undefined,
      memoryBytes: undefined,
      memoryLimitBytes: 8192,
      readBytes: 0,
      writtenBytes: 0,
    });
  });
});
