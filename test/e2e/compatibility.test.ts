import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hexOf } from '../../src/image/digest.ts';
import { buildImage, type BuiltImage } from '../fixtures/image-builder.ts';
import { layDown } from './support/atomic-fixture.ts';
import { busyboxLayer, hostPlatform, readHello } from './support/images.ts';
import {
  CHECKOUTS,
  openStage,
  readInfo,
  REGISTRY,
  takeSnapshot,
  waitForPage,
  type Stage,
} from './support/stage.ts';

const IMAGE = `${REGISTRY}/hello`;
const UUID = '5e0cc1d8-756b-4e2c-955b-e3613ffe6797';
/** As images of atomic's day have it: an old specification, and a unit that lets the runtime detach. */
const CONFIG = readHello('exports/config.json.template')
  .replace('"ociVersion": "1.0.2"', '"ociVersion": "0.3.0"')
  .replace('"PORT=$PORT"', '"PORT=$PORT", "UUID=$UUID"')
  .replace(/"capabilities": \{.*?\},\s*"noNewPrivileges": true/s, '"terminal": false');
const SERVICE = `[Unit]
Description=Hello World System Container

[Service]
ExecStartPre=$EXEC_STARTPRE
ExecStart=$EXEC_START
ExecStop=$EXEC_STOP
ExecStopPost=$EXEC_STOPPOST
Restart=on-crash
WorkingDirectory=$DESTDIR
PIDFile=$PIDFILE

[Install]
WantedBy=multi-user.target
`;

function oldImage(version: string, defaults: Record<string, string>): BuiltImage {
  const exports = {
    'config.json.template': CONFIG,
    'service.template': SERVICE,
    'manifest.json': JSON.stringify({ defaultValues: defaults }),
  };
  return buildImage({
    format: 'v2s2',
    platform: hostPlatform(),
    config: { Cmd: ['/usr/bin/run.sh'] },
    layers: [
      busyboxLayer(),
      {
        entries: [
          { path: 'opt/removed', content: 'x' },
          { path: 'opt/emptied/old', content: 'x' },
        ],
      },
      {
        entries: [
          { path: 'usr/bin/run.sh', content: readHello('run.sh'), mode: 0o755 },
          { path: 'etc/hello-version', content: version },
          { path: 'opt/removed', type: 'whiteout' },
          { path: 'opt/emptied', type: 'opaque' },
          { path: 'opt/emptied/new', content: 'y' },
          ...Object.entries(exports).map(([name, content]) => ({ path: `exports/${name}`, content })),
        ],
      },
    ],
  });
}

const v1 = oldImage('version 1', { PORT: '8081', RECEIVER: 'World' });
const v2 = oldImage('version 2', { PORT: '8082', RECEIVER: 'Moon' });
const values = {
  RUN_DIRECTORY: '/run',
  PIDFILE: '/run/container-hello.pid',
  CONF_DIRECTORY: '/etc',
  STATE_DIRECTORY: '/var/lib',
  ALL_PROCESS_CAPABILITIES: '"CAP_CHOWN",\n"CAP_DAC_OVERRIDE"\n',
  RUNTIME: '/usr/bin/runc',
  ATOMIC: '/usr/bin/atomic',
  // Set by the user; the image's default is 8081.
  PORT: '8085',
  RECEIVER: 'World',
  UUID,
  DESTDIR: `${CHECKOUTS}/hello.0`,
  NAME: 'hello',
  EXEC_START: "/usr/bin/runc  --systemd-cgroup run -d --pid-file /run/container-hello.pid 'hello'",
  EXEC_STOP: '',
  EXEC_STARTPRE: '',
  EXEC_STOPPOST: "/usr/bin/runc delete 'hello'",
  HOST_UID: 0,
  HOST_GID: 0,
  IMAGE_NAME: IMAGE,
  IMAGE_ID: hexOf(v1.digest),
};

function fill(template: string): string {
  return template.replace(/\$([A-Z_]+)/g, (_match, name: string) =>
    String(values[name as keyof typeof values]),
  );
}

