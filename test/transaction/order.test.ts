/**
 * Power may fail at any moment: what a step did is on the disk before the next one begins, all of it before the journal
 * says that the change is done, and that before the journal goes.
 */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  planInstall,
  planSwitch,
  planUninstall,
  type HostSide,
  type Places,
  type Present,
} from '../../src/app/plan-change.ts';
import { parseContainerName } from '../../src/container/name.ts';
import { applyPlan, recoverJournal } from '../../src/transaction/apply.ts';
import { readJournal } from '../../src/transaction/journal.ts';
import type { Step } from '../../src/transaction/plan.ts';
import { IN_MEMORY, useTempFolder } from '../fixtures/temp-folder.ts';
import { World } from './world.ts';

const folder = useTempFolder(IN_MEMORY);
const name = parseContainerName('more');
let made = 0;

/** A host with the folders of one; with a container, when it is one that is to be changed. */
function newWorld(isInstalled: boolean): World {
  const world = new World(join(folder(), `host${++made}`));
  world.watchSyncs = true;
  const write = (path: string, content: string): void => {
    mkdirSync(dirname(world.at(path)), { recursive: true });
    writeFileSync(world.at(path), content);
  };
  write('atomic/staging/new/rootfs/bin', 'new');
  for (const path of ['units', 'tmpfiles', 'etc']) mkdirSync(world.at(path));
  if (!isInstalled) return world;
  write('atomic/more.0/rootfs/bin', 'old');
  write('atomic/more.1/rootfs/bin', 'older');
  write('atomic/failed/more/failure.json', '{}');
  write('units/more.service', 'unit');
  write('tmpfiles/more.conf', `d ${world.at('run/old')} 0755\n`);
  write('etc/more/old', 'host file');
  write('etc/more/both', 'host file');
  symlinkSync(world.at('atomic/more.0'), world.at('atomic/more'));
  world.enable('more');
  world.active.add('more');
  return world;
}

function placesOf(world: World): Places {
  return {
    name,
    link: world.at('atomic/more'),
    unit: world.at('units/more.service'),
    tmpfiles: world.at('tmpfiles/more.conf'),
    trash: (what) => world.at(`atomic/trash/more.${what}`),
    failed: world.at('atomic/failed/more'),
  };
}

function nextOf(world: World, slot: 0 | 1): HostSide {
  const file = (path: string): HostSide['hostFiles'][number] => ({
    path: world.at(path),
    kind: 'file',
    mode: 0o644,
    uid: 0,
    gid: 0,
    link: false,
    content: 'x',
  });
  return {
    path: world.at(`atomic/more.${slot}`),
    unit: 'new unit',
    tmpfiles: `d ${world.at('run/new')} 0755\n`,
    hostFiles: [file('etc/more/both'), file('etc/more/deep/new')],
    package: undefined,
  };
}

const settling = { settleMs: 1, runtime: '/usr/bin/runc', check: undefined };

const CHANGES: Readonly<Record<string, (world: World) => Step[]>> = {
  install: (world) =>
    planInstall(placesOf(world), nextOf(world, 0), {
      staged: world.at('atomic/staging/new'),
      stale: [],
      start: true,
      settling,
    }),
  update: (world) => switchTo(world, world.at('atomic/staging/new')),
  rollback: (world) => switchTo(world, undefined),
  uninstall: (world) =>
    planUninstall(
      placesOf(world),
      presentOf(world),
      [world.at('atomic/more.0'), world.at('atomic/more.1')],
      '/usr/bin/runc',
    ),
};

function presentOf(world: World): Present {
  return {
    active: true,
    hasUnit: true,
    hasTmpfiles: true,
    hasFailed: true,
    hostFilesToRemove: [world.at('etc/more/old'), world.at('etc/more/both')],
    package: undefined,
  };
}

function switchTo(world: World, staged: string | undefined): Step[] {
  const goal = { action: 'update', image: 'i', digest: undefined };
  return planSwitch(placesOf(world), presentOf(world), nextOf(world, 1), { staged, settling, goal });
}

/** The folders whose entries a call changes; `install` looks after its own, as test/integration shows. */
function changedBy(call: string): string[] {
  const [verb = '', first = '', second = ''] = call.split(' ');
  // Of the runtime.
  if (call === 'remove /usr/bin/runc') return [];
  switch (verb) {
    case 'rename':
      return [dirname(first), dirname(second)];
    case 'link':
      return [dirname(second)];
    case 'createSymlink':
    case 'createFile':
    case 'createJournal':
    case 'makeDirectory':
    case 'remove':
    case 'removeTree':
      return [dirname(first)];
    case 'enable':
    case 'disable':
    case 'disableNow':
      return ['units'];
    default:
      return [];
  }
}

