/** Hostile images through a container's whole life: what lies beside its tree stays as it is, whatever becomes of it. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ATTACKS, climbTo } from '../fixtures/attacks.ts';
import { buildImage, type BuiltImage, type TarEntry } from '../fixtures/image-builder.ts';
import type { ExecOptions } from '../host/host.ts';
import { prepareFaults, strike } from './support/faults.ts';
import { busyboxLayer, helloImage, hostPlatform, readHello } from './support/images.ts';
import { CHECKOUTS, listChanges, openStage, takeSnapshot, type Stage } from './support/stage.ts';

const CANARY = '/srv/canary';

let stage: Stage;
let before: string;
let canary: string;
let innocent: string;

/** Everything of the canaries. */
const watch = (): Promise<string> =>
  stage.shell(`
    find /srv/canary /srv/way-in /etc/canary.conf* -printf '%p %y %m %U:%G %s %T@ %l\n' | LC_ALL=C sort
    find /srv/canary /etc/canary.conf -type f -exec sha256sum {} +
    getfattr -R -d -m - /srv/canary 2>&1
    find / -xdev -maxdepth 2 -name '*pwned*'`);

const systemImage = (...layers: readonly (readonly TarEntry[])[]): BuiltImage =>
  buildImage({
    layers: [
      busyboxLayer(),
      {
        entries: [
          { path: 'usr/bin/run.sh', content: readHello('run.sh'), mode: 0o755 },
          ...['config.json.template', 'manifest.json', 'service.template', 'tmpfiles.template'].map(
            (name): TarEntry => ({ path: `exports/${name}`, content: readHello(`exports/${name}`) }),
          ),
        ],
      },
      ...layers.map((entries) => ({ entries })),
    ],
    platform: hostPlatform(),
  });

beforeAll(async () => {
  stage = await openStage({ registry: false });
  await stage.shell(`
    mkdir -p ${CANARY}/folder; echo alive >${CANARY}/file; echo alive >${CANARY}/folder/inside
    chmod 4711 ${CANARY}/file; chown 7:8 ${CANARY}/folder; echo alive >/etc/canary.conf; ln -s ${CANARY} /srv/way-in`);
  await prepareFaults(stage);
  innocent = stage.addLayout('innocent', { image: helloImage() });
  await stage.succeed(...install(innocent).args);
  await stage.succeed(...UNINSTALL.args);
  await stage.shell('rmdir /run/c');
  before = await takeSnapshot(stage);
  canary = await watch();
});
afterEach(async () => void (await stage.atomic(['--quiet', ...UNINSTALL.args])));
afterAll(() => stage.close());

interface Command {
  readonly args: readonly string[];
  /** The program that it runs when it is killed, if it comes that far. */
  readonly killedAt?: string;
}

/** Each command may be refused, none may touch a canary; in the end nothing is left. What went wrong, if anything. */
async function live(...commands: readonly Command[]): Promise<string[]> {
  const wrong: string[] = [];
  for (const { args, killedAt } of commands) {
    const fault: ExecOptions =
      killedAt === undefined ? {} : await strike(stage, { signal: 'KILL', at: killedAt, when: 'after' });
    const { code, stderr } = await stage.atomic(['--quiet', ...args], fault);
    const now = await watch();
    const isAnswer = [0, 1, 4].includes(code) || (killedAt !== undefined && code === 137);
    if (!isAnswer || stderr.includes('internal error') || now !== canary)
      wrong.push(`${args.join(' ')}: status ${code}\n${stderr}\n${now}`);
  }
  // What its tmpfiles configuration has made stays until the next boot.
  await stage.shell('rmdir /run/c /run/fault-struck 2>/dev/null || true');
  return [...wrong, ...(await listChanges(stage, before))];
}

const install = (layout: string): Command => ({ args: ['install', layout, '--name=c', '--no-start'] });
const update = (layout: string): Command => ({ args: ['update', 'c', `--rebase=${layout}`] });
const UNINSTALL: Command = { args: ['uninstall', 'c'] };
const REPAIR: Command = { args: ['repair'] };
/** Killed when its tree is half made, and when it is in place, with its host files. */
const crashes = (command: Command): Command[] =>
  ['ostree checkout', 'systemctl enable'].flatMap((killedAt) => [{ ...command, killedAt }, REPAIR]);

describe('layers that reach out of the tree', () => {
  it.each(Object.entries(ATTACKS))('%s', async (_name, attack) => {
    const hostile = stage.addLayout('hostile', { image: systemImage(...attack(CANARY, climbTo(CANARY))) });
    const through = [...crashes(install(hostile)), install(hostile), update(innocent), UNINSTALL];
    expect(await live(...through)).toEqual([]);
  });
});

