/** Containers on somebody else's tree, those of the operating system, those of host files alone, and what is kept of values. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TarEntry } from '../fixtures/image-builder.ts';
import { helloImage, makeImage } from './support/images.ts';
import {
  CHECKOUTS,
  listChanges,
  openStage,
  readInfo,
  REGISTRY,
  show,
  takeSnapshot,
  UNITS,
  waitForPage,
  type Stage,
} from './support/stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.close());

const lines = async (...args: string[]): Promise<string[]> =>
  (await stage.succeed(...args)).split('\n').slice(0, -1);

/** A command that fails: its message alone, and that nothing was changed. */
async function refusal(...args: string[]): Promise<string> {
  const before = await takeSnapshot(stage);
  const result = await stage.atomic(['--quiet', ...args]);
  expect([result.code, await listChanges(stage, before), show(result)]).toEqual([1, [], expect.anything()]);
  return result.stderr.split('\n')[0] ?? '';
}

async function judge(name: string): Promise<{ code: number; found: string[] }> {
  const { code, stdout, stderr } = await stage.atomic(['--json', 'status', name]);
  if (stdout === '') throw new Error(stderr);
  const { parts } = JSON.parse(stdout) as { parts: { name: string; status: string; found: string }[] };
  return { code, found: parts.filter(({ status }) => status === 'drift').map(({ found }) => found) };
}

const AS_RECORDED = { code: 0, found: [] };
const page = (port: number, text: string): Promise<void> =>
  waitForPage(stage, `http://localhost:${port}/`, text);

