/** Taking images out of the store: by hand, and what belongs to nothing any more; beside rivals, and cut off. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasStruck, prepareFaults, strike, type Fault } from './support/faults.ts';
import { helloImage, makeImage } from './support/images.ts';
import {
  CHECKOUTS,
  listChanges,
  openStage,
  REPOSITORY,
  startHostileRegistry,
  takeSnapshot,
  waitForPage,
  type Stage,
} from './support/stage.ts';

const PAGE = 'http://localhost:8081/';

let stage: Stage;
let hello: string;
let other: string;

const refs = async (): Promise<string[]> =>
  (await stage.run('ostree', `--repo=${REPOSITORY}`, 'refs', '--list')).split('\n').filter(Boolean).sort();
const fsck = (): Promise<string> => stage.run('ostree', `--repo=${REPOSITORY}`, 'fsck', '--quiet');
const objects = async (): Promise<number> =>
  Number(await stage.shell('find "$1/objects" -type f | wc -l', REPOSITORY));
const deleteImages = (...args: string[]): ReturnType<Stage['atomic']> =>
  stage.atomic(['images', 'delete', ...args]);

beforeAll(async () => {
  stage = await openStage();
  await prepareFaults(stage);
  hello = await stage.push(helloImage(), 'hello');
  other = await stage.push(makeImage([{ path: 'other', content: 'only here' }]), 'other');
  await stage.succeed('install', hello, '--name', 'hello');
});
afterAll(() => stage.close());

describe('images delete', () => {
  it('takes the image’s name out of the store, and tells it as atomic did', async () => {
    await stage.succeed('pull', other);
    const before = await refs();
    expect(await stage.succeed('-y', 'images', 'delete', other)).toBe(
      `The following images will be deleted.\n\n   IMAGE                  STORAGE\n   ${other}   ostree\n`,
    );
    const gone = before.filter((ref) => !ref.includes('other'));
    expect(gone).toHaveLength(before.length - 1);
    expect(await refs()).toEqual(gone);
    expect(await deleteImages('-y', other)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^Unable to find localhost:5000\/other in the ostree backend\n/),
    });
  });

  it.each([
    ['y\n', 0, true],
    ['YES\n', 0, true],
    ['n\n', 1, false],
    ['\n', 1, false],
    ['', 1, false],
  ])('asks, and takes %j for an answer', async (input, code, deletes) => {
    await stage.succeed('pull', other);
    const answered = await stage.atomic(['images', 'delete', `docker://${other}`], { input });
    expect(answered.code).toBe(code);
    expect(answered.stdout).toContain('Do you wish to delete the following images?\n');
    expect(answered.stdout).toContain('Confirm (y/N) ');
    expect((await refs()).some((ref) => ref.includes('other'))).toBe(!deletes);
  });

  it('refuses an image that a container was made from, until it is told to', async () => {
    expect(await deleteImages('-y', hello)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /^The image localhost:5000\/hello:latest is in use by the container hello\n/,
      ),
    });
    expect(await deleteImages('-y', '--all')).toMatchObject({ code: 1 });
    expect(await deleteImages('--all', '--force', '--dry-run', '--json')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('"localhost:5000/hello"'),
    });
    const before = await takeSnapshot(stage);
    expect(await deleteImages('-y', '--force', hello)).toMatchObject({ code: 0 });
    expect(await listChanges(stage, before)).toEqual([]);
    await stage.succeed('images', 'prune');
    await waitForPage(stage, PAGE, 'Hi World');
    await stage.succeed('pull', hello);
  });

  it.each([
    [['images', 'delete']],
    [['images', 'delete', '--all', 'busybox']],
    [['--json', 'images', 'delete', 'busybox']],
  ])('does not guess what %j means', async (args) => {
    expect(await stage.atomic(args)).toMatchObject({ code: 2 });
  });
});

describe('images prune', () => {
  it('removes layers of no image, with their objects and indexes, and nothing else', async () => {
    await stage.succeed('pull', hello);
    await stage.atomic(['images', 'delete', '-y', other]);
    await stage.succeed('images', 'prune');
    const before = { refs: await refs(), objects: await objects() };
    await stage.succeed('pull', other);
    await stage.succeed('-y', 'images', 'delete', other);
    const dangling = (await refs()).filter((ref) => !before.refs.includes(ref));
    expect(dangling).toHaveLength(2);
    expect(await stage.succeed('images', 'prune', '--dry-run')).toBe(
      `${dangling.map((ref) => `Deleting ${ref}\n`).join('')}\nNothing was changed.\n`,
    );
    expect(await refs()).toEqual([...before.refs, ...dangling].sort());
    expect(await stage.succeed('images', 'prune')).toBe(dangling.map((ref) => `Deleting ${ref}\n`).join(''));
    expect({ refs: await refs(), objects: await objects() }).toEqual(before);
    const indexes = await stage.shell('ls "$1/extensions/atomic-ts/layers-1"', REPOSITORY);
    expect(indexes.split('\n').every((hex) => before.refs.includes(`ociimage/${hex}`))).toBe(true);
    await fsck();
    expect(JSON.parse(await stage.succeed('--json', 'images', 'prune'))).toEqual({
      deployments: [],
      refs: [],
      partial: [],
    });
    // What is left is enough to install from, without the registry.
    await stage.succeed('install', hello, '--name', 'again', '--set', 'PORT=8082');
    await stage.succeed('uninstall', 'again');
  });

  it('leaves other tools’ refs and what they lead to', async () => {
    await stage.shell(
      'mkdir -p /tmp/foreign; echo os >/tmp/foreign/os; ostree --repo="$1" commit --branch=fedora/os --tree=dir=/tmp/foreign -s x',
      REPOSITORY,
    );
    await stage.succeed('images', 'prune');
    expect(await stage.run('ostree', `--repo=${REPOSITORY}`, 'cat', 'fedora/os', '/os')).toBe('os');
    await stage.run('ostree', `--repo=${REPOSITORY}`, 'refs', '--delete', 'fedora/os');
  });

  it('stops at an image that it cannot read, which can be deleted', async () => {
    await stage.succeed('pull', other);
    const before = await refs();
    await stage.shell('echo "$2" >"$1/refs/heads/ociimage/broken_3Alatest"', REPOSITORY, 'a'.repeat(64));
    const { code, stderr } = await stage.atomic(['images', 'prune']);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^Cannot tell which layers the image broken:latest needs: .* is missing\nPull it again, or delete it: atomic-ts images delete broken:latest\n$/,
    );
    expect(await refs()).toEqual([...before, 'ociimage/broken_3Alatest'].sort());
    await stage.succeed('-y', 'images', 'delete', 'broken');
    await stage.succeed('images', 'prune');
    expect(await refs()).toEqual(before);
  });

  it('removes deployments without a container, and failed ones that were kept of one that is gone', async () => {
    const before = await takeSnapshot(stage);
    await stage.shell(
      `cd "$1"; mkdir -p gone.0/rootfs gone.1/rootfs/x notes.1 used.0/rootfs .atomic-ts/failed/gone/deployment/rootfs .atomic-ts/failed/hello
       touch /etc/systemd/system/used.service; ln -s / gone.0/rootfs/root`,
      CHECKOUTS,
    );
    const { code, stdout, stderr } = await stage.atomic(['images', 'prune', '--json']);
    expect({ code, ...(JSON.parse(stdout) as object) }).toEqual({
      code: 0,
      deployments: [`${CHECKOUTS}/gone.0`, `${CHECKOUTS}/gone.1`, `${CHECKOUTS}/.atomic-ts/failed/gone`],
      refs: [],
      partial: [],
    });
    expect(stderr).toContain(`${CHECKOUTS}/used.0 stays: no container used is installed`);
    expect(await stage.shell('cd "$1"; ls -d *.[01] .atomic-ts/failed/*', CHECKOUTS)).toBe(
      '.atomic-ts/failed/hello\nhello.0\nnotes.1\nused.0',
    );
    await stage.shell(
      'cd "$1"; rm -r notes.1 used.0 .atomic-ts/failed /etc/systemd/system/used.service',
      CHECKOUTS,
    );
    expect(await listChanges(stage, before)).toEqual([]);
  });

  it('takes nothing of an installation that is going on in another process: it waits for it', async () => {
    // The image is there but for its last step, in which the installation stops.
    await stage.succeed('pull', hello);
    await stage.shell(
      `mkdir -p /opt/slow; printf '%s\\n' '#!/bin/sh' 'case " $* " in *" checkout "*) touch /run/at-checkout; while [ ! -e /run/go-on ]; do sleep 0.05; done;; esac' 'exec /usr/bin/ostree "$@"' >/opt/slow/ostree
       chmod 755 /opt/slow/ostree; rm -f /run/at-checkout /run/go-on
       systemd-run --quiet --unit=rival --setenv=PATH="/opt/slow:$PATH" atomic-ts install "$1" --name rival --settle 0.3
       until [ -e /run/at-checkout ]; do sleep 0.05; done`,
      other,
    );
    // Deleting has to wait as well: it would make its layers nobody's.
    const pid = await stage.run('systemctl', 'show', '-P', 'MainPID', 'rival');
    for (const args of [
      ['images', 'prune'],
      ['-y', 'images', 'delete', other],
    ]) {
      const refused = await stage.atomic(['--wait', '0', ...args]);
      expect(refused.code).toBe(1);
      expect(refused.stderr).toMatch(
        new RegExp(
          `^Cannot (prune the image store|delete images): process ${pid} \\(atomic-ts install, since .*\\) is at it\n`,
        ),
      );
    }
    // Two that only add go beside each other.
    await stage.succeed('--wait', '0', 'pull', hello);
    const [pruned] = await Promise.all([
      stage.atomic(['images', 'prune']),
      stage.shell('sleep 0.5; touch /run/go-on; while systemctl -q is-active rival; do sleep 0.1; done'),
    ]);
    expect(pruned).toMatchObject({ code: 0, stdout: '' });
    await fsck();
    await stage.host.exec('atomic-ts', ['uninstall', 'rival']);
  });

  it.each([
    ['ostree prune', 'before', 'finished'],
    ['ostree prune', 'after', 'finished'],
  ] as const)('killed at %s (%s it) is finished by repair', async (at, when: Fault['when'], outcome) => {
    await stage.succeed('pull', other);
    await stage.succeed('-y', 'images', 'delete', other);
    const result = await stage.atomic(['images', 'prune'], await strike(stage, { signal: 'KILL', at, when }));
    expect(await hasStruck(stage)).toBe(true);
    expect(result.code).toBe(137);
    const { code, stdout } = await stage.atomic(['repair']);
    expect(code).toBe(0);
    expect(stdout).toMatch(
      new RegExp(`^The prune of the image store by process \\d+ was cut off: it is ${outcome} now\n$`),
    );
    await fsck();
    expect(await stage.succeed('images', 'prune')).toBe('');
  });

  it('says whose lock it is when the pull that held it has died, and its ostree has not', async () => {
    const registry = await startHostileRegistry(stage);
    await stage.shell(
      `systemd-run --quiet --unit=dying -p KillMode=process -p SendSIGKILL=no atomic-ts pull "$1/stalled"
       until pgrep -x ostree >/dev/null; do sleep 0.05; done`,
      registry,
    );
    const pid = await stage.run('systemctl', 'show', '-P', 'MainPID', 'dying');
    const orphan = await stage.run('pgrep', '-x', 'ostree');
    await stage.run('kill', '-STOP', orphan);
    await stage.run('kill', '-KILL', pid);
    const refused = await stage.atomic(['--wait', '0', 'images', 'prune']);
    expect(refused.stderr).toMatch(
      new RegExp(
        `^Cannot prune the image store: process ${pid} \\(atomic-ts pull, since .*\\) has died, and its child ${orphan} \\(ostree\\) is still at work\n`,
      ),
    );
    // Its input has ended: awake, it finds that out and fails.
    await stage.run('kill', '-CONT', orphan);
    expect(await stage.atomic(['images', 'prune'])).toMatchObject({ code: 0 });
    expect((await stage.atomic(['repair'])).code).toBe(0);
    expect(await stage.shell('ls "$1/tmp" "$1/extensions/atomic-ts/layers-1"', REPOSITORY)).not.toMatch(
      /staging|tmp$/,
    );
    await fsck();
  });
});
