import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BuiltImage } from '../fixtures/image-builder.ts';
import { helloImage, makeImage, readHello, STAY } from './support/images.ts';
import { prepareRuntime } from './support/runtimes.ts';
import { layDown } from './support/atomic-fixture.ts';
import {
  CHECKOUTS,
  listChanges,
  openStage,
  REGISTRY,
  REPOSITORY,
  takeSnapshot,
  UNITS,
  waitForPage,
  type Stage,
} from './support/stage.ts';

interface Part {
  readonly name: string;
  readonly status: 'ok' | 'drift' | 'not recorded';
  readonly found: string;
  readonly details: readonly string[];
}

interface Status {
  readonly code: number;
  readonly drift: boolean;
  readonly parts: readonly Part[];
  readonly [key: string]: unknown;
}

let stage: Stage;

async function readStatus(name: string, ...options: string[]): Promise<Status> {
  const { code, stdout, stderr } = await stage.atomic(['--json', 'status', name, ...options]);
  if (stdout === '') throw new Error(stderr);
  return { ...(JSON.parse(stdout) as Omit<Status, 'code'>), code } as Status;
}

/** Parts that are not as recorded, each with all that was said of it. */
const drifted = ({ parts }: Status): string[][] =>
  parts
    .filter(({ status }) => status === 'drift')
    .map(({ name, found, details }) => [name, found, ...details]);

const NO_DRIFT = { code: 0, drift: false, drifted: [] };

async function judge(name: string): Promise<typeof NO_DRIFT> {
  const status = await readStatus(name);
  const { code, drift } = status;
  return { code, drift, drifted: drifted(status) as never[] };
}

async function repair(name: string): Promise<void> {
  expect(await stage.succeed('repair', name)).toContain(`${name} is what was recorded again.`);
  expect(await judge(name)).toEqual(NO_DRIFT);
}

const HOST_FILES = [
  { path: 'exports/hostfs/etc/hello.conf', content: 'as shipped\n' },
  { path: 'exports/hostfs/usr/local/bin/hello-tool', content: '#!/bin/sh\n', mode: 0o755 },
  { path: 'exports/hostfs/usr/local/bin/hello-link', type: 'symlink', target: 'hello-tool' },
] as const;

const FILES = [
  ...HOST_FILES,
  // A folder stays when its container goes, and is not the next one's.
  { path: 'exports/hostfs/var/lib/hello-data', type: 'dir' },
  { path: 'opt', type: 'dir' },
  { path: 'opt/data', content: 'data' },
  { path: 'opt/more', content: 'more', mode: 0o640, uid: 12, gid: 13 },
  { path: 'opt/empty', content: '' },
  { path: 'opt/link', type: 'symlink', target: 'data' },
] as const;

/** A runtime has to make every mount point, devices in /dev, and with runc the folder that it begins in. */
function bareImage(cwd: string): BuiltImage {
  const spec = {
    ociVersion: '1.0.2',
    process: {
      terminal: false,
      user: { uid: 0, gid: 0 },
      args: ['/bin/sh', '-c', STAY],
      env: ['PATH=/bin'],
      cwd,
    },
    root: { path: 'rootfs', readonly: true },
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      { destination: '/opt/file', type: 'bind', source: '/etc/hosts', options: ['bind', 'ro'] },
      { destination: '/opt/link/below', type: 'bind', source: '/etc', options: ['bind', 'ro'] },
      { destination: '/mnt/tmp', type: 'tmpfs', source: 'tmpfs' },
    ],
    linux: { namespaces: [{ type: 'mount' }, { type: 'pid' }] },
  };
  return helloImage({
    exports: { 'config.json.template': JSON.stringify(spec) },
    files: [{ path: 'opt/link', type: 'symlink', target: '../srv' }],
  });
}

beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.close());

describe.each(['runc', 'crun'])('a container that was installed and runs under %s', (runtime) => {
  it.each([
    ['brings its own templates', (): BuiltImage => helloImage({ files: HOST_FILES })],
    [
      'is an ordinary one',
      (): BuiltImage =>
        makeImage(
          [
            { path: 'data', type: 'symlink', target: 'srv/data' },
            { path: 'made/here', type: 'dir' },
          ],
          // crun does not follow a link to nowhere.
          {
            Cmd: ['sh', '-c', STAY],
            Volumes: { [runtime === 'runc' ? '/data/x/y' : '/x/y']: {} },
            WorkingDir: '/made/here',
          },
        ),
    ],
    ['leaves all to the runtime', (): BuiltImage => bareImage(runtime === 'runc' ? '/app/dir' : '/')],
  ])('is as it was recorded when its image %s', async (_what, image) => {
    const name = `fresh-${runtime}`;
    const layout = stage.addLayout(name, { image: image() });
    const program = await prepareRuntime(stage, runtime);
    await stage.succeed('install', layout, '--name', name, '--runtime', program);
    expect(await judge(name)).toEqual(NO_DRIFT);
    await stage.run('systemctl', 'restart', name);
    expect(await judge(name)).toEqual(NO_DRIFT);
    await stage.succeed('uninstall', name);
  });
});