/** What was not on the disk when it had to be. */
function findUnsynced(calls: readonly string[]): string[] {
  const unsynced: string[] = [];
  const open = new Set<string>();
  let isTreeSynced = false;
  const demand = (call: string): void => {
    for (const path of open) unsynced.push(`${path} before ${call}`);
    open.clear();
  };
  for (const call of calls) {
    if (call.startsWith('syncDirectory ')) open.delete(call.slice('syncDirectory '.length));
    if (call === 'syncFilesystem atomic/staging/new') isTreeSynced = true;
    if (call.startsWith('rename atomic/staging/new atomic/more') && !isTreeSynced)
      unsynced.push('the tree that is placed');
    // A new file whose name is about to go need not have it on the disk; anything else that moves has.
    const moved = call.startsWith('rename ') ? (call.split(' ')[1] ?? '') : '';
    if (moved !== '' && !moved.endsWith('new') && open.has(dirname(moved)))
      unsynced.push(`what ${call} moves`);
    if (/^journal \{"(?:begin|committed|undone)/.test(call) || call === 'remove journal/more.jsonl')
      demand(call);
    for (const path of changedBy(call)) open.add(path);
  }
  demand('the end');
  return unsynced;
}

describe.each(Object.entries(CHANGES))('%s', (action, stepsOf) => {
  const change = (): { readonly world: World; readonly plan: Parameters<typeof applyPlan>[0] } => {
    const world = newWorld(action !== 'install');
    return { world, plan: { action, container: name, steps: stepsOf(world) } };
  };

  test('has each step on the disk before the next, and all of it before it is said to be done', async () => {
    const { world, plan } = change();
    await applyPlan(plan, world.at('journal'), world.context());
    expect(findUnsynced(world.effects)).toEqual([]);
    const end = world.effects.indexOf('journal {"committed":true}');
    expect(world.effects.slice(-2)).toEqual(['remove journal/more.jsonl', 'syncDirectory journal']);
    const cleaned = world.effects.slice(end + 1, -2);
    expect(cleaned.every((call) => /^(?:remove|removeTree|syncDirectory) /.test(call))).toBe(true);
    if (action !== 'install') return;
    // Every file of the host is whole on the disk before it has its name.
    const first = (call: string): number => world.effects.findIndex((line) => line.startsWith(call));
    expect(first('createFile units/.more.service')).toBeLessThan(first('link units/.more.service'));
    expect(first('syncFilesystem atomic/staging/new')).toBeLessThan(first('rename atomic/staging/new'));
  });

  test('that is undone is so on the disk before the journal goes', async () => {
    const { world, plan } = change();
    world.verdict = { ok: false, reason: 'x', journal: '' };
    const last = plan.steps.length - 1;
    world.after = (call) => {
      if (action === 'uninstall' && call.startsWith(`journal {"begin":${last}`)) throw new Error('no');
    };
    await expect(applyPlan(plan, world.at('journal'), world.context())).rejects.toThrow(
      action === 'uninstall' ? 'no' : 'did not start',
    );
    expect(findUnsynced(world.effects)).toEqual([]);
    expect(world.effects.slice(-2)).toEqual(['remove journal/more.jsonl', 'syncDirectory journal']);
  });

  test('that is undone by the next command is so as well', async () => {
    const { world, plan } = change();
    const last = plan.steps.length - 1;
    let isDead = false;
    world.before = (call) => {
      isDead ||= call.startsWith(`journal {"begin":${last}`);
      if (isDead) throw new Error('dead');
    };
    await applyPlan(plan, world.at('journal'), world.context()).catch(() => undefined);
    world.before = () => undefined;
    const context = world.context();
    const begin = world.effects.length;
    const open = await readJournal(world.at('journal/more.jsonl'), context.files);
    if (open === undefined) throw new Error('there is no journal');
    expect(await recoverJournal(open, context)).toBe('undone');
    const end = world.effects.lastIndexOf('remove journal/more.jsonl');
    expect(findUnsynced(world.effects.slice(begin, end + 2))).toEqual([]);
    // Trees in the making are nothing that anybody waits for.
    const staged = action === 'install' || action === 'update' ? ['removeTree atomic/staging/new'] : [];
    expect(world.effects.slice(end + 1)).toEqual(['syncDirectory journal', ...staged]);
  });
});