describe('a container on the tree of another', () => {
  const rootfs = `${CHECKOUTS}/owner.0/rootfs`;
  let before: string;
  let image: string;
  beforeAll(async () => {
    image = await stage.push(helloImage(), 'hello');
    before = await takeSnapshot(stage);
    await stage.succeed('install', image, '--name', 'owner');
  });

  it('is installed in the words of atomic, with a link for a tree', async () => {
    const args = ['--set', 'PORT=8085', '--set', 'RECEIVER=x'];
    expect(await lines('install', '--rootfs', `${CHECKOUTS}/owner`, '--name', 'rem', ...args, image)).toEqual(
      [
        `The remote rootfs for this container is set to be ${rootfs}`,
        `Extracting to ${CHECKOUTS}/rem.0`,
        'systemctl daemon-reload',
        'systemd-tmpfiles --create /etc/tmpfiles.d/rem.conf',
        'systemctl enable rem',
        'systemctl start rem',
      ],
    );
    await page(8085, 'Hi x');
    expect(await stage.run('readlink', `${CHECKOUTS}/rem.0/rootfs`)).toBe(rootfs);
    const config = JSON.parse(await stage.host.readFile(`${CHECKOUTS}/rem.0/config.json`)) as object;
    expect(config).toMatchObject({ root: { path: rootfs, readonly: true } });
    expect(await readInfo(stage, 'rem')).toMatchObject({ remote: rootfs });
    expect(await judge('rem')).toEqual(AS_RECORDED);
  });

  it('is not installed where there is no tree', async () => {
    expect(await refusal('install', '--rootfs', '/nonexistent', '--name', 'rem2', image)).toBe(
      "The container's rootfs is set to remote, but the remote rootfs does not exist",
    );
    expect(await refusal('install', '--rootfs', '/etc', '--name', 'rem3', image)).toBe(
      '--remote was specified but the given location does not contain a rootfs',
    );
  });

  it('is updated to other values only, and rolled back', async () => {
    expect(await lines('containers', 'update', 'rem')).toEqual(['Latest version already installed.']);
    await stage.takeRequests();
    expect((await lines('update', 'rem', '--set', 'RECEIVER=y')).slice(0, 3)).toEqual([
      'Updating a container with a remote rootfs. Only changes to config will be applied.',
      `The remote rootfs for this container is set to be ${rootfs}`,
      `Extracting to ${CHECKOUTS}/rem.1`,
    ]);
    expect(await stage.takeRequests()).toEqual([]);
    await page(8085, 'Hi y');
    await stage.succeed('containers', 'rollback', 'rem');
    await page(8085, 'Hi x');
    expect(await judge('rem')).toEqual(AS_RECORDED);
    expect(await refusal('update', 'rem', '--rebase', image)).toContain(
      `Cannot take rem to the image ${image}: its root file system is elsewhere`,
    );
  });

  it('is made what was recorded by repair', async () => {
    await stage.shell(`cd ${CHECKOUTS}; rm rem.0/rootfs; ln -s /srv rem.0/rootfs; echo >>rem.0/config.json`);
    expect((await judge('rem')).found).toEqual([
      `${CHECKOUTS}/rem.0/config.json was edited`,
      `${CHECKOUTS}/rem.0/rootfs does not lead to ${rootfs}`,
    ]);
    await stage.succeed('repair', 'rem');
    expect(await judge('rem')).toEqual(AS_RECORDED);
    await page(8085, 'Hi x');
  });

  it('keeps the tree from being taken away, unless that is forced', async () => {
    // The other deployment is free.
    await stage.succeed('update', 'owner', '--set', 'RECEIVER=Moon');
    await page(8085, 'Hi x');
    const told = `the container rem has its root file system in ${rootfs}`;
    expect(await refusal('update', 'owner', '--set', 'RECEIVER=Mars')).toBe(`Cannot update owner: ${told}`);
    expect(await refusal('uninstall', 'owner')).toBe(`Cannot uninstall owner: ${told}`);
    await stage.succeed('containers', 'rollback', 'owner');
    await stage.shell(`rm ${CHECKOUTS}/owner.0/rootfs/usr/bin/run.sh`);
    expect(await refusal('repair', 'owner')).toContain(
      `Cannot make owner again: the container rem runs on its tree, ${rootfs}`,
    );
    await stage.run('systemctl', 'stop', 'rem');
    await stage.succeed('repair', 'owner');
    await stage.run('systemctl', 'start', 'rem');
    await page(8085, 'Hi x');
    await stage.succeed('uninstall', '-f', 'owner');
    expect(await judge('rem')).toEqual({ code: 5, found: [`it is elsewhere, and missing: ${rootfs}`] });
    for (const command of [
      ['update', 'rem', '--set', 'RECEIVER=z'],
      ['repair', 'rem'],
      ['containers', 'rollback', 'rem'],
    ])
      expect(await refusal(...command)).toContain('the remote rootfs does not exist');
    await stage.succeed('uninstall', 'rem');
    await stage.shell('rm -r /run/owner /run/rem');
    expect(await listChanges(stage, before)).toEqual([]);
  });

  it('keeps a deployment from prune that has lost its container', async () => {
    await stage.succeed('install', image, '--name', 'owner', '--no-start');
    await stage.succeed('install', image, '--name', 'rem', '--no-start', '--rootfs', `${CHECKOUTS}/owner.0`);
    await stage.shell(`rm ${CHECKOUTS}/owner ${UNITS}/owner.service /etc/tmpfiles.d/owner.conf`);
    await stage.succeed('images', 'prune');
    expect(await judge('rem')).toEqual(AS_RECORDED);
    expect(await refusal('install', image, '--name', 'owner')).toContain(
      'the container rem has its root file system in',
    );
    await stage.succeed('uninstall', 'rem');
    await stage.succeed('images', 'prune');
    await stage.shell(
      `rm ${UNITS}/*/owner.service; rmdir ${UNITS}/multi-user.target.wants; rm -r /run/owner /run/rem; systemctl daemon-reload; systemctl reset-failed`,
    );
    expect(await listChanges(stage, before)).toEqual([]);
  });
});