describe('a container that somebody has been at', () => {
  const name = 'spc';
  const deployment = `${CHECKOUTS}/${name}.0`;
  const rootfs = `${deployment}/rootfs`;
  const page = (): Promise<void> => waitForPage(stage, 'http://localhost:8081/', 'Hi World');

  beforeAll(async () => {
    const image = await stage.push(helloImage({ files: FILES }), 'spc');
    await stage.succeed('install', image, '--name', name);
    await page();
  });

  it('is as it was recorded before that, and says what it is', async () => {
    const { stdout, code } = await stage.atomic(['status', name]);
    expect(code).toBe(0);
    expect(stdout).toContain(`${REGISTRY}/spc sha256:`);
    expect(stdout).toMatch(/service\s+running since .*, enabled/);
    expect(stdout).toMatch(/ok\s+rootfs\s+as its image is/);
    expect(stdout.trimEnd()).toMatch(/It is what was recorded\.$/);
    expect(await stage.succeed('repair', name)).toBe('There is nothing to repair.\n');
    expect((await stage.atomic(['status', 'nobody'])).code).toBe(1);
  });

  it.each<[string, string, string[][]]>([
    ['its unit was edited', `echo '# mine' >>${UNITS}/spc.service`, [['unit', 'spc.service was edited']]],
    [
      'its unit was removed',
      `rm ${UNITS}/spc.service; systemctl daemon-reload`,
      [
        ['unit', 'spc.service is missing'],
        ['enabled', 'no unit, was enabled'],
      ],
    ],
    [
      'its unit was masked',
      `systemctl stop spc; ln -sf /dev/null ${UNITS}/spc.service; systemctl daemon-reload`,
      [
        ['unit', 'spc.service is masked'],
        ['enabled', 'masked, was enabled'],
        ['started', 'stopped', 'was started'],
      ],
    ],
    [
      'its tmpfiles configuration was edited',
      'echo >/etc/tmpfiles.d/spc.conf',
      [['tmpfiles', 'spc.conf was edited']],
    ],
    [
      'its tmpfiles configuration was removed',
      'rm /etc/tmpfiles.d/spc.conf',
      [['tmpfiles', 'spc.conf is missing']],
    ],
    [
      'its config.json was edited',
      `sed -i s/World/Mars/ ${deployment}/config.json`,
      [['config', 'config.json was edited']],
    ],
    ['its config.json was removed', `rm ${deployment}/config.json`, [['config', 'config.json is missing']]],
    [
      'the copies of its unit and of its tmpfiles configuration were edited',
      `echo >>${deployment}/spc.service; rm ${deployment}/tmpfiles-spc.conf ${UNITS}/spc.service; systemctl daemon-reload`,
      [
        ['unit', 'spc.service is missing', 'spc.0/spc.service was edited'],
        ['tmpfiles', 'as it was', 'tmpfiles-spc.conf is missing'],
        ['enabled'],
      ],
    ],
    [
      'host files were removed',
      'rm -r /etc/hello.conf /usr/local/bin/hello-link /var/lib/hello-data',
      [
        [
          'host-files',
          '3 of 4',
          '/etc/hello.conf is missing',
          '/usr/local/bin/hello-link is missing',
          '/var/lib/hello-data is missing',
        ],
      ],
    ],
    [
      'files were added to its tree, removed and replaced',
      `cd ${rootfs}/opt; mkdir -p new/folder; echo x >bin; rm data; ln -sfn /etc link; cp -a more m; mv m more; echo x >>more; echo x >e; mv e empty`,
      [
        [
          'rootfs',
          '6 entries differ',
          '/opt/bin: a file that the image does not have',
          '/opt/data: a file that is gone',
          '/opt/empty: 2 bytes, was 0',
          '/opt/link: points at /etc, was data',
          '/opt/more: 6 bytes, was 4',
          '/opt/new: a folder that the image does not have',
        ],
      ],
    ],
    [
      'a file and a folder of its tree have another mode and owner',
      `cd ${rootfs}/opt; chmod 777 .; cp -a more m; chown 1:2 m; chmod 4755 m; mv m more`,
      [
        [
          'rootfs',
          '2 entries differ',
          '/opt: mode 0777, was 0755',
          '/opt/more: owner 1:2, was 12:13; mode 4755, was 0640',
        ],
      ],
    ],
    [
      'its tree was removed',
      `systemctl stop spc; rm -r ${rootfs}`,
      [['rootfs', 'rootfs is missing'], ['started']],
    ],
    ['it was disabled', 'systemctl disable spc', [['enabled', 'disabled, was enabled']]],
    ['it was stopped', 'systemctl stop spc', [['started', 'stopped since', 'was started']]],
    [
      'it was disabled and stopped',
      'systemctl disable --now spc',
      [
        ['enabled', 'disabled'],
        ['started', 'stopped'],
      ],
    ],
    [
      'a file of its tree was written to in place',
      `echo more >>${rootfs}/opt/data`,
      [['rootfs', '1 file is damaged in the store', '/opt/data: written to in place']],
    ],
    [
      'files of its tree were changed in place in other ways',
      `cd ${rootfs}; : >opt/data; chmod 666 opt/more; chown -h 5:6 opt/link; echo x >>etc/passwd`,
      [['rootfs', '4 files are damaged in the store', '/opt/data', '/opt/more', '/opt/link', '/etc/passwd']],
    ],
  ])('is told of and put right when %s', async (_what, damage, expected) => {
    await stage.shell(damage);
    const status = await readStatus(name);
    expect(status).toMatchObject({ code: 5, drift: true });
    const said = drifted(status);
    expect(said.map(([part]) => part)).toEqual(expected.map(([part]) => part));
    for (const [i, texts] of expected.entries()) {
      const all = said[i]?.join('\n') ?? '';
      for (const text of texts) expect(all).toContain(text);
    }
    const before = await takeSnapshot(stage);
    const preview = await stage.succeed('repair', name, '--dry-run');
    expect(preview.trimEnd().split('\n').length).toBeGreaterThan(2);
    expect(preview).toContain('Nothing was changed.');
    expect(await listChanges(stage, before)).toEqual([]);
    await repair(name);
    await page();
    expect(await stage.run('ls', '-A', `${CHECKOUTS}/.atomic-ts/verify`)).toBe('');
    await stage.run('ostree', `--repo=${REPOSITORY}`, 'fsck');
  });

  it('keeps what somebody made of a host file beside it', async () => {
    await stage.shell(
      'echo mine >/etc/hello.conf; chmod 600 /etc/hello.conf; ln -sf /bin/sh /usr/local/bin/hello-tool',
    );
    expect(drifted(await readStatus(name))).toEqual([
      [
        'host-files',
        '3 of 4 are not as installed',
        '/etc/hello.conf was changed',
        '/usr/local/bin/hello-link was changed',
        '/usr/local/bin/hello-tool was changed',
      ],
    ]);
    expect(await stage.succeed('repair', name)).toContain(
      'Kept /etc/hello.conf as /etc/hello.conf.atomic-save',
    );
    expect(await judge(name)).toEqual(NO_DRIFT);
    expect(
      await stage.shell('cat /etc/hello.conf /etc/hello.conf.atomic-save; stat -c %a /etc/hello.conf*'),
    ).toBe('as shipped\nmine\n644\n600');
    expect(await stage.run('readlink', '/usr/local/bin/hello-tool.atomic-save')).toBe('/bin/sh');
    await stage.shell('echo again >/etc/hello.conf');
    await repair(name);
    expect(await stage.shell('cat /etc/hello.conf.atomic-save /etc/hello.conf.atomic-save.1')).toBe(
      'mine\nagain',
    );
    await page();
  });

  it('takes the layers of the image that it was made from, though its name stands for another one by now', async () => {
    await stage.push(helloImage({ files: [...FILES, { path: 'opt/newer', content: 'newer' }] }), 'spc');
    await stage.succeed('pull', `${REGISTRY}/spc`);
    expect(await judge(name)).toEqual(NO_DRIFT);
    await stage.shell(`echo x >>${rootfs}/opt/data; rm ${rootfs}/opt/more`);
    await repair(name);
    expect(await stage.shell(`cat ${rootfs}/opt/data ${rootfs}/opt/more; ls ${rootfs}/opt`)).toBe(
      'datamoredata\nempty\nlink\nmore',
    );
    await page();
  });

  it('is as it was when its image cannot be fetched again, and the damaged files are named', async () => {
    await stage.shell(`echo x >>${rootfs}/opt/data; systemctl disable spc`);
    await stage.run('systemctl', 'kill', '-s', 'STOP', 'registry');
    const before = await takeSnapshot(stage);
    await stage.shell('mv /etc/registry.yml /etc/registry.yml.away; systemctl kill -s KILL registry');
    const { code, stderr } = await stage.atomic(['repair', name]);
    expect(code).toBe(1);
    expect(stderr).toContain('damaged: /opt/data');
    expect(stderr).toMatch(/Cannot put a damaged file of localhost:5000\/spc right/);
    expect(stderr).toContain(`Make docker://${REGISTRY}/spc reachable`);
    expect((await listChanges(stage, before)).filter((line) => !line.includes('registry'))).toEqual([]);
    expect((await readStatus(name)).code).toBe(5);
    await stage.shell(`mv /etc/registry.yml.away /etc/registry.yml
      systemctl reset-failed registry 2>/dev/null || true
      systemd-run --quiet --unit=registry sh -c 'exec $(command -v docker-registry || command -v registry) serve /etc/registry.yml'`);
    await waitForPage(stage, `http://${REGISTRY}/v2/`, '{}');
    await repair(name);
    await page();
  });

  it('is judged by its own files when the store has its image no more', async () => {
    const refs = (await stage.run('ostree', `--repo=${REPOSITORY}`, 'refs')).split('\n');
    await stage.shell(`cp -a ${REPOSITORY}/refs /root/refs`);
    await stage.run('ostree', `--repo=${REPOSITORY}`, 'refs', '--delete', ...refs);
    const rootfsPart = async (): Promise<Part | undefined> =>
      (await readStatus(name)).parts.find((part) => part.name === 'rootfs');
    expect(await rootfsPart()).toMatchObject({
      status: 'not recorded',
      found: expect.stringContaining('the image is no longer in the store') as string,
    });
    await stage.shell(`echo x >>${rootfs}/opt/data`);
    expect(await rootfsPart()).toMatchObject({ status: 'drift' });
    const { code, stderr } = await stage.atomic(['repair', name]);
    expect(code).toBe(1);
    expect(stderr).toContain('is no longer in the local storage');
    await stage.shell(`rm -r ${REPOSITORY}/refs; mv /root/refs ${REPOSITORY}/refs`);
    await repair(name);
  });

  it('can be asked for without its tree, and while it is being changed', async () => {
    const parts = (await readStatus(name, '--no-rootfs')).parts.map((part) => part.name);
    expect(parts).toEqual(['unit', 'tmpfiles', 'config', 'host-files', 'enabled', 'started']);
    const journal = `${CHECKOUTS}/.atomic-ts/journal/spc.jsonl`;
    const write = (pid: number): Promise<void> =>
      stage.host.writeFile(
        journal,
        `${JSON.stringify({ journal: 1, pid, action: 'update', container: 'spc', steps: [] })}\n`,
      );
    await stage.run('systemctl', 'stop', 'spc');
    await write(1);
    const lock = '/run/atomic-ts/var-lib-containers-atomic/container-spc';
    await stage.run('systemd-run', '--quiet', '--unit=holder', 'flock', '-x', lock, 'sleep', 'infinity');
    await stage.shell(`until ! flock -n ${lock} true; do sleep 0.05; done`);
    expect(await readStatus(name)).toMatchObject({
      code: 0,
      drift: false,
      change: { pid: 1, action: 'update' },
    });
    await stage.run('systemctl', 'stop', 'holder');
    // Like every command, it first ends what died.
    await write(4_194_000);
    expect(drifted(await readStatus(name)).map(([part]) => part)).toEqual(['started']);
    expect(await stage.shell(`ls ${CHECKOUTS}/.atomic-ts/journal`)).toBe('');
    await stage.host.writeFile(journal, '{"journal":7}\n');
    expect(drifted(await readStatus(name))[0]).toEqual([
      'change',
      expect.stringContaining('is damaged, or of another version'),
    ]);
    await stage.run('rm', journal);
    await repair(name);
  });

  it('is in the list of the doctor', async () => {
    const ask = async (): Promise<{ code: number; stdout: string }> => stage.atomic(['doctor']);
    const well = await ask();
    expect(well.stdout).toMatch(/ok\s+container spc\s+as it was recorded/);
    await stage.run('systemctl', 'disable', '--now', 'spc');
    const ill = await ask();
    expect(ill.stdout).toMatch(/drift\s+container spc\s+enabled: disabled, was enabled; started: stopped/);
    expect(ill.stdout).toContain('atomic-ts repair spc puts it right');
    expect(ill.stdout).toContain('1 container is not what was recorded.');
    expect([well.code, ill.code]).toEqual([0, 5]);
    await repair(name);
  });

  it('is judged by what was recorded after an update and a rollback, too', async () => {
    await stage.succeed('update', name, '--set', 'RECEIVER=Moon');
    await waitForPage(stage, 'http://localhost:8081/', 'Hi Moon');
    expect(await judge(name)).toEqual(NO_DRIFT);
    await stage.run('systemctl', 'disable', '--now', name);
    await stage.succeed('update', name, '--set', 'RECEIVER=Mars');
    expect(drifted(await readStatus(name)).map(([part]) => part)).toEqual(['enabled', 'started']);
    await repair(name);
    await waitForPage(stage, 'http://localhost:8081/', 'Hi Mars');
    await stage.shell(`sed -i s/Mars/Venus/ ${CHECKOUTS}/${name}/config.json`);
    await repair(name);
    await waitForPage(stage, 'http://localhost:8081/', 'Hi Mars');
    await stage.succeed('containers', 'rollback', name);
    await waitForPage(stage, 'http://localhost:8081/', 'Hi Moon');
    expect(await judge(name)).toEqual(NO_DRIFT);
    await stage.succeed('uninstall', name);
  });
});

