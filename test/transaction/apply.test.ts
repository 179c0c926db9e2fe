import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { AtomicError } from '../../src/errors.ts';
import { applyPlan, recoverJournal } from '../../src/transaction/apply.ts';
import type { StepContext } from '../../src/transaction/context.ts';
import { readJournal } from '../../src/transaction/journal.ts';
import type { Plan, Step } from '../../src/transaction/plan.ts';
import { IN_MEMORY, useTempFolder } from '../fixtures/temp-folder.ts';
import { installedWorld, NAME, updatePlan } from './change.ts';
import { World } from './world.ts';

const folder = useTempFolder(IN_MEMORY);

/** For those that go through every call; each is a change of its own. */
const LONG = { timeout: 120_000 };

let made = 0;
const newWorld = (): World => installedWorld(join(folder(), `host${++made}`));
const journals = (world: World): string => world.at('journal');
const journalOf = (world: World): string => join(journals(world), `${NAME}.jsonl`);
const apply = (world: World, plan: Plan, context: StepContext = world.context()): Promise<void> =>
  applyPlan(plan, journals(world), context);
const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'no failure',
    (error: unknown) => error,
  );
/**
 * What systemd's temporary files held before cannot come back; a way back makes the folder again. What is kept of a
 * failure is looked at on its own.
 */
const withoutState = (snapshot: Record<string, string>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(snapshot).filter(
      ([path]) => path !== 'run/old/state' && !path.startsWith('containers/failed'),
    ),
  );

/** What is there to look at: never a part of something. */
function failureOf(world: World): 'none' | 'the earlier one' | 'this one' | string[] {
  const found = Object.entries(world.snapshot()).filter(([path]) =>
    path.startsWith('containers/failed/web/'),
  );
  const names = found.map(([path]) => path.slice('containers/failed/web/'.length));
  if (names.length === 0) return 'none';
  if (found.some(([, text]) => text === '644 of an earlier update'))
    return names.length === 1 ? 'the earlier one' : names;
  const whole = ['deployment', 'deployment/rootfs', 'deployment/rootfs/bin', 'failure.json'];
  return names.join() === whole.join() ? 'this one' : names;
}

/** What a snapshot of one world would be in another: they differ in their links' targets. */
function movedTo(to: World, from: World, snapshot: Record<string, string>): Record<string, string> {
  return JSON.parse(JSON.stringify(snapshot).replaceAll(`${from.root}/`, `${to.root}/`)) as Record<
    string,
    string
  >;
}

async function countCalls(): Promise<number> {
  const world = newWorld();
  await apply(world, updatePlan(world));
  return world.calls;
}

/** From the call on, nothing takes effect any more: the process is dead. */
function dieAt(world: World, number: number, when: 'before' | 'after'): void {
  const die = (): never => {
    throw new Error('dead');
  };
  world.before = (_call, at) => {
    if (when === 'before' ? at >= number : at > number) die();
  };
}

function revive(world: World): void {
  world.before = () => undefined;
  world.after = () => undefined;
}

