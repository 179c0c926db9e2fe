/** Looking into images and containers: as trees on folders of the host, and what two of them differ in. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { buildImage, type TarEntry } from '../fixtures/image-builder.ts';
import type { ExecResult } from '../host/host.ts';
import { breakAt, findMoment, prepareCrashes } from './support/crash.ts';
import { busyboxLayer, hostPlatform, STAY } from './support/images.ts';
import { CHECKOUTS, openStage, show, type Stage } from './support/stage.ts';

const MOUNTS = `${CHECKOUTS}/.atomic-ts/mounts`;
const DIR = '/mnt/tree';
const HOSTILE = 'edge/line\nFiles only in evil:';

let stage: Stage;
let edge: string;
let plain: string;

const run = (script: string): TarEntry => ({
  path: 'usr/bin/run.sh',
  content: `#!/bin/sh\n${script}\n`,
  mode: 0o755,
});
const LOWER: readonly TarEntry[] = [
  run(STAY),
  { path: 'edge', type: 'dir' },
  { path: 'edge/gone', content: 'below' },
  { path: 'edge/keep', content: 'kept', mode: 0o4755, uid: 7, gid: 9 },
  { path: 'edge/link', type: 'symlink', target: 'keep' },
  { path: 'edge/opaque', type: 'dir' },
  { path: 'edge/opaque/old', content: 'old' },
  { path: 'edge/todir', content: 'a file' },
  { path: 'edge/tofile', type: 'dir' },
  { path: 'edge/tofile/x', content: 'x' },
  // What a layer below an overlay would be told by.
  { path: 'edge/marked', type: 'dir', xattrs: { 'trusted.overlay.opaque': 'y' } },
  { path: 'edge/moved', type: 'dir', xattrs: { 'trusted.overlay.redirect': '/edge/keep' } },
  { path: 'edge/moved/inside', content: 'inside', xattrs: { 'user.mark': 'yes' } },
];
const UPPER: readonly TarEntry[] = [
  { path: 'edge/gone', type: 'whiteout' },
  { path: 'edge/opaque', type: 'opaque' },
  { path: 'edge/opaque/new', content: 'new' },
  { path: 'edge/todir', type: 'dir', mode: 0o711 },
  { path: 'edge/todir/x', content: 'x' },
  { path: 'edge/tofile', content: 'a file' },
  { path: HOSTILE, content: 'hostile' },
];

const edgeImage = (...layers: readonly (readonly TarEntry[])[]): ReturnType<typeof buildImage> =>
  buildImage({
    layers: [busyboxLayer(), ...layers.map((entries) => ({ entries }))],
    config: { Cmd: ['/usr/bin/run.sh'], Volumes: { '/data': {} } },
    platform: hostPlatform(),
  });

/** Everything of a tree but times. */
const describeTree = (path: string): Promise<string> =>
  stage.shell(
    `cd "$1"
    {
      find . -printf '%p %y %m %U:%G %l\\n'
      find . -type f -print0 | xargs -0 sha256sum
      getfattr -R -P -h -d -m - -e hex .
    } | LC_ALL=C sort`,
    path,
  );
const isMounted = async (path = DIR): Promise<boolean> =>
  (await stage.host.exec('mountpoint', ['--quiet', path])).code === 0;
const kept = (): Promise<string> => stage.shell(`ls ${MOUNTS} 2>/dev/null || true`);
const told = ({ code, stderr }: ExecResult): string => `${code} ${stderr.split('\n')[0]}`;

beforeAll(async () => {
  stage = await openStage();
  prepareCrashes(stage);
  edge = await stage.push(edgeImage(LOWER, UPPER), 'edge');
  plain = await stage.push(edgeImage(LOWER), 'plain');
  for (const image of [edge, plain]) await stage.succeed('pull', image);
  await stage.succeed('install', edge, '--name', 'stopped', '--no-start');
  await stage.succeed('install', edge, '--name', 'web');
  await stage.shell(`mkdir -p ${DIR} /mnt/other /mnt/full; touch /mnt/full/file; ln -s tree /mnt/link`);
});
afterAll(() => stage.close());
afterEach(async () => {
  for (const path of [DIR, '/mnt/other']) if (await isMounted(path)) await stage.run('umount', '-R', path);
});