it('a container that was not to be started may run or not', async () => {
  const layout = stage.addLayout('later', { image: helloImage() });
  await stage.succeed('install', layout, '--name', 'later', '--no-start');
  expect(await judge('later')).toEqual(NO_DRIFT);
  await stage.run('systemctl', 'start', 'later');
  expect(await judge('later')).toEqual(NO_DRIFT);
  await stage.succeed('uninstall', 'later');
});

it('an image of host files alone has no service and no tree, and its files are put right', async () => {
  const exports = {
    'manifest.json': JSON.stringify({ noContainerService: true }),
    'config.json.template': undefined,
    'service.template': undefined,
    'tmpfiles.template': undefined,
  };
  const layout = stage.addLayout('files', { image: helloImage({ exports, files: HOST_FILES }) });
  await stage.succeed('install', layout, '--name', 'files');
  expect(await judge('files')).toEqual(NO_DRIFT);
  await stage.shell('rm /usr/local/bin/hello-tool; echo x >/etc/hello.conf');
  expect((await readStatus('files')).code).toBe(5);
  await repair('files');
  expect(await stage.shell('cat /etc/hello.conf; stat -c %a /usr/local/bin/hello-tool')).toBe(
    'as shipped\n755',
  );
  await stage.succeed('uninstall', 'files');
});