describe('a container that atomic installed', () => {
  let stage: Stage;
  let before: string;
  let asFound: string;
  const lines = async (...args: string[]): Promise<string[]> =>
    (await stage.succeed(...args)).split('\n').slice(0, -1);
  const page = (text: string): Promise<void> => waitForPage(stage, 'http://localhost:8085/', text);

  beforeAll(async () => {
    stage = await openStage();
    await stage.push(v2, 'hello');
    before = await takeSnapshot(stage);
    await layDown(stage, {
      name: 'hello',
      image: IMAGE,
      built: v1,
      configJson: fill(CONFIG),
      unit: fill(SERVICE),
      tmpfiles: 'd    /run/hello   0700 0 0 - -\n',
      values,
    });
    await page('Hi World');
    asFound = await takeSnapshot(stage);
  });
  afterAll(() => stage.close());

  it('is known: it is there already, and up to date with the image that skopeo brought', async () => {
    expect(await lines('install', '--name', 'hello', IMAGE)).toEqual(['hello already present']);
    expect(await lines('containers', 'update', 'hello')).toEqual(['Latest version already installed.']);
    const listed = JSON.parse(await stage.succeed('containers', 'list', '--json')) as unknown;
    expect(listed).toMatchObject([
      { id: 'hello', image_id: hexOf(v1.digest), name: 'hello', state: 'running', backend: 'ostree' },
    ]);
    expect(await takeSnapshot(stage)).toBe(asFound);
  });

  it('is updated to other values from the layers that skopeo brought', async () => {
    expect(await lines('containers', 'update', 'hello', '--set', 'RECEIVER=Universe')).toEqual([
      `Extracting to ${CHECKOUTS}/hello.1`,
      'systemctl stop hello',
      'systemd-tmpfiles --remove /etc/tmpfiles.d/hello.conf',
      'systemctl daemon-reload',
      'systemd-tmpfiles --create /etc/tmpfiles.d/hello.conf',
      'systemctl start hello',
    ]);
    await page('Hi Universe');
    const trees = `cd ${CHECKOUTS}; for n in 0 1; do (cd hello.$n/rootfs; find . -printf '%p %y %m %U %l\\n' | sort) >/tmp/$n; done
      diff /tmp/0 /tmp/1; ls hello.1/rootfs/opt hello.1/rootfs/opt/emptied`;
    expect(await stage.shell(trees)).toBe('hello.1/rootfs/opt:\nemptied\n\nhello.1/rootfs/opt/emptied:\nnew');
    expect((await readInfo(stage, 'hello')).values).toMatchObject({
      UUID,
      PORT: '8085',
      RECEIVER: 'Universe',
    });
  });

  it('is rolled back to what atomic made, file for file, and forth', async () => {
    await stage.succeed('containers', 'rollback', 'hello');
    await page('Hi World');
    const withoutOurs = (snapshot: string): string[] =>
      snapshot.split('\n').filter((line) => !line.includes('/hello.1'));
    expect(withoutOurs(await takeSnapshot(stage))).toEqual(asFound.split('\n'));
    await stage.succeed('containers', 'rollback', 'hello');
    await page('Hi Universe');
  });

  it('is updated to a newer image: only what is new is fetched, and what the user set is kept', async () => {
    await stage.takeRequests();
    await stage.succeed('update', 'hello');
    await page('Hi Universe');
    const [base, , own] = v2.layers.map(({ descriptor }) => descriptor.digest);
    const fetched = (await stage.takeRequests()).filter((request) =>
      request.startsWith('GET /v2/hello/blobs/'),
    );
    expect(fetched).toContain(`GET /v2/hello/blobs/${own}`);
    expect(fetched).not.toContain(`GET /v2/hello/blobs/${base}`);
    const info = await readInfo(stage, 'hello');
    expect(info).toMatchObject({ image: IMAGE, revision: hexOf(v2.digest), source: `docker://${IMAGE}` });
    expect(info.values).toMatchObject({
      UUID,
      PORT: '8085',
      RECEIVER: 'Universe',
      DESTDIR: `${CHECKOUTS}/hello.0`,
    });
    expect(await stage.run('cat', `${CHECKOUTS}/hello/rootfs/etc/hello-version`)).toBe('version 2');
  });

  it('is uninstalled, and nothing is left of it', async () => {
    expect(await lines('uninstall', 'hello')).toEqual([
      'systemctl disable --now hello',
      'systemctl daemon-reload',
      'systemd-tmpfiles --remove /etc/tmpfiles.d/hello.conf',
    ]);
    await stage.run('rm', '-r', '/run/hello');
    expect(await takeSnapshot(stage)).toBe(before);
  });
});
