import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeDirTransport, writeDockerArchive, writeOciArchive } from '../fixtures/image-builder.ts';
import { helloImage } from './support/images.ts';
import {
  CHECKOUTS,
  openStage,
  readInfo,
  REGISTRY,
  takeSnapshot,
  waitForPage,
  type Stage,
} from './support/stage.ts';

let stage: Stage;
const lines = async (...args: string[]): Promise<string[]> =>
  (await stage.succeed(...args)).split('\n').slice(0, -1);

beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.close());

describe('names of containers', () => {
  let before: string;
  let image: string;
  beforeAll(async () => {
    image = await stage.push(helloImage(), 'named:7.0');
    before = await takeSnapshot(stage);
  });

  it('may hold dots, dashes and underscores and end in .0, also several installed at once', async () => {
    const names = ['with-dash', 'under_score', 'dotted.name', 'ends.0', 'ends.1', 'a.mount'];
    const each = (act: (name: string, port: string) => Promise<unknown>): Promise<unknown> =>
      Promise.all(names.map((name, i) => act(name, String(9000 + i))));
    await each((name, port) =>
      stage.succeed('install', image, '--name', name, '--set', `PORT=${port}`, '--set', `RECEIVER=${name}`),
    );
    await each((name, port) => waitForPage(stage, `http://localhost:${port}/`, `Hi ${name}`));
    await each((name) => stage.succeed('update', name, '--set', 'RECEIVER=again'));
    await each((_name, port) => waitForPage(stage, `http://localhost:${port}/`, 'Hi again'));
    await each((name) => stage.succeed('uninstall', name));
    await each((name) => stage.run('rmdir', `/run/${name}`));
    expect(await takeSnapshot(stage)).toBe(before);
  });

  it('never stand for a deployment of another container', async () => {
    await stage.succeed('install', image, '--name', 'web', '--no-start');
    await stage.succeed('install', image, '--name', 'far.1', '--no-start');
    await stage.succeed('update', 'far.1', '--set', 'RECEIVER=again');
    const state = await takeSnapshot(stage);
    for (const name of ['web.0', 'web.1', 'far']) {
      const refused = await stage.atomic(['--quiet', 'install', image, '--name', name, '--no-start']);
      expect(refused).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining(name) });
      expect(refused.stderr).toMatch(/--name/);
      expect(await takeSnapshot(stage)).toBe(state);
    }
    await stage.succeed('uninstall', 'web');
    await stage.succeed('uninstall', 'far.1');
    await stage.run('rmdir', '/run/web', '/run/far.1');
    expect(await takeSnapshot(stage)).toBe(before);
  });

  it('come from the image when none is given: its basename, with the tag unless that is latest', async () => {
    const digest = helloImage().digest;
    const byImage = new Map([
      [image, 'named-7.0'],
      [`${REGISTRY}/named@${digest}`, 'named'],
      [`docker://${image}@${digest}`, 'named'],
      [`http:${image}`, 'named-7.0'],
    ]);
    for (const [given, name] of byImage) {
      expect(await lines('install', given, '--no-start')).toEqual([
        `Extracting to ${CHECKOUTS}/${name}.0`,
        'systemctl daemon-reload',
        `systemd-tmpfiles --create /etc/tmpfiles.d/${name}.conf`,
        `systemctl enable ${name}`,
      ]);
      const info = await readInfo(stage, name);
      expect(info).toMatchObject({
        image: given.replace(/^.*?:(?=\/\/|localhost)\/*/, ''),
        'manifest-digest': digest,
      });
      // A digest is not followed anywhere.
      expect(await lines('update', name)).toEqual(['Latest version already installed.']);
      await stage.succeed('uninstall', name);
    }
  });
});

describe('images from elsewhere', () => {
  const image = helloImage({ files: [{ path: 'from-a-file', content: 'x' }] });

  it('are installed from folders and archives of all kinds, in the spellings of skopeo and of atomic', async () => {
    stage.addLayout('layout', { image, tag: 'v1' });
    writeOciArchive(`${stage.images}/archive.tar`, [{ image, tag: 'v1' }]);
    writeDockerArchive(`${stage.images}/saved.tar`, [{ image, names: ['example.org/saved:3'] }]);
    writeDockerArchive(`${stage.images}/unnamed.tar`, [{ image }], { layout: 'oci' });
    writeDirTransport(`${stage.images}/folder`, image);
    const byImage = new Map([
      ['oci:/images/layout:v1', 'layout-v1'],
      ['oci-archive:/images/archive.tar', 'archive'],
      ['docker-archive:/images/saved.tar', 'saved-3'],
      ['docker-archive:/images/saved.tar:example.org/saved:3', 'saved-3'],
      ['dockertar:/images/unnamed.tar', 'unnamed'],
      ['dir:/images/folder', 'folder'],
    ]);
    await stage.takeRequests();
    for (const [given, name] of byImage) {
      await stage.succeed('install', given, '--no-start');
      expect(await stage.run('cat', `${CHECKOUTS}/${name}/rootfs/from-a-file`)).toBe('x');
      expect(await lines('update', name)).toEqual(['Latest version already installed.']);
      await stage.succeed('uninstall', name);
    }
    expect(await stage.takeRequests()).toEqual([]);
  });

  it('are read again for an update', async () => {
    stage.addLayout('moving', { image });
    await stage.succeed('install', 'oci:/images/moving', '--no-start');
    stage.addLayout('moving', { image: helloImage({ files: [{ path: 'newer', content: 'y' }] }) });
    expect(await lines('update', 'moving')).toContain(`Extracting to ${CHECKOUTS}/moving.1`);
    expect(await stage.run('cat', `${CHECKOUTS}/moving/rootfs/newer`)).toBe('y');
    await stage.succeed('uninstall', 'moving');
  });

  it('reach the network under no other name than their registry’s', async () => {
    const talk = ['strace', '-f', '-qq', '-e', 'trace=connect,sendto,sendmmsg', '-o', '/var/log/talk'];
    const contacted = async (...args: string[]): Promise<string> => {
      await stage.host.exec('env', [...talk, 'atomic-ts', ...args]);
      return stage.shell("grep -E 'sa_family=AF_INET|\\\\1' /var/log/talk || true");
    };
    // In the local storage: nobody is asked.
    stage.addLayout('plain', { image });
    await stage.succeed('pull', 'oci:/images/plain');
    expect(await contacted('install', 'plain', '--name', 'unqualified', '--no-start')).toBe('');
    expect(await stage.run('cat', `${CHECKOUTS}/unqualified/rootfs/from-a-file`)).toBe('x');
    expect(await contacted('update', 'unqualified', '--no-pull')).toBe('');
    await stage.succeed('uninstall', 'unqualified');
    // Not there: the public registry is, and the image's name is never taken for a host's.
    await stage.shell("echo '127.0.0.1 registry-1.docker.io' >>/etc/hosts");
    const missing = await stage.atomic(['install', 'nowhere', '--no-start']);
    expect(missing.code).toBe(1);
    expect(missing.stderr).toContain(
      'The image `nowhere` is not fully qualified: it is pulled from docker.io',
    );
    expect(missing.stderr).toContain('registry-1.docker.io');
    const addresses = await contacted('install', 'nowhere', '--no-start');
    expect(addresses).toContain('sin_port=htons(443), sin_addr=inet_addr("127.0.0.1")');
    expect(addresses).not.toContain('htons(53)');
  });
});
