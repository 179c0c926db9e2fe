/**
 * A disk that fills up at any point. For each command the free space goes from nothing to what it needs: between two
 * amounts that stop it at different points the amounts between are tried by halves, until neighbours are, so that each
 * point is met. Each time the host is as it was and one sentence says why; once there is space the same command succeeds.
 */
import { randomBytes } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import type { BuiltImage } from '../fixtures/image-builder.ts';
import { helloImage, readHello } from './support/images.ts';
import { mountSmallDisk, type SmallDisk, type Unit } from './support/small-disk.ts';
import { listChanges, openStage, REPOSITORY, takeSnapshot, type Stage } from './support/stage.ts';

const NAME = 'disk-web';
const NO_LOOK = ['--limit', 'free-space=ignore'];
const CALLS = '/run/full-disk/calls';
const MINUTES = 60_000;
/** Tells which program ran last, and for what. */
const WRAPPER = `#!/bin/sh
echo "\${0##*/} $*" >>${CALLS}
exec /usr/bin/\${0##*/} "$@"
`;
/** Where the commit of a layer is written, or its ref. */
const PUBLISHING = /^Cannot write \.storage\/ostree(?:\/(?:objects|refs)\/\S+)?$/;
const COMMANDS = ['install', 'update', 'rollback', 'uninstall'] as const;
type Command = (typeof COMMANDS)[number];

/** What has to be met by one sweep or another; which one meets what depends on where its blocks fall. */
const STAGES: Readonly<Record<string, RegExp>> = {
  "a layer's index": /layers-1/,
  'a layer': /^commit a layer$/,
  "a layer's metadata and ref": PUBLISHING,
  'the config': /^commit the config$/,
  'the image': /^commit the image$/,
  'the staged folder': /staging(?:\/disk-web\.PID(?:\/rootfs)?)?$/,
  'the checkout': /^ostree checkout/,
  'rendered files': /staging\/disk-web\.PID\/(?:config\.json|info|disk-web\.service|tmpfiles-)/,
  'the journal': /journal\/disk-web\.jsonl$/,
  'host files': /^Cannot create \/var\/lib\/containers\/host/,
  'the unit': /systemd\/system\/disk-web\.service$/,
  'the tmpfiles configuration': /\/etc\/tmpfiles\.d\/disk-web\.conf$/,
  'the link': /^Cannot link disk-web to/,
  'what tmpfiles makes': /^systemd-tmpfiles/,
  'the enablement': /^systemctl/,
};
const met = new Set<string>();

let stage: Stage | undefined;
let disk: SmallDisk;
let images: readonly string[];

afterEach(async () => {
  await stage?.close();
  stage = undefined;
});

/** Its host file, its tmpfiles and its own data are on the small disk as well. */
function image(version: string): BuiltImage {
  const data = '/var/lib/containers/data-$NAME';
  const tmpfiles = `${readHello('exports/tmpfiles.template')}\nd ${data} 0700 0 0 - -\nf ${data}/seed 0600 0 0 - ${version}\n`;
  const host = 'exports/hostfs/var/lib/containers/host';
  return helloImage({
    defaults: { ...JSON.parse(readHello('exports/manifest.json')).defaultValues, RECEIVER: version },
    exports: { 'tmpfiles.template': tmpfiles },
    files: [
      { path: 'usr/share/version', content: randomBytes(20_000) },
      { path: `${host}/tool`, content: `${version}\n${'#'.repeat(9000)}` },
      { path: `${host}/link`, type: 'symlink', target: 'tool' },
    ],
  });
}

async function open(withUnits: boolean): Promise<Stage> {
  stage = await openStage({ registry: false });
  disk = await mountSmallDisk(stage, { mebibytes: 16, inodes: 2048, withUnits });
  for (const program of ['ostree', 'systemctl', 'systemd-tmpfiles', 'rm', 'sync'])
    await stage.host.writeFile(`/opt/traced/${program}`, WRAPPER, 0o755);
  const layout = (version: string): string => stage?.addLayout(version, { image: image(version) }) ?? '';
  images = [layout('one'), layout('two')];
  // The repo's own reserve would end everything before the disk does.
  await stage.shell(`mkdir -p ${REPOSITORY} /run/full-disk; : >${CALLS}
    ostree --repo=${REPOSITORY} init --mode=bare; echo min-free-space-percent=0 >>${REPOSITORY}/config`);
  return stage;
}