const hostfs = (path: string, more: Partial<TarEntry> = { content: 'pwned' }): TarEntry => ({
  path: `exports/hostfs/${path}`,
  ...more,
});
const manifest = (content: object): TarEntry => ({
  path: 'exports/manifest.json',
  content: JSON.stringify(content),
});

describe('files for the host that reach for what is there', () => {
  it.each<[string, readonly TarEntry[][]]>([
    ['files that are there', [[hostfs('srv/canary/file'), hostfs('etc/canary.conf')]]],
    [
      'a link in place of a folder that is there',
      [[hostfs('srv/canary', { type: 'symlink', target: '/etc' })]],
    ],
    ['a file below a link that is there', [[hostfs('srv/way-in/file'), hostfs('srv/way-in/folder/inside')]]],
    ['a folder in place of a file that is there', [[hostfs('etc/canary.conf', { type: 'dir' })]]],
    ['a file below a file that is there', [[hostfs('etc/canary.conf/below')]]],
    [
      'a tree that is a link out of the image',
      [[{ path: 'exports/hostfs', type: 'symlink', target: '/srv/canary' }]],
    ],
    [
      'a tree that is a link to what climbs',
      [[{ path: 'exports/hostfs', type: 'symlink', target: climbTo(CANARY) }]],
    ],
    [
      'exports that are a link out of the image',
      [[{ path: 'exports', type: 'whiteout' }], [{ path: 'exports', type: 'symlink', target: '/srv' }]],
    ],
    [
      'a new name that climbs',
      [[hostfs('usr/local/x'), manifest({ renameFiles: { '/usr/local/x': '/usr/../srv/canary/file' } })]],
    ],
    [
      'a new name that is taken',
      [[hostfs('usr/local/x'), manifest({ renameFiles: { '/usr/local/x': '/srv/canary/file' } })]],
    ],
    [
      'a name that is no UTF-8',
      [[{ ...hostfs(''), path: Buffer.from('exports/hostfs/srv/\xe9', 'latin1') }]],
    ],
    [
      'a hard link of the image to its own link',
      [
        [
          { path: 'l', type: 'symlink', target: '/srv/canary/file' },
          hostfs('usr/local/l', { type: 'hardlink', target: 'l' }),
        ],
      ],
    ],
  ])('%s', async (_name, layers) => {
    const hostile = stage.addLayout('hostile', { image: systemImage(...layers) });
    const through = [
      ...crashes(install(hostile)),
      install(hostile),
      UNINSTALL,
      install(innocent),
      update(hostile),
      UNINSTALL,
    ];
    expect(await live(...through)).toEqual([]);
  });

  it('a link to a folder: the link goes with the container, and nothing behind it', async () => {
    const image = systemImage([hostfs('srv/canary-link', { type: 'symlink', target: CANARY })]);
    const layout = stage.addLayout('link', { image });
    await stage.succeed('install', layout, '--name=c', '--no-start');
    expect(await stage.run('readlink', '/srv/canary-link')).toBe(CANARY);
    const below = systemImage([hostfs('srv/canary-link/file'), hostfs('srv/canary-link/pwned')]);
    await stage.atomic(['update', 'c', `--rebase=${stage.addLayout('below', { image: below })}`]);
    await stage.succeed('uninstall', 'c');
    await stage.shell('rm -rf /srv/canary-link');
    expect(await watch()).toBe(canary);
  });
});

it('an image with names that are no UTF-8 and devices is installed, told of and removed whole', async () => {
  const odd = systemImage([
    { path: Buffer.from('srv/\xe9/\xff', 'latin1'), content: 'x' },
    {
      path: Buffer.from('srv/to\xe9', 'latin1'),
      type: 'symlink',
      target: Buffer.from('\xe9/\xff', 'latin1'),
    },
    { path: 'dev/null', type: 'char', major: 1, minor: 3 },
    { path: 'run/pipe', type: 'fifo' },
  ]);
  const layout = stage.addLayout('odd', { image: odd });
  const pulled = JSON.parse(await stage.succeed('--json', 'pull', layout)) as object;
  expect(pulled).toMatchObject({ devicesLeftOut: 2 });
  // Also where all layers are in the store.
  expect(JSON.parse(await stage.succeed('--json', 'pull', layout))).toMatchObject({
    changed: false,
    devicesLeftOut: 2,
  });
  const installed = JSON.parse(await stage.succeed('--json', 'install', layout, '--name=c')) as object;
  expect(installed).toMatchObject({ devicesLeftOut: 2 });
  const listed = await stage.shell(
    `cd ${CHECKOUTS}/c/rootfs/srv && cat to* && find . | LC_ALL=C sort | od -An -c`,
  );
  expect(listed).toMatch(/^x/);
  expect(listed).toContain('351   / 377');
  await stage.succeed('uninstall', 'c');
  expect(await stage.shell(`ls -A ${CHECKOUTS}`)).not.toContain('c.0');
});