it('a container that atomic installed shows no drift that nobody made', async () => {
  const values = {
    NAME: 'old',
    PORT: '8085',
    RECEIVER: 'World',
    RUN_DIRECTORY: '/run',
    RUNTIME: '/usr/bin/runc',
  };
  const fill = (template: string): string =>
    template.replace(
      /\$([A-Z_]+)/g,
      (_match, key: string) => ({ ...values, HOST_UID: '0', HOST_GID: '0' })[key as 'NAME'] ?? '',
    );
  const unit = `[Service]\nExecStart=/usr/sbin/runc run old\nExecStop=/usr/sbin/runc kill old\nWorkingDirectory=${CHECKOUTS}/old.0\n\n[Install]\nWantedBy=multi-user.target\n`;
  await stage.shell(`rm -rf ${REPOSITORY}`);
  await layDown(stage, {
    name: 'old',
    image: 'docker.io/old',
    built: helloImage(),
    configJson: fill(readHello('exports/config.json.template')),
    unit,
    tmpfiles: 'd /run/old 0755 0 0 - -\n',
    values,
  });
  await waitForPage(stage, 'http://localhost:8085/', 'Hi World');
  const status = await readStatus('old');
  expect(drifted(status)).toEqual([]);
  expect(status.parts.filter((part) => part.status === 'not recorded').map((part) => part.name)).toEqual([
    'config',
  ]);
  await stage.shell(
    `echo >>${UNITS}/old.service; rm ${CHECKOUTS}/old.0/rootfs/usr/bin/run.sh; systemctl stop old`,
  );
  expect(drifted(await readStatus('old')).map(([part]) => part)).toEqual(['unit', 'rootfs']);
  await repair('old');
  await stage.run('systemctl', 'start', 'old');
  await waitForPage(stage, 'http://localhost:8085/', 'Hi World');
  expect(await judge('old')).toEqual(NO_DRIFT);
});

it('what a status that was killed has left goes with the next', async () => {
  await stage.shell(`mkdir -p ${CHECKOUTS}/.atomic-ts/verify/99999/rootfs`);
  expect(await judge('old')).toEqual(NO_DRIFT);
  expect(await stage.run('ls', '-A', `${CHECKOUTS}/.atomic-ts/verify`)).toBe('');
});