describe('mount', () => {
  it('shows the tree that an install checks out, read-only', async () => {
    expect(await stage.succeed('mount', edge, DIR)).toBe('');
    expect(await describeTree(DIR)).toBe(await describeTree(`${CHECKOUTS}/stopped/rootfs`));
    expect(await stage.shell(`ls ${DIR}/edge/opaque ${DIR}/edge/todir; cat ${DIR}/edge/tofile`)).toBe(
      `${DIR}/edge/opaque:\nnew\n\n${DIR}/edge/todir:\nx\na file`,
    );
    expect(await stage.run('findmnt', '--noheadings', '--output', 'VFS-OPTIONS', DIR)).toMatch(
      /^ro,nosuid,nodev(?:,relatime)?$/,
    );
    expect((await stage.host.exec('touch', [`${DIR}/edge/keep`])).stderr).toContain('Read-only file system');
    expect(await stage.succeed('umount', DIR)).toBe('');
    expect([await isMounted(), await kept(), await stage.run('ls', DIR)]).toEqual([false, '', '']);
  });

  it('shows it to the end, whatever becomes of the image', async () => {
    await stage.succeed('mount', plain, DIR, '--options', 'noexec');
    await stage.succeed('mount', `docker://${plain}`, '/mnt/other');
    const before = await describeTree(DIR);
    await stage.succeed('-y', 'images', 'delete', plain);
    await stage.succeed('images', 'prune');
    expect(await describeTree(DIR)).toBe(before);
    expect((await stage.host.exec(`${DIR}/bin/busybox`)).stderr).toContain('Permission denied');
    await stage.succeed('unmount', DIR);
    expect(await describeTree('/mnt/other')).toBe(before);
    await stage.succeed('unmount', '/mnt/other');
    expect(await kept()).toBe('');
    await stage.succeed('pull', plain);
  });

  it('shows a container, which goes before an image, and says so with --json', async () => {
    const mounted = JSON.parse(await stage.succeed('--json', 'mount', 'stopped', DIR, '--shared')) as object;
    expect(mounted).toMatchObject({ kind: 'container', name: 'stopped', directory: DIR });
    expect(await stage.shell(`stat -c %i ${DIR} ${CHECKOUTS}/stopped/rootfs | uniq | wc -l`)).toBe('1');
    await stage.succeed('unmount', '/mnt/link');
  });

  it('of a container that is uninstalled meanwhile can be taken away, wherever it is', async () => {
    const odd = '/mnt/a b,c:d\\e\nf';
    await stage.run('mkdir', odd);
    await stage.succeed('install', plain, '--name', 'gone', '--no-start');
    await stage.succeed('mount', 'gone', odd);
    await stage.succeed('uninstall', 'gone');
    expect(await stage.run('ls', odd)).toBe('');
    expect(told(await stage.atomic(['mount', edge, odd]))).toContain('1 Cannot mount');
    await stage.succeed('unmount', odd);
    expect([await isMounted(odd), await kept()]).toEqual([false, '']);
  });

  it('shows a container that runs with its volumes, and what it writes there', async () => {
    expect(told(await stage.atomic(['mount', 'stopped', DIR, '--live']))).toBe(
      '1 Cannot mount stopped with --live: it does not run',
    );
    await stage.succeed('mount', 'web', DIR, '--live');
    await stage.shell(`runc exec web sh -c 'echo there >/data/file'; echo here >${DIR}/data/from-outside`);
    expect(await stage.shell(`cat ${DIR}/data/file; runc exec web cat /data/from-outside`)).toBe(
      'there\nhere',
    );
    expect((await stage.host.exec('touch', [`${DIR}/edge/keep`])).stderr).toContain('Read-only file system');
    // Nothing of it is to be seen in the container's own tree.
    expect(await stage.run('ls', `${CHECKOUTS}/web/rootfs/data`)).toBe('');
    await stage.succeed('unmount', DIR);
    expect([await isMounted(), await kept()]).toEqual([false, '']);
  });

  it('with a label of its own is a file system of its own, and the same tree', async () => {
    const contexts = '/etc/selinux/targeted/contexts/lxc_contexts';
    await stage.host.writeFile(contexts, 'file = "system_u:object_r:container_file_t:s0:c1,c2"\n');
    // SELinux seems to be on; mount(8), which knows better, leaves the label out.
    const script = `
      mkdir -p /tmp/fs/selinux
      echo 1 >/tmp/fs/selinux/enforce
      mount --bind /tmp/fs /sys/fs
      atomic-ts mount "$1" ${DIR} --shared
      findmnt --noheadings --output FSTYPE ${DIR}
      cd ${DIR}/edge; find . -printf '%p %y %m %U:%G %l.\\n' | LC_ALL=C sort; cd /
      atomic-ts unmount ${DIR}
      find ${MOUNTS} ${DIR} -mindepth 1`;
    const shown = await stage.run('unshare', '--mount', 'sh', '-euc', script, 'sh', edge);
    const list = `cd ${CHECKOUTS}/stopped/rootfs/edge; find . -printf '%p %y %m %U:%G %l.\\n' | LC_ALL=C sort`;
    expect(shown).toBe(`overlay\n${await stage.shell(list)}`);
  });

  it.each([
    [['stopped', '/mnt/full'], 'Cannot mount stopped on /mnt/full: The destination path is not empty.'],
    [['stopped', '/mnt/link'], 'Cannot mount stopped on /mnt/link: it is a symbolic link'],
    [['stopped', '/mnt/nowhere'], 'Cannot mount stopped on /mnt/nowhere: there is no such folder'],
    [['stopped', '/proc/sys/fs/binfmt_misc/..'], 'Cannot mount stopped on /proc/sys/fs: The destination'],
    [['nothing', DIR], "Unable to associate 'nothing' with an image or container"],
    [['stopped', DIR, '--options', 'rw'], 'A tree cannot be mounted with the option rw: it is read-only'],
    [['stopped', DIR, '--storage', 'docker'], "The storage backend 'docker' is not available"],
  ])('refuses %j', async (args, sentence) => {
    const result = await stage.atomic(['mount', ...args]);
    expect(told(result)).toContain(`1 ${sentence}`);
    expect([await isMounted(), await kept()]).toEqual([false, '']);
  });

  it('refuses a folder twice, and a folder that somebody else has mounted something on', async () => {
    await stage.succeed('mount', edge, DIR);
    expect(told(await stage.atomic(['mount', 'stopped', DIR]))).toBe(
      `1 Cannot mount stopped on ${DIR}: something is mounted there already`,
    );
    await stage.run('mount', '-t', 'tmpfs', 'tmpfs', '/mnt/other');
    expect(told(await stage.atomic(['unmount', '/mnt/other']))).toBe(
      '1 What is mounted at /mnt/other was not mounted by atomic-ts',
    );
    expect(told(await stage.atomic(['unmount', '/mnt/full']))).toBe('1 No device mounted at /mnt/full');
    await stage.succeed('unmount', DIR);
  });

  it('that is in use stays, and the message says how to find by whom', async () => {
    await stage.succeed('mount', edge, DIR);
    await stage.run('systemd-run', '--quiet', '--unit=user', `--working-directory=${DIR}`, 'sleep', '60');
    const busy = await stage.atomic(['unmount', DIR]);
    expect(show(busy)).toBe(
      `status 1\nCannot unmount ${DIR}: a process is in it, or has a file of it open\n` +
        `fuser -vm ${DIR} tells which; end it, or have it leave, and try again.\n`,
    );
    expect(await isMounted()).toBe(true);
    await stage.run('systemctl', 'stop', 'user');
    await stage.succeed('unmount', DIR);
    expect(await kept()).toBe('');
  });

  it('killed at any moment leaves all or nothing, once it is repaired', async () => {
    const first = await findMoment(stage, /mounts/, ['mount', 'stopped', DIR]);
    await stage.succeed('unmount', DIR);
    const log = await breakAt(stage, 0, ['mount', 'stopped', DIR]);
    await stage.succeed('unmount', DIR);
    const last = log.split('\n').length;
    expect(last - first).toBeGreaterThan(8);
    const checkout = await findMoment(stage, /ostree/, ['mount', edge, DIR]);
    await stage.succeed('unmount', DIR);
    // All of it in one go: to enter the host costs more than what is done there.
    const script = `
      killed() {
        bash /images/crash-check.sh break $2 atomic-ts mount $1 ${DIR} >/dev/null
        repaired=$(atomic-ts repair 2>&1)
        if mountpoint --quiet ${DIR}; then atomic-ts unmount ${DIR}; fi
        echo "$(echo "$repaired" | sed 's/ .*//') $(ls ${MOUNTS} | wc -l) $(grep -cF ${CHECKOUTS} /proc/self/mountinfo)"
      }
      for moment in $(seq $1 $2); do killed stopped $moment; done
      killed $3 $4; killed $3 $(($4 + 1))`;
    const args = [first, last].map(String).concat(edge, String(checkout));
    const ends = new Set((await stage.shell(script, ...args)).split('\n'));
    // What was repaired, and what is left: folders, and mounts.
    expect([...ends].sort()).toEqual(['Removed 0 0', 'There 0 0']);
  });

  it('leaves nothing behind that an administrator’s umount or a reboot has ended', async () => {
    await stage.succeed('mount', edge, DIR);
    await stage.run('umount', DIR);
    await stage.succeed('images', 'list');
    expect(await kept()).toBe('');
    await stage.succeed('mount', edge, DIR);
    await stage.host.reboot();
    expect(await kept()).not.toBe('');
    await stage.succeed('containers', 'list');
    expect(await kept()).toBe('');
  });
});

