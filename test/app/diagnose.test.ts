import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { diagnose, readReserve, type Check } from '../../src/app/diagnose.ts';
import type { App } from '../../src/app/context.ts';
import { AtomicError } from '../../src/errors.ts';
import type { HostFacts } from '../../src/host/ports.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';
import { createListHost, type ListHost } from './list-host.ts';

const folder = useTempFolder();

const SYSTEM: HostFacts['system'] = {
  os: 'Debian GNU/Linux 12',
  kernel: '6.1.0',
  architecture: 'x64',
  processor: 'AMD EPYC',
  cores: 2,
  memory: 8_000_000_000,
  memoryAvailable: 4_000_000_000,
  cgroupVersion: 2,
  selinux: 'enforcing',
};

const IDS = { owner: 'root', start: 100_000, count: 65_536 };

function factsOf(app: App, changes: Partial<HostFacts> = {}): HostFacts {
  const place = { exists: true, filesystem: 'ext4', sizeBytes: 250_000_000_000, freeBytes: 84_400_000_000 };
  return {
    system: SYSTEM,
    tools: [
      { name: 'ostree', path: 'ostree', version: '2022.7' },
      { name: 'runc', path: '/usr/sbin/runc', version: '1.1.5' },
    ],
    checkouts: { ...place, path: app.paths.checkouts },
    repository: { ...place, path: app.paths.repository },
    sameFilesystem: true,
    subordinateIds: { user: 'root', uids: [IDS], gids: [IDS] },
    ...changes,
  };
}

type Answer = string | { readonly exitCode: number; readonly stderr: string };

/** A host that has all, but for what is told otherwise by the command line. Its /usr/bin/runc is a link, as on Debian. */
function createHost(changes: Readonly<Record<string, Answer>> = {}): ListHost {
  const realpath = (path: string): Promise<string> =>
    Promise.resolve(path.replace('/usr/bin/runc', '/usr/sbin/runc'));
  const host = createListHost(folder(), (line) => {
    const changed = changes[line];
    if (changed !== undefined) return changed;
    if (line.startsWith('find ')) return 'there';
    if (line === 'systemctl is-system-running') return 'running\n';
    if (line.endsWith('run --help')) return '--pid-file --bundle';
    if (line.endsWith('--help')) return '--systemd-cgroup';
    throw new Error(`not asked for: ${line}`);
  });
  return { ...host, app: { ...host.app, files: { ...host.app.files, realpath } } };
}

async function check(
  name: string,
  host: ListHost,
  changes: Partial<HostFacts> = {},
): Promise<Check | undefined> {
  const checks = await diagnose(host.app, factsOf(host.app, changes));
  // One cause, one complaint; a node without zstd is of no concern to the other checks.
  const others = checks.filter((other) => other.name !== name && other.name !== 'zstd');
  expect(others.filter(({ status }) => status !== 'ok')).toEqual([]);
  return checks.find((found) => found.name === name);
}