describe('a container on an unpacked tree', () => {
  it('is read without leaving the tree, follows its templates, and never touches it', async () => {
    const image = await stage.push(helloImage(), 'hello');
    const before = await takeSnapshot(stage);
    await stage.succeed('install', image, '--name', 'source', '--no-start');
    await stage.shell(`mkdir -p /srv/tree; cp -a ${CHECKOUTS}/source.0/rootfs/. /srv/tree`);
    await stage.succeed('uninstall', 'source');
    // Links out of the tree, to what the host has and the tree has not.
    await stage.shell(`cd /srv/tree; echo secret >/etc/secret.template; mkdir -p exports/hostfs/etc
      rm exports/tmpfiles.template; ln -s /etc/secret.template exports/tmpfiles.template
      ln -s ../../../../../../etc/secret.template exports/config.json
      ln -s /etc/secret.template exports/hostfs/etc/linked; echo 'for $NAME' >exports/hostfs/etc/rem.conf
      printf '{"defaultValues": {"RECEIVER": "World", "PORT": "8081"}, "installedFilesTemplate": ["/etc/rem.conf"]}' >exports/manifest.json`);
    const listTree = "cd /srv/tree; find . -type f -exec sha256sum {} +; find . -printf '%p %y %m %u %l\\n'";
    const tree = await stage.shell(listTree);
    expect(await lines('install', '--rootfs', '/srv/tree', '--name', 'rem', image)).toEqual([
      'The remote rootfs for this container is set to be /srv/tree',
      `Extracting to ${CHECKOUTS}/rem.0`,
      'Created file /etc/linked',
      'Created file /etc/rem.conf',
      'systemctl daemon-reload',
      'systemd-tmpfiles --create /etc/tmpfiles.d/rem.conf',
      'systemctl enable rem',
      'systemctl start rem',
    ]);
    await page(8081, 'Hi World');
    expect(await stage.shell(`cat /etc/rem.conf; readlink /etc/linked; cat /etc/tmpfiles.d/rem.conf`)).toBe(
      'for rem\n/etc/secret.template\nd    /run/rem   0700 0 0 - -',
    );

    await stage.shell(
      `cd /srv/tree/exports; sed -i 's/World/Tree/' manifest.json; echo 'now $NAME' >hostfs/etc/rem.conf`,
    );
    await stage.succeed('update', 'rem');
    await page(8081, 'Hi Tree');
    expect(await stage.run('cat', '/etc/rem.conf')).toBe('now rem');
    // The tree has forgotten what it was; the deployment has not.
    await stage.succeed('containers', 'rollback', 'rem');
    await page(8081, 'Hi World');
    expect(await stage.run('cat', '/etc/rem.conf')).toBe('for rem');
    await stage.run('rm', '/etc/rem.conf');
    await stage.succeed('repair', 'rem');
    expect(await stage.run('cat', '/etc/rem.conf')).toBe('for rem');

    await stage.shell(
      `cd /srv/tree/exports; sed -i 's/Tree/World/' manifest.json; echo 'for $NAME' >hostfs/etc/rem.conf`,
    );
    await stage.succeed('uninstall', 'rem');
    expect(await stage.shell(listTree)).toBe(tree);
    await stage.shell('rm -r /run/rem /run/source /srv/tree /etc/secret.template; test ! -e /etc/rem.conf');
    expect(await listChanges(stage, before)).toEqual([]);
  });
});

describe('a container of the operating system', () => {
  it('is listed and judged, and is nobody’s to change but the package manager’s', async () => {
    const image = await stage.push(helloImage(), 'hello');
    const before = await takeSnapshot(stage);
    await stage.succeed('install', image, '--name', 'os', '--no-start');
    await stage.shell(`mkdir -p /usr/lib/containers/atomic; cp -a ${CHECKOUTS}/os.0 /usr/lib/containers/atomic/os.0
      ln -s os.0 /usr/lib/containers/atomic/os; cd /usr/lib/containers/atomic/os.0; rm tmpfiles-os.conf
      sed -i 's|${CHECKOUTS}/os.0|/usr/lib/containers/atomic/os|' info os.service config.json
      cp os.service /usr/lib/systemd/system/os.service`);
    await stage.succeed('uninstall', 'os');
    await stage.shell(`cd /usr/lib/containers/atomic/os
      node -e 'const fs = require("fs"); const i = JSON.parse(fs.readFileSync("info")); delete i["files-checksum"]; fs.writeFileSync("info", JSON.stringify(i))'
      mkdir -p /run/os; systemctl daemon-reload; systemctl enable --now os`);
    await page(8081, 'Hi World');
    const listed = JSON.parse(await stage.succeed('containers', 'list', '--json')) as object[];
    expect(listed).toMatchObject([{ id: 'os', state: 'running', backend: 'ostree' }]);
    expect(listed).toHaveLength(1);
    expect(await judge('os')).toEqual(AS_RECORDED);
    for (const [what, ...command] of [
      ['update', 'update', 'os'],
      ['update', 'containers', 'update', 'os', '--set', 'RECEIVER=x'],
      ['roll back', 'containers', 'rollback', 'os'],
      ['uninstall', 'uninstall', 'os'],
      ['repair', 'repair', 'os'],
    ] as const)
      expect(await refusal(...command)).toBe(
        `Cannot ${what} os: it is part of the operating system (/usr/lib/containers/atomic/os.0)`,
      );
    expect(await lines('install', '--name', 'os', image)).toEqual(['os already present']);
    await stage.shell('echo >>/usr/lib/systemd/system/os.service; systemctl daemon-reload');
    const edited = await judge('os');
    expect(edited).toEqual({
      code: 5,
      found: [expect.stringMatching(/\/lib\/systemd\/system\/os.service was edited$/)],
    });
    await stage.shell(`systemctl disable --now os; rm -r /usr/lib/containers/atomic /usr/lib/systemd/system/os.service /run/os
      systemctl daemon-reload`);
    expect(await listChanges(stage, before)).toEqual([]);
  });
});