describe('diff', () => {
  it('tells what two images differ in, as atomic did, and ends with 0', async () => {
    expect(await stage.succeed('diff', plain, edge)).toBe(
      `
Files only in ${plain}:
     edge/gone
     edge/opaque/old
     edge/tofile/x

Files only in ${edge}:
     edge/line\\u000aFiles only in evil:
     edge/opaque/new
     edge/todir/x

Common files that are different: (reason)
     edge/todir (type)
     edge/tofile (type)


`,
    );
    expect(await stage.succeed('diff', edge, `docker://${edge}`, '-k', 'mode')).toBe(
      `\nThere are no file differences between ${edge} and docker://${edge}\n\n\n`,
    );
  });

  it('tells what a container has that its image has not, as JSON, and in what they were made otherwise', async () => {
    // One that no runtime has made mount points in.
    await stage.succeed('install', edge, '--name', 'fresh', '--no-start');
    const rootfs = `${CHECKOUTS}/fresh/rootfs`;
    await stage.shell(
      `cd ${rootfs}/edge; cp --preserve=all keep copy; mv copy keep; setfattr -n user.new -v 1 keep; chmod 600 todir; touch added`,
    );
    const document = JSON.parse(await stage.succeed('diff', '--json', '-m', edge, 'fresh')) as object;
    expect(document).toEqual({
      [edge]: { unique_files: [], unique_metadata: {} },
      fresh: {
        unique_files: ['edge/added'],
        unique_metadata: {
          container: expect.objectContaining({
            image: edge,
            values: expect.objectContaining({ NAME: 'fresh' }),
          }),
        },
      },
      files_differ: [
        { path: 'edge/keep', reasons: ['xattr'] },
        { path: 'edge/todir', reasons: ['mode'] },
      ],
    });
    const metadata = await stage.succeed('diff', '-mn', plain, edge);
    expect(metadata).toMatch(/^\nMetadata only in \S+:\n\{\n {4}"digest": "sha256:/);
    expect(metadata).toContain('"diff_ids": [');
  });

  it.each([
    [['-n', 'a', 'b'], '2 When repressing a file diff, you must choose to diff RPMs (-r) or metadata (-m)'],
    [['nothing', 'web'], "1 Unable to associate 'nothing' with an image or container"],
    [['-r', '-n', '-v', 'web', 'stopped'], '1 web is not RPM based.'],
  ])('refuses %j', async (args, sentence) => {
    expect(told(await stage.atomic(['diff', ...args]))).toBe(sentence);
    expect(await stage.shell(`ls ${CHECKOUTS}/.atomic-ts/verify`)).toBe('');
  });
});