describe('a plan that goes well', () => {
  test('does what its steps say, tells of them in atomic’s words, and leaves no journal and no trash', async () => {
    const world = newWorld();
    await apply(world, updatePlan(world));
    expect(world.snapshot()).toMatchObject({
      enabled: 'more web',
      active: 'more web',
      'containers/web': `-> ${world.at('containers/web.1')}`,
      'containers/web.1/rootfs/bin': '644 new',
      'units/web.service': '644 new unit',
      'units/more.service': '600 more',
      'etc/web/kept-aside': '644 in its place',
      rpm: 'fresh-1 pack-2',
      'pack/both': '644 two',
      'pack/deep/er/new': '644 two',
      'pack/edited': '644 by hand',
      'pack/mine': '644 by hand',
      'fresh/a/b': '644 new',
      'host/a/b/file': '644 host file',
      'host/a/folder': 'dir 711',
      'host/c/link': '-> ../a',
      'run/new/deep': 'dir 755',
    });
    expect(existsSync(world.at('etc/web/removed'))).toBe(false);
    expect(readdirSync(world.at('pack'))).toEqual(['both', 'deep', 'edited', 'mine']);
    expect(readdirSync(journals(world))).toEqual([]);
    expect(readdirSync(world.at('containers/trash'))).toEqual([]);
    expect(
      world.events.map((event) => ('text' in event ? event.text.replaceAll(`${world.root}/`, '') : '')),
    ).toEqual([
      'systemctl stop web',
      'systemctl disable --now helper',
      'Created file host/a/b/file',
      'Created file host/a/folder',
      'Created file host/c/link',
      'Created file etc/web/swapped',
      'Created file etc/web/turned',
      'Created file etc/web/turned/in',
      'rpm --upgrade packages/new.rpm',
      'rpm --erase extra',
      'rpm --upgrade packages/fresh.rpm',
      'Deleting ociimage/x',
      'Deleting ociimage/none',
      'systemd-tmpfiles --remove tmpfiles/web.conf',
      'systemd-tmpfiles --create tmpfiles/web.conf',
      'systemctl daemon-reload',
      'systemctl enable more',
      'systemctl start more',
      'systemctl start web',
    ]);
  });

  test('writes each line of its journal before the step, and the last one before it cleans up', async () => {
    const world = new World(join(folder(), 'small'));
    const steps: Step[] = [
      { kind: 'set-aside', path: world.at('old'), to: world.at('trash/old') },
      { kind: 'create-file', path: world.at('new'), mode: 0o644, content: 'new' },
      { kind: 'enable', unit: 'x', folder: world.at('.') },
    ];
    writeFileSync(world.at('old'), 'old');
    await apply(world, { action: 'install', container: NAME, steps });
    expect(world.log).toEqual([
      'makeDirectory journal',
      'remove journal/web.jsonl',
      'createJournal journal/web.jsonl',
      expect.stringMatching(/^journal \{"journal":1,"pid":\d+,"action":"install","container"/),
      'journal {"begin":0,"before":true}',
      'makeDirectory trash',
      'rename old trash/old',
      'journal {"begin":1,"before":{"temporary":".new.atomic-new"}}',
      'createFile .new.atomic-new',
      'link .new.atomic-new new',
      'label new',
      'journal {"begin":2,"before":false}',
      'enable x',
      'journal {"committed":true}',
      'removeTree trash/old',
      'remove .new.atomic-new',
      'remove journal/web.jsonl.new',
      'remove journal/web.jsonl',
    ]);
  });

  test('of no steps is nothing', async () => {
    const world = newWorld();
    const before = world.snapshot();
    await apply(world, { action: 'install', container: NAME, steps: [] });
    expect(world.snapshot()).toEqual(before);
    expect(readdirSync(journals(world))).toEqual([]);
  });

  test('stands when only its cleaning up fails, and says so', async () => {
    const world = newWorld();
    world.before = (call) => {
      if (
        call === 'removeTree containers/trash/web.1' &&
        world.log.some((line) => line.includes('committed'))
      )
        throw new Error('immutable');
    };
    await apply(world, updatePlan(world));
    expect(world.active.has('more')).toBe(true);
    const warning = world.events.find(({ event }) => event === 'warning');
    expect(warning).toMatchObject({ text: expect.stringContaining('immutable') });
    expect(existsSync(journalOf(world))).toBe(false);
  });

  test('whose garbage cannot be collected is done, and stays open until it is', async () => {
    const world = newWorld();
    let broken = true;
    world.before = (call) => {
      if (broken && call.startsWith('collectGarbage')) throw new Error('ended by SIGKILL');
    };
    const steps: Step[] = [{ kind: 'collect-garbage', repository: world.at('repo') }];
    const pruned = apply(world, { action: 'prune', container: undefined, steps });
    expect(await failure(pruned)).toMatchObject({
      code: 'journal-open',
      details: expect.stringContaining('ended by SIGKILL'),
      hint: expect.stringContaining('repair'),
    });
    const open = await readJournal(join(journals(world), '@store.jsonl'), world.context().files);
    expect(open?.committed).toBe(true);
    if (open === undefined) return;
    await expect(recoverJournal(open, world.context())).rejects.toMatchObject({ code: 'journal-open' });
    broken = false;
    expect(await recoverJournal(open, world.context())).toBe('finished');
    expect(readdirSync(journals(world))).toEqual([]);
  });
});

describe('a plan that fails', () => {
  test.each(['before', 'after'] as const)(
    '%s any of its calls takes effect leaves all as it was',
    LONG,
    async (when) => {
      const calls = await countCalls();
      expect(calls).toBeGreaterThan(50);
      const stood = new Set<boolean>();
      for (let number = 1; number <= calls; number++) {
        const world = newWorld();
        const before = withoutState(world.snapshot());
        let failed = '';
        world[when] = (call, at) => {
          if (at !== number) return;
          failed = call;
          throw new AtomicError('host-file', 'broken');
        };
        const error = await failure(apply(world, updatePlan(world)));
        const committed = world.log.findIndex((line) => line === 'journal {"committed":true}');
        // Behind the last line of the journal the change stands.
        if (error === 'no failure' || (committed !== -1 && committed < number - 1)) {
          stood.add(world.active.has('more'));
          continue;
        }
        const told = failed.startsWith('start ')
          ? `The service ${failed.slice(6)} did not start: broken`
          : 'broken';
        const open = await readJournal(journalOf(world), world.context().files);
        expect({
          failed,
          error,
          tree: withoutState(world.snapshot()),
          begun: open?.begun ?? [],
        }).toMatchObject({
          failed,
          error: { message: told, trouble: [] },
          tree: before,
          begun: [],
        });
        expect(Object.keys(withoutState(world.snapshot()))).toEqual(Object.keys(before));
      }
      expect([...stood]).toEqual([true]);
    },
  );

  test('because the service does not start gives the reason and its journal', async () => {
    const world = newWorld();
    const before = withoutState(world.snapshot());
    world.verdict = { ok: false, reason: 'exit status 3', journal: 'line of the journal' };
    const error = await failure(apply(world, updatePlan(world)));
    expect(error).toMatchObject({
      code: 'service-failed',
      message: 'The service more did not start: exit status 3',
      details: 'line of the journal',
    });
    expect(withoutState(world.snapshot())).toEqual(before);
    expect(world.log).toContain('resetFailed more');
    expect(readdirSync(journals(world))).toEqual([]);
    expect(failureOf(world)).toBe('this one');
    const report = readFileSync(world.at('containers/failed/web/failure.json'), 'utf8');
    expect(JSON.parse(report)).toEqual({
      time: expect.any(String),
      reason: 'The service more did not start: exit status 3',
      journal: 'line of the journal',
      action: 'update',
      image: 'docker.io/web',
      digest: 'sha256:1',
      deployment: world.at('containers/failed/web/deployment'),
    });
  });

  test('because its service does not start, with the disk full, keeps nothing and says so', async () => {
    const world = newWorld();
    const before = withoutState(world.snapshot());
    world.verdict = { ok: false, reason: 'x', journal: '' };
    world.before = (call) => {
      if (call.includes('failure.json')) throw new AtomicError('disk-full', 'no space');
    };
    expect(await failure(apply(world, updatePlan(world)))).toMatchObject({ trouble: [] });
    expect(withoutState(world.snapshot())).toEqual(before);
    expect(failureOf(world)).toBe('none');
    expect(world.events.filter(({ event }) => event === 'warning')).toEqual([
      { event: 'warning', text: 'The deployment that failed could not be kept: no space' },
    ]);
    expect(readdirSync(journals(world))).toEqual([]);
  });

  test('of a deployment that stays where it is, has a report alone', async () => {
    const world = newWorld();
    world.verdict = { ok: false, reason: 'x', journal: '' };
    mkdirSync(world.at('containers/failed/web/deployment'));
    const plan = updatePlan(world);
    const steps = plan.steps
      .filter(({ kind }) => kind !== 'place-deployment')
      .map((step) => (step.kind === 'keep-failed' ? { ...step, staged: undefined } : step));
    await failure(apply(world, { ...plan, steps }));
    expect(readdirSync(world.at('containers/failed/web'))).toEqual(['failure.json']);
    const report = readFileSync(world.at('containers/failed/web/failure.json'), 'utf8');
    expect(JSON.parse(report)).toMatchObject({ deployment: world.at('containers/web.1') });
  });

  test('puts back the very files that were there', async () => {
    const world = newWorld();
    const paths = [
      'units/web.service',
      'tmpfiles/web.conf',
      'containers/web',
      'etc/web/removed',
      'containers/web.1',
    ];
    paths.push('units/multi-user.target.wants/helper.service', 'etc/web/swapped');
    const inodes = (): number[] => paths.map((path) => lstatSync(world.at(path)).ino);
    const before = inodes();
    world.verdict = { ok: false, reason: 'x', journal: '' };
    await failure(apply(world, updatePlan(world)));
    expect(inodes()).toEqual(before);
  });

  test('says so when the service that ran before does not run again, and leaves nothing open', async () => {
    const world = newWorld();
    const before = withoutState(world.snapshot());
    world.verdict = { ok: false, reason: 'x', journal: '' };
    world.again = { ok: false, reason: 'its port is taken', journal: '' };
    const error = await failure(apply(world, updatePlan(world)));
    expect(error).toMatchObject({
      trouble: [
        expect.stringContaining(
          'the service helper, which ran before, does not come up again: its port is taken',
        ),
        expect.stringContaining('the service web, which ran before'),
      ],
    });
    expect(withoutState(world.snapshot())).toEqual(before);
    expect(readdirSync(journals(world))).toEqual([]);
  });

  test('keeps its hands off a file that somebody else was the first to make', async () => {
    for (const kind of ['create-file', 'create-host-file'] as const) {
      const world = newWorld();
      const path = world.at('etc/web/new');
      world.before = (call) => {
        if (call.startsWith('createFile') || call.startsWith('install'))
          writeFileSync(path, 'of a rival', { mode: 0o600 });
      };
      const file = { path, kind: 'file', mode: 0o644, uid: 0, gid: 0, link: false, content: 'x' } as const;
      const step: Step = kind === 'create-file' ? { kind, path, mode: 0o644, content: 'x' } : { kind, file };
      await failure(apply(world, { action: 'install', container: NAME, steps: [step] }));
      expect(readFileSync(path, 'utf8')).toBe('of a rival');
      expect(readdirSync(world.at('etc/web')).filter((name) => name.startsWith('.'))).toEqual([]);
    }
  });

  test('on a disk that takes nothing more, from any call on, leaves all as it was', LONG, async () => {
    const NEEDS_SPACE = /^(?:journal|createFile|createSymlink|createJournal|makeDirectory|install|link) /;
    const calls = await countCalls();
    for (let number = 4; number <= calls; number++) {
      const world = newWorld();
      const before = withoutState(world.snapshot());
      let failed = false;
      world.before = (call, at) => {
        if (at < number || !NEEDS_SPACE.test(call)) return;
        failed = true;
        throw new AtomicError('disk-full', 'no space');
      };
      const error = await failure(apply(world, updatePlan(world)));
      if (!failed) continue;
      expect({ number, error, tree: withoutState(world.snapshot()) }).toMatchObject({
        number,
        error: { code: 'disk-full', trouble: [] },
        tree: before,
      });
      expect(Object.keys(withoutState(world.snapshot()))).toEqual(Object.keys(before));
      expect(readdirSync(journals(world))).toEqual([]);
    }
  });

  test('when systemd refuses the start, says what systemd said', async () => {
    const world = newWorld();
    world.before = (call) => {
      if (call === 'start more')
        throw new AtomicError('command-failed', 'systemctl start failed: no such unit');
    };
    expect(await failure(apply(world, updatePlan(world)))).toMatchObject({
      code: 'service-failed',
      message: expect.stringContaining('no such unit'),
      cause: expect.objectContaining({ code: 'command-failed' }),
    });
  });

  test('undoes its steps last first, and reloads systemd when all files are as they were', async () => {
    const world = newWorld();
    world.verdict = { ok: false, reason: 'x', journal: '' };
    await failure(apply(world, updatePlan(world)));
    const undo = world.log
      .slice(world.log.indexOf('waitSettled more') + 1)
      .filter((line) => !line.startsWith('journal'));
    expect(undo.at(0)).toBe('stop more');
    expect(undo.at(-1)).toBe('remove journal/web.jsonl');
    expect(undo.lastIndexOf('daemonReload')).toBeGreaterThan(
      undo.findLastIndex((line) => line.includes('etc/') || line.includes('host/')),
    );
    expect(undo.indexOf('start web')).toBeGreaterThan(
      undo.findIndex((line) => line.includes('units/web.service')),
    );
  });

  test('tells of what cannot be undone, undoes the rest, and keeps the journal until it can', async () => {
    const world = newWorld();
    const before = withoutState(world.snapshot());
    world.verdict = { ok: false, reason: 'x', journal: '' };
    let broken = true;
    world.before = (call) => {
      if (broken && call === 'remove units/more.service') throw new AtomicError('host-file', 'immutable');
    };
    const error = await failure(apply(world, updatePlan(world)));
    expect(error).toMatchObject({
      code: 'service-failed',
      trouble: [`Could not undo "write ${world.at('units/more.service')}": immutable`],
    });
    expect(withoutState(world.snapshot())).toEqual({
      ...before,
      'units/more.service': '600 more',
      [String(Object.keys(world.snapshot()).find((path) => path.includes('.more.service')))]: '600 more',
    });
    const open = await readJournal(journalOf(world), world.context().files);
    expect(open?.begun.map(({ index }) => index)).toEqual([9]);
    if (open === undefined) return;
    await expect(recoverJournal(open, world.context())).rejects.toMatchObject({
      code: 'journal-open',
      details: expect.stringContaining('immutable'),
      hint: expect.stringContaining(journalOf(world)),
    });
    broken = false;
    expect(await recoverJournal(open, world.context())).toBe('undone');
    expect(withoutState(world.snapshot())).toEqual(before);
    expect(readdirSync(journals(world))).toEqual([]);
  });

  test('with an error that is none of ours still tells of what cannot be undone', async () => {
    const world = newWorld();
    world.before = (call) => {
      if (call === 'enable more' || call === 'remove units/more.service') throw new Error('bug');
    };
    expect(await failure(apply(world, updatePlan(world)))).toEqual(new Error('bug'));
    const warnings = world.events.filter(({ event }) => event === 'warning');
    expect(warnings).toHaveLength(1);
  });

  test('keeps its own error when the journal cannot be removed', async () => {
    const world = newWorld();
    world.verdict = { ok: false, reason: 'x', journal: '' };
    let removals = 0;
    world.before = (call) => {
      if (call === 'remove journal/web.jsonl' && ++removals === 2) throw new Error('read-only');
    };
    expect(await failure(apply(world, updatePlan(world)))).toMatchObject({
      code: 'service-failed',
      trouble: [expect.stringContaining('read-only')],
    });
  });
});

describe('what is in the way', () => {
  const UNIT = 'units/web.service';
  const file = { kind: 'file', mode: 0o644, uid: 0, gid: 0, link: false, content: 'x' } as const;
  const STEPS: readonly [string, (at: (path: string) => string) => Step][] = [
    ['create-file', (at) => ({ kind: 'create-file', path: at(UNIT), mode: 0o644, content: 'x' })],
    ['create-host-file', (at) => ({ kind: 'create-host-file', file: { ...file, path: at(UNIT) } })],
    ['switch-link of a file', (at) => ({ kind: 'switch-link', path: at(UNIT), target: 'x', aside: at('a') })],
    [
      'switch-link of a folder',
      (at) => ({ kind: 'switch-link', path: at('containers/web.0'), target: 'x', aside: at('a') }),
    ],
    [
      'place-deployment',
      (at) => ({ kind: 'place-deployment', from: at('containers/staging/new'), to: at('containers/web.0') }),
    ],
  ];

  test.each(STEPS)('of %s is neither replaced, nor removed on its way back', async (_name, stepOf) => {
    const world = newWorld();
    const before = world.snapshot();
    const steps = [stepOf((path) => world.at(path))];
    const error = await failure(apply(world, { action: 'install', container: NAME, steps }));
    expect(error).toMatchObject({ code: 'file-exists' });
    expect(world.snapshot()).toEqual(before);
  });

  test('in the trash from an earlier change is not taken for what this one moved there', async () => {
    const world = newWorld();
    const before = withoutState(world.snapshot());
    mkdirSync(world.at('containers/trash/web.1'), { recursive: true });
    writeFileSync(world.at('containers/trash/kept-aside'), 'stale');
    writeFileSync(world.at('containers/trash/never-was'), 'stale');
    world.verdict = { ok: false, reason: 'x', journal: '' };
    await failure(apply(world, updatePlan(world)));
    expect(withoutState(world.snapshot())).toEqual(before);
  });

  test('where a file is to wait, from a change whose end could not clean up, is not taken for that file', async () => {
    const ASIDES = [
      'units/.web.service.atomic-old',
      'tmpfiles/.web.conf.atomic-old',
      'etc/web/.removed.atomic-old',
      'etc/web/.swapped.atomic-old',
      'containers/trash/containers-web',
      'units/multi-user.target.wants/.helper.service.atomic-old',
    ];
    for (const ok of [true, false]) {
      const world = newWorld();
      const before = withoutState(world.snapshot());
      mkdirSync(world.at('containers/trash'), { recursive: true });
      for (const path of ASIDES) writeFileSync(world.at(path), 'stale');
      world.verdict = ok ? { ok } : { ok, reason: 'x', journal: '' };
      await failure(apply(world, updatePlan(world)));
      expect(ASIDES.filter((path) => existsSync(world.at(path)))).toEqual([]);
      expect(JSON.stringify(withoutState(world.snapshot())) === JSON.stringify(before)).toBe(!ok);
    }
  });
});

test('a runtime’s container that was there before a first start stays', async () => {
  const world = newWorld();
  world.verdict = { ok: false, reason: 'x', journal: '' };
  await failure(apply(world, updatePlan(world)));
  expect([...world.containers].sort()).toEqual(['helper', 'stranger', 'web']);
});

describe('an abort', () => {
  test('between any two steps undoes what was done and is thrown as it was', LONG, async () => {
    const steps = updatePlan(newWorld()).steps.length;
    for (let index = 0; index <= steps; index++) {
      const world = newWorld();
      const before = withoutState(world.snapshot());
      const reason = new AtomicError('interrupted', 'stop');
      const controller = new AbortController();
      if (index === 0) controller.abort(reason);
      world.after = (call) => {
        if (call.startsWith(`journal {"begin":${index - 1},`)) controller.abort(reason);
      };
      expect(await failure(apply(world, updatePlan(world), world.context(controller.signal)))).toBe(reason);
      expect(withoutState(world.snapshot())).toEqual(before);
      expect(world.log.some((line) => line.startsWith(`journal {"begin":${index},`))).toBe(false);
      expect(readdirSync(journals(world))).toEqual([]);
    }
  });

  test('after the last line of the journal comes too late', async () => {
    const world = newWorld();
    const controller = new AbortController();
    world.after = (call) => {
      if (call.includes('committed')) controller.abort(new AtomicError('interrupted', 'stop'));
    };
    await apply(world, updatePlan(world), world.context(controller.signal));
    expect(world.active.has('more')).toBe(true);
  });
});

describe('recovery', () => {
  const recover = async (world: World): Promise<string> => {
    const context = world.context();
    const open = await readJournal(journalOf(world), context.files);
    return open === undefined ? 'nothing' : recoverJournal(open, context);
  };

  test('puts a removed ref back, and leaves one that an import has made since', async () => {
    const world = newWorld();
    const removal = (path: string): Step => ({
      kind: 'remove-ref',
      ref: path,
      path: world.at(path),
      aside: world.at(`repo/removed/${path.slice(-1)}`),
    });
    writeFileSync(world.at('repo/refs/y'), 'commit y');
    const steps = [removal('repo/refs/x'), removal('repo/refs/y')];
    world.before = (call) => {
      if (call.includes('committed')) throw new Error('dead');
      if (world.log.at(-1) === 'rename repo/refs/y repo/removed/y') throw new Error('dead');
    };
    await failure(apply(world, { action: 'prune of the image store', container: undefined, steps }));
    revive(world);
    writeFileSync(world.at('repo/refs/y'), 'newer');
    const path = join(journals(world), '@store.jsonl');
    const open = await readJournal(path, world.context().files);
    expect(open?.plan.container).toBeUndefined();
    if (open === undefined) return;
    expect(await recoverJournal(open, world.context())).toBe('undone');
    expect(readFileSync(world.at('repo/refs/x'), 'utf8')).toBe('commit');
    expect(readFileSync(world.at('repo/refs/y'), 'utf8')).toBe('newer');
  });

  test.each([
    ['while its container ran', 'undone'],
    ['behind the end of it', 'finished'],
  ])('removes the bundle of a run that died %s', async (_when, outcome) => {
    const world = newWorld();
    const folder = world.at('containers/staging/new');
    const steps: Step[] = [
      { kind: 'remove-container', runtime: '/usr/bin/runc', container: 'web-run-1', ours: false },
      { kind: 'run-attached', runtime: '/usr/bin/runc', container: 'web-run-1', folder },
    ];
    const last = outcome === 'undone' ? 'run /usr/bin/runc' : 'committed';
    world.after = (call) => {
      if (call.includes(last)) dieAt(world, 0, 'before');
    };
    await failure(apply(world, { action: 'run', container: NAME, steps }));
    revive(world);
    expect(existsSync(folder)).toBe(true);
    expect(await recover(world)).toBe(outcome);
    expect(existsSync(folder)).toBe(false);
  });

  test.each(['before', 'after'] as const)(
    'of a process that died %s any of its calls: all or nothing',
    LONG,
    async (when) => {
      const ideal = newWorld();
      await apply(ideal, updatePlan(ideal));
      const { calls } = ideal;
      const after = withoutState(ideal.snapshot());
      const outcomes = new Set<string>();
      for (let number = 1; number <= calls; number++) {
        const world = newWorld();
        const before = withoutState(world.snapshot());
        dieAt(world, number, when);
        await failure(apply(world, updatePlan(world)));
        revive(world);
        const outcome = await recover(world);
        outcomes.add(outcome);
        const done =
          outcome === 'finished' || (outcome === 'nothing' && number === calls && when === 'after');
        const tree = withoutState(world.snapshot());
        const last = `${number}: ${world.log.at(-1)}`;
        expect({ last, tree }).toEqual({ last, tree: done ? movedTo(world, ideal, after) : before });
        expect(await recover(world)).toBe('nothing');
      }
      expect([...outcomes].sort()).toEqual(['finished', 'nothing', 'undone']);
    },
  );

  test(
    'of a process that died while it recovered: the next one does the rest, and takes back nothing twice',
    LONG,
    async () => {
      const calls = await countCalls();
      for (let number = 8; number < calls; number += 13) {
        for (let second = 1; second < 70; second += 4) {
          const world = newWorld();
          const before = withoutState(world.snapshot());
          dieAt(world, number, 'after');
          await failure(apply(world, updatePlan(world)));
          revive(world);
          dieAt(world, world.calls + second, second % 2 === 0 ? 'after' : 'before');
          await failure(recover(world));
          revive(world);
          await recover(world);
          if (world.active.has('more')) continue;
          expect({ number, second, tree: withoutState(world.snapshot()) }).toEqual({
            number,
            second,
            tree: before,
          });
        }
      }
    },
  );

  test('of a process that died in its own way back', LONG, async () => {
    const world = newWorld();
    const before = withoutState(world.snapshot());
    world.verdict = { ok: false, reason: 'x', journal: '' };
    const total = newWorld();
    total.verdict = world.verdict;
    await failure(apply(total, updatePlan(total)));
    for (let number = total.log.indexOf('waitSettled more') + 1; number <= total.calls; number++) {
      const each = newWorld();
      each.verdict = { ok: false, reason: 'x', journal: '' };
      dieAt(each, number, 'after');
      await failure(apply(each, updatePlan(each)));
      revive(each);
      await recover(each);
      const tree = withoutState(each.snapshot());
      expect({ number, tree }).toEqual({ number, tree: movedTo(each, world, before) });
      const isTold = each.log.some((line) => line.startsWith('journal {"failed"'));
      expect({ number, left: failureOf(each) }).toEqual({
        number,
        left: isTold ? 'this one' : 'the earlier one',
      });
    }
  });

  test('of a disk so full that nothing can be noted: taken back twice, all is as it was', LONG, async () => {
    const full = (call: string): void => {
      if (/^(?:journal|createFile|createSymlink|makeDirectory|link) /.test(call)) throw new Error('no space');
    };
    const calls = await countCalls();
    for (let number = 8; number < calls; number += 11) {
      for (let second = 1; second < 70; second += 6) {
        const world = newWorld();
        const before = withoutState(world.snapshot());
        dieAt(world, number, 'after');
        await failure(apply(world, updatePlan(world)));
        const dead = world.calls + second;
        world.before = (call, at) => {
          full(call);
          if (at > dead) throw new Error('dead');
        };
        await failure(recover(world));
        world.before = full;
        await recover(world);
        if (world.log.includes('journal {"committed":true}')) continue;
        expect({ number, second, tree: withoutState(world.snapshot()) }).toEqual({
          number,
          second,
          tree: before,
        });
      }
    }
  });

  test('of a journal that was cut at any byte: a line that is not whole was not written', LONG, async () => {
    const world = newWorld();
    dieAt(world, await countCalls(), 'before');
    await failure(apply(world, updatePlan(world)));
    const text = readFileSync(journalOf(world));
    const { files } = new World(join(folder(), 'reader')).context();
    const path = join(folder(), 'cut.jsonl');
    let last = -1;
    for (let length = 0; length <= text.length; length += 5) {
      writeFileSync(path, text.subarray(0, length));
      const open = await readJournal(path, files);
      const lines = text.subarray(0, length).toString().split('\n').length - 1;
      const read = open === undefined ? 0 : 1 + open.begun.length + (open.committed ? 1 : 0);
      expect(read).toBe(lines);
      last = lines;
    }
    expect(last).toBeGreaterThan(20);
  });

  test('is not needed for a journal whose first line was cut off: the next change begins anew', async () => {
    for (const left of ['', '{"journal":1,"pid":']) {
      const world = newWorld();
      mkdirSync(journals(world), { recursive: true });
      writeFileSync(journalOf(world), left);
      await apply(world, updatePlan(world));
      expect(world.active.has('more')).toBe(true);
    }
  });

  test('is asked for by the next change when an earlier one is open', async () => {
    const world = newWorld();
    dieAt(world, 30, 'after');
    await failure(apply(world, updatePlan(world)));
    revive(world);
    const before = world.snapshot();
    expect(await failure(apply(world, updatePlan(world)))).toMatchObject({
      code: 'journal-open',
      message: expect.stringContaining(journalOf(world)),
    });
    expect(world.snapshot()).toEqual(before);
    expect(existsSync(journalOf(world))).toBe(true);
  });

  test('refuses a journal that it cannot read', async () => {
    const world = newWorld();
    mkdirSync(journals(world), { recursive: true });
    const { files } = world.context();
    for (const text of [
      '{"journal":2,"steps":[]}\n',
      '[]\n',
      'text\n',
      '{"journal":1}\n',
      '{"journal":1,"steps":[]}\nx\n{}\n',
    ]) {
      writeFileSync(journalOf(world), text);
      await expect(readJournal(journalOf(world), files)).rejects.toMatchObject({ code: 'store-invalid' });
    }
    expect(await readJournal(world.at('none'), files)).toBeUndefined();
  });
});