/** Brings the host to where a command can begin, and keeps that. */
async function prepare(host: Stage, command: Command): Promise<string[]> {
  const [one = '', two = ''] = images;
  if (command !== 'install') await host.succeed('install', one, '--name', NAME, ...NO_LOOK);
  if (command === 'rollback' || command === 'uninstall') {
    await host.succeed('update', NAME, '--rebase', two, ...NO_LOOK);
  }
  await disk.keep(...(command === 'install' ? [] : [NAME]));
  switch (command) {
    case 'install':
      return ['install', one, '--name', NAME, ...NO_LOOK];
    case 'update':
      return ['update', NAME, '--rebase', two, ...NO_LOOK];
    case 'rollback':
      return ['containers', 'rollback', NAME];
    case 'uninstall':
      return ['uninstall', NAME];
  }
}

interface Outcome {
  /** What the command was at; undefined when it succeeded. */
  readonly point: string | undefined;
  /** What should not have been. */
  readonly faults: readonly string[];
}

/** Runs a command with so much free, and gives the disk its space back. */
async function attempt(host: Stage, args: readonly string[], unit: Unit, free: number): Promise<Outcome> {
  const before = await takeSnapshot(host);
  const state = ['systemctl', 'show', '-P', 'ActiveState,UnitFileState', NAME] as const;
  const was = await host.run(...state);
  await disk.leave(unit, free);
  const path = await host.shell(`: >${CALLS}; echo "$PATH"`);
  const { code, stderr } = await host.atomic(['--json', ...args], {
    env: { PATH: `/opt/traced:${path}` },
  });
  await disk.free();
  if (code === 0) return { point: undefined, faults: [] };
  const error = readError(stderr);
  const faults = [
    ...(code === 1 ? [] : [`exit status ${code}`]),
    ...(error.code === 'disk-full' ? [] : [`the code ${error.code}: ${stderr}`]),
    ...(error.message.includes('/') ? [] : [`no path in ${error.message}`]),
    ...(error.hint === '' ? ['no hint'] : []),
    ...error.trouble,
    ...(await listChanges(host, before)),
    ...((await host.run(...state)) === was ? [] : ['the service is not as it was']),
  ];
  const fsck = await host.host.exec('ostree', [`--repo=${REPOSITORY}`, 'fsck', '--quiet']);
  if (fsck.code !== 0) faults.push(`ostree fsck: ${fsck.stderr}`);
  return { point: pointOf(error.message, await host.host.readFile(CALLS)), faults };
}

interface ToldError {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  readonly trouble: readonly string[];
}

function readError(stderr: string): ToldError {
  const last = stderr.trimEnd().split('\n').at(-1) ?? '';
  const none = { code: 'none', message: stderr, hint: '', trouble: [] };
  return last.startsWith('{') ? { ...none, ...(JSON.parse(last) as Partial<ToldError>) } : none;
}

/** What a command was at when it met the end of the disk, in words that are the same each time. */
function pointOf(message: string, calls: string): string {
  const commits = calls.split('\n').filter((call) => call.startsWith('ostree ') && call.includes(' commit '));
  const call = commits.at(-1) ?? '';
  if (message.startsWith('ostree commit')) {
    if (call.includes('--orphan')) return 'commit a layer';
    return /--branch=ociimage\/[0-9a-f]{64} /.test(call) ? 'commit the config' : 'commit the image';
  }
  return (
    message
      .replace(/(?<=^\S+ \S+ found no space left).*$/s, '')
      .replace(/(?:: |; ).*$/s, '')
      .replaceAll(/[0-9a-f]{64}/g, 'HEX')
      .replaceAll(/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'UUID')
      .replaceAll(/(?<=ostree\/objects\/)[0-9a-f]{2}/g, 'XX')
      // A file in the making stands for the file.
      .replaceAll(/\.(disk-web(?:\.service|\.conf)?|link|tool)\.[0-9a-f]+\.atomic-new/g, '$1')
      .replaceAll(/(?<=staging\/disk-web\.)\d+/g, 'PID')
      .replaceAll('/var/lib/containers/atomic/', '')
  );
}

