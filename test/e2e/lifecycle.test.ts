import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { helloImage } from './support/images.ts';
import {
  CHECKOUTS,
  openStage,
  readInfo,
  REGISTRY,
  REPOSITORY,
  takeSnapshot,
  waitForPage,
  type Stage,
} from './support/stage.ts';

const IMAGE = `${REGISTRY}/hello`;
/** atomic's keys in atomic's order, then ours. */
const INFO_KEYS = [
  'image',
  'revision',
  'ostree-commit',
  'created',
  'values',
  'has-container-service',
  'installed-files',
  'installed-files-checksum',
  'installed-files-template',
  'rename-installed-files',
  'rpm-installed',
  'system-package',
  'remote',
  'use-links',
  'runtime',
  'value-sources',
  'source',
  'manifest-digest',
  'files-checksum',
  'enabled',
  'started',
];
/** What a change of `spc` prints, atomic's words. */
const SWITCH_LINES = (slot: 0 | 1): string[] => [
  `Extracting to ${CHECKOUTS}/spc.${slot}`,
  'systemctl stop spc',
  'systemd-tmpfiles --remove /etc/tmpfiles.d/spc.conf',
  'systemctl daemon-reload',
  'systemd-tmpfiles --create /etc/tmpfiles.d/spc.conf',
  'systemctl start spc',
];

let stage: Stage;
const lines = async (...args: string[]): Promise<string[]> =>
  (await stage.succeed(...args)).split('\n').slice(0, -1);
const current = (name: string): Promise<string> => stage.run('readlink', `${CHECKOUTS}/${name}`);

beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.close());

