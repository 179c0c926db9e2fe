import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { describeContainers, type ContainerListOptions } from '../../src/app/list-containers.ts';
import { AtomicError } from '../../src/errors.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';
import {
  answerShow,
  CREATED,
  createListHost,
  writeContainer,
  writeDeployment,
  type ListHost,
} from './list-host.ts';

const folder = useTempFolder();

async function list(
  { app }: ListHost,
  { all = false, filters = [] }: Partial<ContainerListOptions> = {},
): Promise<string[]> {
  return (await describeContainers(app, { all, filters })).map(({ id, state }) => `${id} ${state}`);
}

describe('the list of containers', () => {
  it('tells of a container what its deployment and systemd say', async () => {
    const host = createListHost(folder());
    const revision = 'a343067c24954934e4402a61fd25da2ae265d1fca3b5c7dcb6e064137b5c134c';
    writeContainer(host.app.paths.checkouts, 'hello', { revision, args: ['/bin/sh', '-c', 'echo a'] });
    expect(await describeContainers(host.app, { all: false, filters: [] })).toEqual([
      {
        id: 'hello',
        imageId: revision,
        imageName: 'docker.io/hello:latest',
        command: '/bin/sh -c echo a',
        created: '2026-11-22 03:27:02',
        state: 'running',
        runtime: '/usr/bin/runc',
        backend: 'ostree',
        failedUpdate: undefined,
      },
    ]);
    expect(host.exec.lines).toEqual(['systemctl list-units --type=service --all --full --plain --no-legend']);
    expect(host.warnings).toEqual([]);
  });

  it('knows of updates that failed, without asking anybody', async () => {
    const host = createListHost(folder());
    const { checkouts } = host.app.paths;
    for (const name of ['a', 'b', 'c', 'd']) writeContainer(checkouts, name);
    const report = (name: string, text: string): void => {
      mkdirSync(join(checkouts, '.atomic-ts/failed', name), { recursive: true });
      writeFileSync(join(checkouts, '.atomic-ts/failed', name, 'failure.json'), text);
    };
    report('a', JSON.stringify({ time: 'now', reason: 'broken', image: 'x:2', journal: 'lines' }));
    report('c', '{');
    report('gone', '{}');
    mkdirSync(join(checkouts, '.atomic-ts/failed/d'));
    const listed = await describeContainers(host.app, { all: true, filters: [] });
    expect(listed.map(({ failedUpdate }) => failedUpdate)).toEqual([
      { image: 'x:2', time: 'now', reason: 'broken', path: join(checkouts, '.atomic-ts/failed/a') },
      undefined,
      undefined,
      undefined,
    ]);
    expect(host.warnings).toEqual([expect.stringContaining('failed/c/failure.json is not valid JSON')]);
    expect(host.exec.lines).toHaveLength(1);
  });

  it('has those that run or have failed, and all when asked, by name and in four states', async () => {
    const host = createListHost(
      folder(),
      answerShow({
        b: { ActiveState: 'inactive', SubState: 'dead' },
        c: { ActiveState: 'failed', SubState: 'failed' },
        d: { ActiveState: 'activating', SubState: 'start' },
        e: { ActiveState: 'activating', SubState: 'auto-restart' },
        f: { ActiveState: 'reloading', SubState: 'reload' },
        g: { ActiveState: 'deactivating', SubState: 'stop-sigterm' },
      }),
    );
    for (const name of 'gfedcba') writeContainer(host.app.paths.checkouts, name);
    writeContainer(host.app.paths.checkouts, 'files-only', { service: false });
    expect(await list(host)).toEqual(['a running', 'c failed', 'd running', 'e failed', 'f running']);
    expect(await list(host, { all: true })).toEqual([
      'a running',
      'b inactive',
      'c failed',
      'd running',
      'e failed',
      'f running',
      'files-only no service',
      'g inactive',
    ]);
  });

  it('asks systemd nothing when no container has a service', async () => {
    const host = createListHost(folder());
    expect(await list(host)).toEqual([]);
    writeContainer(host.app.paths.checkouts, 'files-only', { service: false });
    expect(await list(host, { all: true })).toEqual(['files-only no service']);
    expect(host.exec.lines).toEqual([]);
  });

  it('shows those that match every filter, in any case', async () => {
    const host = createListHost(folder(), answerShow({ db: { ActiveState: 'failed' } }));
    const { checkouts } = host.app.paths;
    writeContainer(checkouts, 'web', {
      image: 'registry.example/Web:v2',
      args: ['nginx', '-g', 'daemon off;'],
    });
    writeContainer(checkouts, 'db', { image: 'docker.io/db', created: new Date(2025, 0, 1) });
    const matching = (...filters: string[]): Promise<string[]> => list(host, { all: true, filters });
    expect(await matching('container=we')).toEqual(['web running']);
    expect(await matching('image=WEB:V2')).toEqual(['web running']);
    expect(await matching('image=:latest')).toEqual(['db failed']);
    expect(await matching('command=daemon off')).toEqual(['web running']);
    expect(await matching('created=2025-01-01 00:00:00')).toEqual(['db failed']);
    expect(await matching('STATE=failed')).toEqual(['db failed']);
    expect(await matching('runtime=runc', 'backend=ostree')).toHaveLength(2);
    expect(await matching('runtime=runc', 'state=failed', 'container=web')).toEqual([]);
    expect(await list(host, { filters: ['state=failed'] })).toEqual(['db failed']);
    expect(await list(host, { filters: ['state=inactive'] })).toEqual([]);
  });

  it.each([
    ['colour=red', 'The filter "colour" is not valid'],
    ['running', 'The filter "running" is not of the form KEY=VALUE'],
    ['toString=x', 'The filter "toString" is not valid'],
  ])('refuses the filter %s and names the keys, before it looks at anything', async (filter, message) => {
    const host = createListHost(folder());
    writeContainer(host.app.paths.checkouts, 'web');
    await expect(list(host, { filters: [filter] })).rejects.toMatchObject({
      code: 'usage',
      message,
      hint: 'The keys are container, image, command, created, state, runtime, backend.',
    });
    expect(host.exec.lines).toEqual([]);
  });

  it('lists a container whose config.json is broken, missing, odd or forbidden', async () => {
    const host = createListHost(folder());
    const { checkouts } = host.app.paths;
    const config = (name: string): string => join(checkouts, `${name}.0`, 'config.json');
    for (const name of ['broken', 'missing', 'odd', 'forbidden']) writeContainer(checkouts, name);
    writeFileSync(config('broken'), '{"process":');
    rmSync(config('missing'));
    writeFileSync(config('odd'), '{"process":{"args":["a",1]}}');
    const { files } = host.app;
    const app = {
      ...host.app,
      files: {
        ...files,
        readIfExists: (path: string, cap: number) =>
          path === config('forbidden')
            ? Promise.reject(new AtomicError('not-root', `Cannot read ${path}: permission denied`))
            : files.readIfExists(path, cap),
      },
    };
    const listed = await describeContainers(app, { all: false, filters: [] });
    expect(listed.map(({ id, command }) => [id, command])).toEqual([
      ['broken', ''],
      ['forbidden', ''],
      ['missing', ''],
      ['odd', ''],
    ]);
    expect(host.warnings.sort()).toEqual([
      `Cannot read ${config('forbidden')}: permission denied`,
      expect.stringContaining(`The file ${config('broken')} is not valid JSON`),
    ]);
  });

  it('leaves out a container whose info cannot be read, and says so', async () => {
    const host = createListHost(folder());
    writeContainer(host.app.paths.checkouts, 'good');
    writeFileSync(join(writeContainer(host.app.paths.checkouts, 'bad'), 'info'), 'x');
    expect(await list(host, { all: true })).toEqual(['good running']);
    expect(host.warnings).toHaveLength(1);
    expect(host.warnings[0]).toContain('bad.0/info');
  });

  it.each([
    [1, 'System has not been booted with systemd as init system'],
    [127, 'it is not installed'],
  ])('shows services as inactive where systemctl ends with %i, and warns', async (exitCode, stderr) => {
    const host = createListHost(folder(), () => ({ exitCode, stderr }));
    writeContainer(host.app.paths.checkouts, 'hello');
    expect(await list(host)).toEqual([]);
    expect(await list(host, { all: true })).toEqual(['hello inactive']);
    expect(host.warnings[0]).toContain('systemd does not answer, so all services are shown as inactive');
    expect(host.warnings[0]).toContain(stderr);
  });

  it('has the containers that the operating system brings, unless a checkout has their name', async () => {
    const host = createListHost(folder());
    const { checkouts, preinstalled } = host.app.paths;
    writeDeployment(join(preinstalled, 'etcd'), { image: 'quay.io/etcd' });
    writeDeployment(join(preinstalled, 'web'), { image: 'quay.io/old-web' });
    mkdirSync(join(preinstalled, 'empty'));
    writeContainer(checkouts, 'web', { image: 'quay.io/web' });
    const listed = await describeContainers(host.app, { all: true, filters: [] });
    expect(listed.map(({ id, imageName, command }) => [id, imageName, command])).toEqual([
      ['etcd', 'quay.io/etcd:latest', '/usr/bin/run.sh'],
      ['web', 'quay.io/web:latest', '/usr/bin/run.sh'],
    ]);
  });

  it('shows times of the host, and none where the record is nonsense', async () => {
    const zone = process.env['TZ'];
    const host = createListHost(folder());
    writeContainer(host.app.paths.checkouts, 'a', { created: new Date(Date.UTC(2026, 10, 22, 20, 0, 1)) });
    writeContainer(host.app.paths.checkouts, 'b', { created: CREATED });
    writeFileSync(join(host.app.paths.checkouts, 'b.0/info'), '{"image":"x","created":1e300}');
    try {
      process.env['TZ'] = 'Asia/Kolkata';
      const listed = await describeContainers(host.app, { all: true, filters: [] });
      expect(listed.map(({ created }) => created)).toEqual(['2026-11-23 01:30:01', '']);
    } finally {
      if (zone === undefined) delete process.env['TZ'];
      else process.env['TZ'] = zone;
    }
  });

  it('runs as many programs for 500 containers as for 5', async () => {
    const runs = async (count: number): Promise<number> => {
      const host = createListHost(join(folder(), String(count)));
      for (let i = 0; i < count; i++) writeContainer(host.app.paths.checkouts, `c${i}`);
      expect(await list(host)).toHaveLength(count);
      return host.exec.lines.length;
    };
    expect(await runs(5)).toBe(1);
    expect(await runs(500)).toBe(1);
  }, 60_000);
});