describe('an image of host files alone', () => {
  const filesImage = (version: string, more: readonly TarEntry[] = []) =>
    makeImage([
      {
        path: 'exports/manifest.json',
        content: JSON.stringify({
          noContainerService: true,
          defaultValues: { RECEIVER: 'World', DIRECTORY: 'share' },
          renameFiles: { '/usr/local/place': '/usr/local/${DIRECTORY}' },
          installedFilesTemplate: ['/etc/hf.conf', '/usr/local/share/hf/tmpl'],
        }),
      },
      { path: 'exports/hostfs/etc/hf.conf', content: `${version} for $RECEIVER\n` },
      { path: 'exports/hostfs/usr/local/place/hf/tool', content: `tool ${version}`, mode: 0o755 },
      { path: 'exports/hostfs/usr/local/place/hf/tmpl', content: 'hello $RECEIVER at $DESTDIR\n' },
      { path: 'exports/hostfs/usr/local/place/hf/link', type: 'symlink', target: 'tool' },
      ...more,
    ]);
  const state = () => stage.shell('cd /usr/local/share/hf; cat /etc/hf.conf tmpl tool; stat -c "%n %a %U" *');
  let image: string;
  let before: string;
  let first: string;
  let second: string;

  it('is updated and rolled back, file for file, by values and by image', async () => {
    image = await stage.push(filesImage('one'), 'files');
    before = await takeSnapshot(stage);
    await stage.succeed('install', image, '--name', 'hf');
    expect(await stage.run('ls', `${CHECKOUTS}/hf.0`)).toBe('hostfs\ninfo');
    first = await state();
    expect(first).toContain(`one for World\nhello World at ${CHECKOUTS}/hf.0\ntool one`);
    await stage.push(filesImage('two', [{ path: 'exports/hostfs/etc/hf.more', content: 'more' }]), 'files');
    await stage.succeed('update', 'hf', '--set', 'RECEIVER=Two');
    second = await state();
    expect(second).toContain(`two for Two\nhello Two at ${CHECKOUTS}/hf.1\ntool two`);
    expect(await judge('hf')).toEqual(AS_RECORDED);
    expect(await lines('containers', 'rollback', 'hf')).toEqual([
      'Attempting to roll back system container: hf',
      `Rolling back container hf to the checkout at ${CHECKOUTS}/hf.0`,
      'Created file /etc/hf.conf',
      'Created file /usr/local/share/hf/link',
      'Created file /usr/local/share/hf/tmpl',
      'Created file /usr/local/share/hf/tool',
      'systemctl daemon-reload',
    ]);
    expect(await state()).toBe(first);
    expect(await stage.shell('test -e /etc/hf.more || echo gone')).toBe('gone');
    await stage.succeed('containers', 'rollback', 'hf');
    expect(await state()).toBe(second);
    expect(await judge('hf')).toEqual(AS_RECORDED);
  });

  it('leaves what was changed by hand, on the way back and forth', async () => {
    await stage.shell('echo mine >/etc/hf.conf');
    expect(await lines('containers', 'rollback', 'hf')).toEqual(
      expect.arrayContaining([
        'Will not delete /etc/hf.conf as it was manually modified.',
        'File /etc/hf.conf already exists',
      ]),
    );
    expect(await stage.run('cat', '/etc/hf.conf')).toBe('mine');
    await stage.shell("printf 'one for World\\n' >/etc/hf.conf");
    expect(await state()).toBe(first);
  });

  it('needs neither tree nor image for that; where atomic kept nothing, its image is enough', async () => {
    await stage.shell(`rm -r ${CHECKOUTS}/hf.1/hostfs`);
    await stage.succeed('containers', 'rollback', 'hf');
    expect(await state()).toBe(second);
    await stage.succeed('-y', 'images', 'delete', '--force', image);
    await stage.succeed('images', 'prune');
    await stage.succeed('containers', 'rollback', 'hf');
    expect(await state()).toBe(first);
    expect(await refusal('containers', 'rollback', 'hf')).toContain('is no longer in the local storage');
    await stage.succeed('uninstall', 'hf');
    // Folders stay, as with atomic.
    await stage.shell('test ! -e /etc/hf.conf; rmdir /usr/local/share/hf');
    expect(await listChanges(stage, before)).toEqual([]);
  });

  it('takes the place of a service, and gives it back', async () => {
    const service = await stage.push(helloImage(), 'service');
    image = await stage.push(filesImage('one'), 'files');
    await stage.succeed('install', service, '--name', 'turn');
    await page(8081, 'Hi World');
    expect(await lines('update', 'turn', '--rebase', image)).toContain('systemctl disable --now turn');
    expect(await stage.shell(`find ${UNITS} -name 'turn*'; runc list -q`)).toBe('');
    expect(await judge('turn')).toEqual(AS_RECORDED);
    await stage.succeed('containers', 'rollback', 'turn');
    await page(8081, 'Hi World');
    expect(await stage.run('systemctl', 'is-enabled', 'turn')).toBe('enabled');
    expect(await judge('turn')).toEqual(AS_RECORDED);
    await stage.succeed('uninstall', 'turn');
    await stage.shell('rm -r /run/turn; rmdir /usr/local/share/hf');
    expect(await listChanges(stage, before)).toEqual([]);
  });

  it('is never written through a link of the host to another place', async () => {
    await stage.shell('ln -s /etc /usr/local/share/hf');
    expect(await refusal('install', image, '--name', 'hf')).toContain(
      '/usr/local/share/hf is a symbolic link that leads out of its folder, to /etc',
    );
    await stage.shell('rm /usr/local/share/hf; test ! -e /etc/tool; test ! -e /etc/hf.conf');
    const out = makeImage([
      { path: 'exports/manifest.json', content: '{"noContainerService": true}' },
      { path: 'exports/hostfs', type: 'symlink', target: '../../../../out' },
      { path: 'out/etc/inside', content: 'of the image' },
    ]);
    await stage.shell('mkdir -p /out/etc; echo host >/out/etc/outside');
    await stage.succeed('install', await stage.push(out, 'out'), '--name', 'out');
    expect(await stage.shell('cat /etc/inside; test ! -e /etc/outside')).toBe('of the image');
    await stage.succeed('uninstall', 'out');
    await stage.shell('rm -r /out');
    expect(await listChanges(stage, before)).toEqual([]);
  });
});