describe('the life of a system container', () => {
  const v1 = helloImage({ files: [{ path: 'only-v1', content: 'one' }] });
  const v2 = helloImage({
    defaults: { RECEIVER: 'Moon', PORT: '8082' },
    files: [{ path: 'only-v2', content: 'two' }],
  });
  let before: string;
  let uuid: unknown;

  it('begins with a copy to the registry, which a second copy finds there', async () => {
    const layout = stage.addLayout('v1', { image: v1, tag: 'v1' });
    expect(await lines('copy', `${layout}:v1`, `docker://${IMAGE}`)).toEqual([
      `Copied ${layout}:v1 to docker://${IMAGE} (${v1.digest}): 3 blobs, 0 were there`,
    ]);
    expect((await stage.takeRequests()).filter((request) => request.startsWith('PUT'))).toHaveLength(4);
    await stage.succeed('copy', `${layout}:v1`, `docker://${IMAGE}`);
    expect((await stage.takeRequests()).filter((request) => /^(?:PUT|POST) .*blobs/.test(request))).toEqual(
      [],
    );
    before = await takeSnapshot(stage);
  });

  it('is installed in the words of atomic, and started', async () => {
    expect(await lines('install', '--system', '--name', 'spc', IMAGE)).toEqual([
      `Extracting to ${CHECKOUTS}/spc.0`,
      'systemctl daemon-reload',
      'systemd-tmpfiles --create /etc/tmpfiles.d/spc.conf',
      'systemctl enable spc',
      'systemctl start spc',
    ]);
    await waitForPage(stage, 'http://localhost:8081/', 'Hi World');
    expect(await stage.run('systemctl', 'is-enabled', 'spc')).toBe('enabled');
  });

  it("has its files where atomic's users look for them", async () => {
    const listing = `cd ${CHECKOUTS}; stat -c '%n %a %u:%g %F' . spc.0 spc.0/* spc /etc/systemd/system/spc.service /etc/tmpfiles.d/spc.conf /run/spc`;
    expect((await stage.shell(listing)).split('\n')).toEqual([
      '. 755 0:0 directory',
      'spc.0 755 0:0 directory',
      'spc.0/config.json 644 0:0 regular file',
      'spc.0/info 644 0:0 regular file',
      'spc.0/rootfs 755 0:0 directory',
      'spc.0/spc.service 644 0:0 regular file',
      'spc.0/tmpfiles-spc.conf 644 0:0 regular file',
      'spc 777 0:0 symbolic link',
      '/etc/systemd/system/spc.service 644 0:0 regular file',
      '/etc/tmpfiles.d/spc.conf 644 0:0 regular file',
      '/run/spc 755 0:0 directory',
    ]);
    expect(await current('spc')).toBe(`${CHECKOUTS}/spc.0`);
    await stage.shell(`cd ${CHECKOUTS}/spc
      cmp spc.service /etc/systemd/system/spc.service
      cmp tmpfiles-spc.conf /etc/tmpfiles.d/spc.conf`);
    expect(await stage.run('stat', '-c', '%a %h', `${CHECKOUTS}/spc/rootfs/bin/busybox`)).toBe('755 2');
  });

  it('tells in its info what it is made of', async () => {
    const text = await stage.host.readFile(`${CHECKOUTS}/spc/info`);
    const info = await readInfo(stage, 'spc');
    const runtime = String(info['runtime']);
    expect(runtime).toMatch(/^\/usr\/s?bin\/runc$/);
    expect(Object.keys(info)).toEqual(INFO_KEYS);
    expect(text).toContain('\n    "image": "localhost:5000/hello",\n');
    expect(info).toMatchObject({
      revision: v1.digest.slice('sha256:'.length),
      'ostree-commit': await stage.run(
        'ostree',
        `--repo=${REPOSITORY}`,
        'rev-parse',
        'ociimage/localhost_3A5000_2Fhello_3Alatest',
      ),
      'has-container-service': true,
      'installed-files': [],
      'installed-files-checksum': {},
      'installed-files-template': [],
      'rename-installed-files': {},
      'rpm-installed': null,
      'system-package': 'no',
      remote: null,
      runtime,
      source: `docker://${IMAGE}`,
      'manifest-digest': v1.digest,
      enabled: true,
      started: true,
      values: {
        DESTDIR: `${CHECKOUTS}/spc.0`,
        NAME: 'spc',
        EXEC_START: `${runtime} --systemd-cgroup run 'spc'`,
        EXEC_STOP: `${runtime} --systemd-cgroup kill 'spc'`,
        HOST_UID: 0,
        HOST_GID: 0,
        IMAGE_NAME: IMAGE,
        IMAGE_ID: v1.digest.slice('sha256:'.length),
        RUN_DIRECTORY: '/run',
        CONF_DIRECTORY: '/etc',
        STATE_DIRECTORY: '/var/lib',
        PIDFILE: '/run/container-spc.pid',
        RECEIVER: 'World',
        PORT: '8081',
        UUID: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/),
      },
      'value-sources': { NAME: 'forced', RUN_DIRECTORY: 'host', PORT: 'manifest', UUID: 'generated' },
    });
    uuid = info.values['UUID'];
  });

  it('runs under runc, on a root that it cannot write to', async () => {
    expect(await stage.run('runc', 'list', '-q')).toBe('spc');
    const write = await stage.host.exec('runc', ['exec', 'spc', 'touch', '/usr/bin/x']);
    expect(write).toMatchObject({ code: 1, stderr: expect.stringContaining('Read-only file system') });
  });

  it('is already present when it is installed again', async () => {
    const state = await takeSnapshot(stage);
    await stage.takeRequests();
    expect(await lines('install', '--system', '--name', 'spc', IMAGE)).toEqual(['spc already present']);
    expect(await stage.takeRequests()).toEqual([]);
    expect(await takeSnapshot(stage)).toBe(state);
  });

  it('is not touched by an update without news, which fetches no blob and runs hardly a program', async () => {
    const state = await takeSnapshot(stage);
    await stage.takeRequests();
    const trace = ['-f', '-qq', '-e', 'trace=execve', '-e', 'signal=none', '-o', '/var/log/programs'];
    const traced = await stage.host.exec('strace', [...trace, 'atomic-ts', 'update', 'spc']);
    expect(traced).toMatchObject({ code: 0, stdout: 'Latest version already installed.\n' });
    const asked = await stage.takeRequests();
    expect(asked).toContain('GET /v2/hello/manifests/latest');
    expect(asked.filter((request) => request.includes('/blobs/'))).toEqual([]);
    const programs = await stage.shell("grep -c ' = 0$' /var/log/programs");
    // env, node, and flock for each of two locks.
    expect(Number(programs)).toBeLessThanOrEqual(5);
    expect(await takeSnapshot(stage)).toBe(state);
  });

  it('gets another value with update --set', async () => {
    expect(await lines('update', 'spc', '--set', 'RECEIVER=Universe')).toEqual(SWITCH_LINES(1));
    expect(await current('spc')).toBe(`${CHECKOUTS}/spc.1`);
    await waitForPage(stage, 'http://localhost:8081/', 'Hi Universe');
    expect(await lines('update', 'spc', '--set', 'RECEIVER=Universe')).toEqual([
      'Latest version already installed.',
    ]);
  });

  it('follows its tag: a new default is taken, what was set is kept, and nothing of the old tree stays', async () => {
    await stage.shell(`echo stale >${CHECKOUTS}/spc.0/rootfs/stale`);
    await stage.push(v2, 'hello');
    // The local storage has the old image still.
    expect(await lines('containers', 'update', 'spc')).toEqual(['Latest version already installed.']);

    expect(await lines('update', 'spc')).toEqual(SWITCH_LINES(0));
    await waitForPage(stage, 'http://localhost:8082/', 'Hi Universe');
    const info = await readInfo(stage, 'spc');
    expect(info.values).toMatchObject({ RECEIVER: 'Universe', PORT: '8082', UUID: uuid });
    expect(info).toMatchObject({ 'manifest-digest': v2.digest, image: IMAGE });
    const tree = (await stage.run('ls', `${CHECKOUTS}/spc/rootfs`)).split('\n');
    expect(tree).toContain('only-v2');
    expect(tree).not.toContain('only-v1');
    expect(tree).not.toContain('stale');
  });

  it('has a fourth deployment as clean as the third', async () => {
    expect(await lines('update', 'spc', '--set', 'RECEIVER=Mars')).toEqual(SWITCH_LINES(1));
    await waitForPage(stage, 'http://localhost:8082/', 'Hi Mars');
    const trees = await stage.shell(`cd ${CHECKOUTS}
      (cd spc.0/rootfs; find . | sort) >/tmp/0; (cd spc.1/rootfs; find . | sort) >/tmp/1; diff /tmp/0 /tmp/1`);
    expect(trees).toBe('');
    expect(await stage.run('ls', CHECKOUTS)).toBe('spc\nspc.0\nspc.1');
  });

  it('is rolled back to its other deployment, and from there to this one', async () => {
    const rollback = (slot: 0 | 1): string[] => [
      'Attempting to roll back system container: spc',
      `Rolling back container spc to the checkout at ${CHECKOUTS}/spc.${slot}`,
      ...SWITCH_LINES(slot).slice(1),
    ];
    expect(await lines('containers', 'rollback', 'spc')).toEqual(rollback(0));
    await waitForPage(stage, 'http://localhost:8082/', 'Hi Universe');
    expect(await lines('containers', 'rollback', 'spc')).toEqual(rollback(1));
    await waitForPage(stage, 'http://localhost:8082/', 'Hi Mars');
    expect((await readInfo(stage, 'spc')).values).toMatchObject({ RECEIVER: 'Mars', UUID: uuid });
  });

  it('is taken to another image with --rebase, and keeps its values', async () => {
    const other = await stage.push(helloImage({ defaults: { RECEIVER: 'Nobody', PORT: '8083' } }), 'other:1');
    expect(await lines('containers', 'update', '--rebase', other, 'spc')).toEqual(SWITCH_LINES(0));
    await waitForPage(stage, 'http://localhost:8083/', 'Hi Mars');
    expect(await readInfo(stage, 'spc')).toMatchObject({ image: other, values: { UUID: uuid } });
    // From now on it follows the other image.
    expect(await lines('update', 'spc')).toEqual(['Latest version already installed.']);
  });

  it('stays stopped over an update when it was stopped', async () => {
    await stage.run('systemctl', 'stop', 'spc');
    expect(await lines('update', 'spc', '--set', 'RECEIVER=Dark')).toEqual(
      SWITCH_LINES(1).filter((line) => !/stop|start/.test(line)),
    );
    const state = await stage.run('systemctl', 'show', '-P', 'ActiveState,UnitFileState', 'spc');
    expect(state).toBe('inactive\nenabled');
    await stage.run('systemctl', 'start', 'spc');
    await waitForPage(stage, 'http://localhost:8083/', 'Hi Dark');
  });

  it('leaves nothing when it is uninstalled, but its image in the local storage', async () => {
    expect(await lines('uninstall', 'spc')).toEqual([
      'systemctl disable --now spc',
      'systemctl daemon-reload',
      'systemd-tmpfiles --remove /etc/tmpfiles.d/spc.conf',
    ]);
    // systemd-tmpfiles empties the folder of a D line and leaves it until the next boot.
    await stage.run('rmdir', '/run/spc');
    expect(await takeSnapshot(stage)).toBe(before);
    expect(await stage.run('ostree', `--repo=${REPOSITORY}`, 'refs', '--list', 'ociimage')).toContain(
      'localhost_3A5000_2Fother_3A1',
    );
    const again = await stage.atomic(['uninstall', 'spc']);
    expect(again).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/^Unable to find 'spc' in the following backends: ostree\n/),
    });
  });
});