describe('the diagnosis of a host', () => {
  it('is well where all is there, and gives no advice', async () => {
    const host = createHost();
    const checks = await diagnose(host.app, factsOf(host.app));
    expect(checks.map(({ name, status, found }) => `${status} ${name}: ${found}`)).toEqual([
      'ok root: running as root',
      'ok ostree: ostree 2022.7',
      'ok oci-runtime: /usr/bin/runc 1.1.5',
      'ok systemd: running',
      'ok systemd-tmpfiles: systemd-tmpfiles',
      'ok sync: sync',
      'ok flock: flock',
      expect.stringMatching(/^ok zstd: /),
      'ok file-system: checkouts and repo on one ext4',
      `ok space: 84.4 GB free at ${host.app.paths.repository}, of which the repo leaves 7.5 GB (min-free-space-percent 3)`,
      `ok repo: ${host.app.paths.repository} is not there yet; the first pull makes it`,
      'ok cgroup: version 2',
      'ok subuid: 1 ranges in /etc/subuid, 1 in /etc/subgid',
      'ok selinux: enforcing',
      'ok memory: 4.0 GB available of 8.0 GB',
      'ok system: Debian GNU/Linux 12, Linux 6.1.0',
      'ok processor: AMD EPYC, 2 cores, amd64',
    ]);
    expect(checks.filter(({ advice }) => advice !== '')).toEqual([]);
  });

  it.each([
    ['ostree', 'ostree'],
    ['systemd-tmpfiles', 'systemd'],
    ['sync', 'coreutils'],
    ['flock', 'util-linux'],
  ])('has a problem without %s, and names the package', async (program, packageName) => {
    expect(await check(program, createHost({ [`find ${program}`]: '' }))).toEqual({
      name: program,
      status: 'problem',
      found: 'not installed',
      advice: `Install it: dnf install ${packageName}, or apt-get install ${packageName}.`,
    });
  });

  it('has a problem without a runtime, and takes crun where runc is missing', async () => {
    const noRunc = { 'find /usr/bin/runc': '', 'find /usr/sbin/runc': '', 'find runc': '' };
    expect(await check('oci-runtime', createHost(noRunc))).toMatchObject({
      status: 'ok',
      found: '/usr/bin/crun',
    });
    const none = { ...noRunc, 'find /usr/bin/crun': '', 'find crun': '' };
    expect(await check('oci-runtime', createHost(none))).toMatchObject({
      status: 'problem',
      found: 'Cannot install the container: the runtime runc is not installed',
      advice: 'Install it: dnf install runc, or apt-get install runc.',
    });
  });

  it('judges the runtime that the environment names', async () => {
    const host = createHost({ '/opt/kata run --help': 'no such option' });
    const named = { ...host, app: { ...host.app, environment: { RUNC_PATH: '/opt/kata' } } };
    expect(await check('oci-runtime', named)).toMatchObject({
      status: 'warning',
      found: '/opt/kata, which does not detach (its run takes no --pid-file)',
    });
  });

  it.each([
    ['running', 'ok'],
    ['degraded', 'warning'],
    ['starting', 'warning'],
    ['initializing', 'warning'],
    ['maintenance', 'warning'],
    ['stopping', 'warning'],
    ['offline', 'problem'],
    ['unknown', 'problem'],
    ['', 'problem'],
  ])('takes systemd that says %j for %s', async (answer, status) => {
    const host = createHost({ 'systemctl is-system-running': `${answer}\n` });
    expect((await check('systemd', host))?.status).toBe(status);
  });

  it.each([
    [127, 'not installed'],
    [4, 'systemctl failed: no bus'],
  ])('has a problem where systemctl ends with %i', async (exitCode, found) => {
    const host = createHost({ 'systemctl is-system-running': { exitCode, stderr: 'no bus' } });
    expect(await check('systemd', host)).toMatchObject({ status: 'problem', found });
  });

  it('takes a status other than 0 for an answer of systemctl, and waits for it a few seconds only', async () => {
    const host = createHost();
    await diagnose(host.app, factsOf(host.app));
    const call = host.exec.calls.find(({ line }) => line === 'systemctl is-system-running');
    expect(call?.options).toEqual({ accept: [0, 1], timeoutMs: 5_000 });
  });

  it('warns where nothing reads zstd', async () => {
    const found = await check('zstd', createHost({ 'find zstd': '' }));
    expect(found?.status).toBe('warning');
  });

  it('has a problem as somebody else than root', async () => {
    const host = createHost();
    const app = { ...host.app, identity: { ...host.app.identity, uid: 1000 } };
    expect(await check('root', { ...host, app })).toMatchObject({
      status: 'problem',
      found: 'running as user 1000',
    });
  });

  it('has a problem where checkouts cannot be hard links', async () => {
    expect(await check('file-system', createHost(), { sameFilesystem: false })).toMatchObject({
      status: 'problem',
    });
  });

  it.each([
    [2_000_000_000, 'ok'],
    [1_999_999_999, 'warning'],
    [100_000_000, 'warning'],
    [99_999_999, 'problem'],
  ])('takes %i free bytes for %s', async (freeBytes, status) => {
    const host = createHost();
    const repository = { ...factsOf(host.app).repository, sizeBytes: undefined, freeBytes };
    expect((await check('space', host, { repository }))?.status).toBe(status);
  });

  it('counts as space only what the repo does not leave free', async () => {
    const host = createHost();
    const repository = { ...factsOf(host.app).repository, freeBytes: 9_000_000_000 };
    expect(await check('space', host, { repository })).toMatchObject({ status: 'warning' });
    mkdirSync(host.app.paths.repository);
    writeFileSync(
      join(host.app.paths.repository, 'config'),
      '[core]\nmode=bare\nmin-free-space-size=500MB\n',
    );
    expect(await check('space', host, { repository })).toMatchObject({
      status: 'ok',
      found: `9.0 GB free at ${repository.path}, of which the repo leaves 524.29 MB (min-free-space-size)`,
    });
  });

  it.each([
    ['', 1000, 30],
    ['min-free-space-percent=10', 1000, 100],
    ['min-free-space-percent=0', 1000, 0],
    ['min-free-space-percent=50\nmin-free-space-size=1GB', 1000, 1024 ** 3],
    ['', undefined, 0],
  ])('reads in the configuration %j what the repo leaves free of %s bytes', (config, size, bytes) => {
    expect(readReserve(config, size).bytes).toBe(bytes);
  });

  it('misses ranges of ids for a user that is not root', async () => {
    const host = createHost();
    const range = { owner: 'alice', start: 100_000, count: 65_536 };
    const user = { ...host, app: { ...host.app, identity: { ...host.app.identity, uid: 1000 } } };
    const judge = async (gids: (typeof range)[]): Promise<Check | undefined> =>
      (
        await diagnose(
          user.app,
          factsOf(user.app, { subordinateIds: { user: 'alice', uids: [range], gids } }),
        )
      ).find(({ name }) => name === 'subuid');
    expect(await judge([{ ...range, owner: '1000' }])).toMatchObject({ status: 'ok' });
    expect(await judge([{ ...range, owner: 'bob' }])).toMatchObject({
      status: 'warning',
      found: 'alice has 1 ranges in /etc/subuid and 0 in /etc/subgid',
    });
  });

  it.each([
    [1, 'warning'],
    [undefined, 'problem'],
  ] as const)('takes cgroup version %s for a %s', async (cgroupVersion, status) => {
    const found = await check('cgroup', createHost(), { system: { ...SYSTEM, cgroupVersion } });
    expect(found?.status).toBe(status);
  });

  it('warns where a pull may run out of memory', async () => {
    const system = { ...SYSTEM, memoryAvailable: 100_000_000 };
    expect(await check('memory', createHost(), { system })).toMatchObject({
      status: 'warning',
      found: '100.0 MB available of 8.0 GB',
    });
  });

  it.each([
    ['[core]\nrepo_version=1\nmode=bare\n', 'ok'],
    ['[core]\nmode = bare\n', 'ok'],
    ['[core]\nrepo_version=1\nmode=bare-user\n', 'problem'],
    ['[core]\nmode=archive-z2\n', 'problem'],
    ['[core]\n#mode=bare\n', 'problem'],
    ['', 'problem'],
  ])('judges the repo with the config %j: %s', async (config, status) => {
    const host = createHost();
    mkdirSync(join(host.app.paths.repository, 'objects'), { recursive: true });
    writeFileSync(join(host.app.paths.repository, 'config'), config);
    expect((await check('repo', host))?.status).toBe(status);
  });

  it('has no verdict on what only root may look at', async () => {
    const host = createHost();
    const app = {
      ...host.app,
      files: {
        ...host.app.files,
        exists: () => Promise.reject(new AtomicError('not-root', 'Cannot look: permission denied')),
      },
    };
    const { checkouts, repository } = factsOf(app);
    const hidden = { exists: undefined, freeBytes: undefined };
    const checks = await diagnose(
      app,
      factsOf(app, {
        checkouts: { ...checkouts, ...hidden },
        repository: { ...repository, ...hidden },
        sameFilesystem: undefined,
      }),
    );
    const unsure = checks.filter(({ advice }) => advice === 'Run doctor as root.');
    expect(unsure.map(({ name, status }) => `${status} ${name}`)).toEqual([
      'warning file-system',
      'warning space',
      'warning repo',
    ]);
  });
});