describe('values and the runtime', () => {
  it('are kept by where they came from: a default that was set is the user’s from then on', async () => {
    const image = await stage.push(helloImage(), 'values');
    await stage.shell(
      `printf '#!/bin/sh\\nexec runc "$@"\\n' >/usr/local/bin/my-runc; chmod 755 /usr/local/bin/my-runc`,
    );
    await stage.succeed('install', image, '--name', 'val', '--runtime', '/usr/local/bin/my-runc');
    await page(8081, 'Hi World');
    await stage.succeed('update', 'val', '--set', 'RECEIVER=World');
    expect((await readInfo(stage, 'val'))['value-sources']).toMatchObject({
      RECEIVER: 'set',
      PORT: 'manifest',
    });
    expect(await lines('update', 'val', '--set', 'RECEIVER=World')).toEqual([
      'Latest version already installed.',
    ]);
    await stage.push(helloImage({ defaults: { RECEIVER: 'Moon', PORT: '8082' } }), 'values');
    await stage.succeed('update', 'val');
    await page(8082, 'Hi World');
    expect(await readInfo(stage, 'val')).toMatchObject({ runtime: '/usr/local/bin/my-runc' });
    expect(await stage.run('grep', '-c', 'ExecSt.*=/usr/local/bin/my-runc', `${UNITS}/val.service`)).toBe(
      '2',
    );
    await stage.run('mv', '/usr/local/bin/my-runc', '/usr/local/bin/other-runc');
    expect(await refusal('update', 'val', '--set', 'RECEIVER=x')).toBe(
      'Cannot install the container: the runtime /usr/local/bin/my-runc is not installed',
    );
    await stage.run('mv', '/usr/local/bin/other-runc', '/usr/local/bin/my-runc');
    await stage.succeed('uninstall', 'val');
    await stage.shell('rm -r /run/val /usr/local/bin/my-runc');
    expect(
      await refusal('install', '--runtime', '/does/not/exist', '--name', 'rt', `${REGISTRY}/values`),
    ).toBe('Cannot install the container: the runtime /does/not/exist is not installed');
  });

  it('a hook that the host lacks is told of before anything is changed', async () => {
    const config = JSON.stringify({
      ociVersion: '1.0.2',
      process: { args: ['/usr/bin/run.sh'], cwd: '/' },
      root: { path: 'rootfs', readonly: true },
      hooks: { prestart: [{ path: '/usr/libexec/no-such-hook' }] },
      linux: { namespaces: [{ type: 'mount' }] },
    });
    const image = await stage.push(helloImage({ exports: { 'config.json.template': config } }), 'hooked');
    expect(await refusal('install', image, '--name', 'hooked')).toContain(
      'has a hooks.prestart[0].path "/usr/libexec/no-such-hook", and this host has no such program',
    );
  });
});