/** All points at which a command can meet the end of the disk, by the amounts of free space that lead there. */
async function sweep(host: Stage, command: Command, unit: Unit): Promise<string[]> {
  const args = await prepare(host, command);
  const tried = new Map<number, string>();
  const faults: string[] = [];
  const repeated = new Set<string>();
  const at = async (free: number): Promise<string> => {
    const known = tried.get(free);
    if (known !== undefined) return known;
    const outcome = await attempt(host, args, unit, free);
    const point = outcome.point ?? 'done';
    tried.set(free, point);
    faults.push(...outcome.faults.map((fault) => `${free} ${unit}, ${point}: ${fault}`));
    if (outcome.point !== undefined && !repeated.has(point)) {
      repeated.add(point);
      await host.succeed(...args);
    }
    await disk.restore();
    return point;
  };
  // Two layers come in at the same time: which of them meets the end of the disk is chance.
  const isOfLayer = (point: string): boolean => point === 'commit a layer' || PUBLISHING.test(point);
  const differ = (one: string, other: string): boolean =>
    one !== other && !(isOfLayer(one) && isOfLayer(other));
  const explore = async (low: number, high: number): Promise<void> => {
    if (!differ(await at(low), await at(high)) || high - low <= 1) return;
    const middle = (low + high) >> 1;
    await explore(low, middle);
    await explore(middle, high);
  };
  const all = await disk.left(unit);
  let enough = 16;
  while (enough < all && (await at(enough)) !== 'done') enough *= 3;
  for (const free of [0, 1, 2]) await at(free);
  await explore(0, Math.min(enough, all));
  const ordered = [...tried].sort(([a], [b]) => a - b);
  const points = [...new Set(ordered.map(([, point]) => point))];
  console.log(
    `full disk: ${command}, ${unit}: ${tried.size} amounts tried, ${points.length - 1} points met:\n` +
      points
        .map(
          (point) =>
            `  ${ordered
              .filter(([, other]) => other === point)
              .map(([free]) => free)
              .join(',')}: ${point}`,
        )
        .join('\n'),
  );
  for (const point of points) met.add(point);
  expect(faults).toEqual([]);
  // One block more or less is chance at the edge: with many more it is done.
  expect(ordered.at(-1)?.[1]).toBe('done');
  return points;
}

it('a disk that is too small is told of before the first byte is fetched', async () => {
  const host = await open(true);
  const [one = ''] = images;
  await disk.leave('blocks', 400);
  const { code, stderr } = await host.atomic(['--json', 'install', one, '--name', NAME]);
  expect([code, readError(stderr)]).toMatchObject([
    1,
    { code: 'disk-full', hint: expect.stringContaining('free-space=ignore') },
  ]);
  expect(readError(stderr).message).toMatch(
    /^The image one needs about [\d.]+ MB in \S+ \(.*, estimated from [\d.]+ MB compressed\), where [\d.]+ MB is free$/,
  );
  expect(stderr).not.toContain('"started"');
  expect(await host.shell(`find ${REPOSITORY}/objects ${REPOSITORY}/refs/heads -type f`)).toBe('');
});

describe('a disk without a block left', () => {
  it.each(COMMANDS)(
    'and with the units on it leaves %s undone at every point',
    async (command) => {
      const points = await sweep(await open(true), command, 'blocks');
      expect(points.length).toBeGreaterThan(0);
    },
    10 * MINUTES,
  );

  it(
    'and with nothing but containers on it leaves update undone at every point',
    async () => {
      const points = await sweep(await open(false), 'update', 'blocks');
      expect(points.length).toBeGreaterThan(0);
    },
    10 * MINUTES,
  );
});

describe('a disk without an inode left', () => {
  it.each(COMMANDS)(
    'leaves %s undone at every point',
    async (command) => {
      const points = await sweep(await open(true), command, 'inodes');
      expect(points.length).toBeGreaterThan(0);
    },
    10 * MINUTES,
  );
});

it('every stage of a change has met a full disk above', () => {
  const missed = Object.entries(STAGES).filter(([, point]) => ![...met].some((one) => point.test(one)));
  expect(missed.map(([name]) => name)).toEqual([]);
});