describe('an image with files for the host', () => {
  it('has them created in the order of atomic, owned by the container, and gone with it', async () => {
    const image = await stage.push(
      helloImage({
        exports: { 'hostfs/usr/local/share/greeting/text': 'hi', 'hostfs/etc/greeting.conf': 'on' },
      }),
      'greeting',
    );
    const before = await takeSnapshot(stage);
    expect(await lines('install', image)).toEqual([
      `Extracting to ${CHECKOUTS}/greeting.0`,
      'Created file /etc/greeting.conf',
      'Created file /usr/local/share/greeting/text',
      'systemctl daemon-reload',
      'systemd-tmpfiles --create /etc/tmpfiles.d/greeting.conf',
      'systemctl enable greeting',
      'systemctl start greeting',
    ]);
    expect((await readInfo(stage, 'greeting'))['installed-files']).toEqual([
      '/etc/greeting.conf',
      '/usr/local/share/greeting/text',
    ]);
    expect(await stage.run('cat', '/etc/greeting.conf', '/usr/local/share/greeting/text')).toBe('onhi');
    await stage.succeed('uninstall', 'greeting');
    expect(await stage.shell('ls /etc/greeting.conf 2>/dev/null || echo gone')).toBe('gone');
    // Folders on the way to a file stay, as with atomic; rmdir takes empty ones only.
    await stage.shell('rmdir /usr/local/share/greeting /run/greeting');
    expect(await takeSnapshot(stage)).toBe(before);
  });
});
