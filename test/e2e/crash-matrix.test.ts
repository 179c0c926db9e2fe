/**
 * Every change is killed (SIGKILL) at each moment at which it is about to change the disk or has to do with another
 * program; `atomic-ts repair` then has to leave the old state or the new one. Three hosts share the work.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { BuiltImage } from '../fixtures/image-builder.ts';
import {
  breakAt,
  findMoment,
  prepareCrashes,
  runMatrix,
  runSyscallMatrix,
  type Matrix,
  type Operation,
} from './support/crash.ts';
import { helloImage, readHello } from './support/images.ts';
import { CHECKOUTS, openStage, REGISTRY, type Stage } from './support/stage.ts';

const HOUR_MS = 3_600_000;
/** A container that is stopped before its script has set its trap would otherwise stay for systemd's 90 s. */
const UNIT = readHello('exports/service.template').replace('$EXEC_STOP', '$EXEC_STOP KILL');
const V1 = `${REGISTRY}/hello:v1`;
const V2 = `${REGISTRY}/hello:v2`;

function image(receiver: string, port: string, files: Readonly<Record<string, string>>): BuiltImage {
  return helloImage({
    defaults: { RECEIVER: receiver, PORT: port },
    exports: { 'service.template': UNIT },
    files: Object.entries(files).map(([path, content]) => ({ path: `exports/hostfs/${path}`, content })),
  });
}

const v1 = image('World', '8081', { 'etc/crash/one': 'one', 'etc/crash/both': 'first' });
const v2 = image('Moon', '8081', { 'etc/crash/both': 'second', 'usr/share/crash/two': 'two' });
const bystander = image('Nobody', '8082', { 'etc/crash/bystander': 'there' });

/** No hello; its images are in the store, and the bystander runs. */
async function clear(stage: Stage): Promise<void> {
  await stage.atomic(['--quiet', 'uninstall', 'hello']);
  await stage.shell('rm -rf /run/hello; mkdir -p /etc/crash /usr/share/crash');
}

const UPDATE = ['--quiet', 'containers', 'update', 'hello', '--rebase', V2, '--settle', '0'];

/** The operations by the name they have in the result. */
function operationsOn(stage: Stage): Record<string, Operation> {
  const installed = async (): Promise<void> => {
    await clear(stage);
    await stage.succeed('install', V1, '--name', 'hello', '--settle', '0');
  };
  const updated = async (): Promise<void> => {
    await installed();
    await stage.succeed('containers', 'update', 'hello', '--rebase', V2, '--settle', '0');
  };
  let start: number | undefined;
  const broken = async (): Promise<void> => {
    await installed();
    if (start === undefined) {
      start = await findMoment(stage, /beside .*systemctl start/, UPDATE);
      await installed();
    }
    await breakAt(stage, start, UPDATE);
  };
  const operation = (
    prepare: () => Promise<void>,
    args: readonly string[],
    more: Partial<Operation> = {},
  ): Operation => ({ name: args.join(' '), args: ['--quiet', ...args], prepare, ...more });
  return {
    pull: operation(() => forget(stage), ['pull', V1], {
      passing: /^ref ociimage\/[0-9a-f]{64}$/,
      completes: true,
    }),
    install: operation(() => clear(stage), ['install', V1, '--name', 'hello', '--settle', '0']),
    update: operation(installed, UPDATE.slice(1)),
    rollback: operation(updated, ['containers', 'rollback', 'hello', '--settle', '0']),
    uninstall: operation(updated, ['uninstall', 'hello']),
    'prune of layers': operation(() => orphanLayers(stage), ['images', 'prune']),
    'prune of a deployment': operation(() => orphanDeployment(stage), ['images', 'prune']),
    delete: operation(() => clear(stage), ['--assumeyes', 'images', 'delete', V2]),
    repair: operation(broken, ['repair'], { beginsBroken: true }),
  };
}

/** The store has what the bystander needs, and not a layer more. */
async function forget(stage: Stage): Promise<void> {
  await clear(stage);
  for (const name of [V1, V2]) await stage.atomic(['--quiet', '--assumeyes', 'images', 'delete', name]);
  await stage.succeed('--quiet', 'images', 'prune');
}

/** Layers of an image that has lost its name. */
async function orphanLayers(stage: Stage): Promise<void> {
  await clear(stage);
  await stage.atomic(['--quiet', '--assumeyes', 'images', 'delete', V2]);
}

/** A folder of a container whose link is gone. */
async function orphanDeployment(stage: Stage): Promise<void> {
  await clear(stage);
  await stage.shell('test -e "$1/gone.0" || cp -a "$1/bystander.0" "$1/gone.0"', CHECKOUTS);
}

async function openCrashStage(): Promise<Stage> {
  const stage = await openStage();
  prepareCrashes(stage);
  await stage.push(v1, 'hello:v1');
  await stage.push(v2, 'hello:v2');
  await stage.push(bystander, 'bystander');
  await stage.succeed('install', `${REGISTRY}/bystander`, '--name', 'bystander');
  await stage.succeed('pull', V1);
  await stage.succeed('pull', V2);
  return stage;
}

/** What each of the hosts does, in about the same time; what takes images away goes last. */
const HOSTS = [
  ['repair', 'install', 'prune of layers'],
  ['update', 'rollback', 'delete'],
  ['uninstall', 'prune of a deployment', 'pull'],
] as const;
const stages: Stage[] = [];
interface Result {
  readonly killed: Matrix;
  /** By a system call of it or of a program that it runs; not for one that begins broken, which takes long to arrive at. */
  readonly syscalls: Matrix | undefined;
}
const results = new Map<string, Promise<Result>>();

beforeAll(async () => {
  for (const names of HOSTS) {
    const stage = await openCrashStage();
    stages.push(stage);
    const operations = operationsOn(stage);
    let turn: Promise<unknown> = Promise.resolve();
    for (const name of names) {
      const operation = operations[name];
      if (operation === undefined) throw new Error(`there is no operation ${name}`);
      const result = turn.then(async () => ({
        killed: await runMatrix(stage, operation),
        syscalls: operation.beginsBroken === true ? undefined : await runSyscallMatrix(stage, operation),
      }));
      // Each test awaits its own; one that fails must not keep the others from running.
      turn = result.catch(() => undefined);
      results.set(name, result);
    }
  }
});
afterAll(async () => {
  for (const stage of stages) await stage.close();
});

function describeMatrix(name: string, how: string, { points, old, next }: Matrix): string {
  return `crash matrix, ${name}: ${how} at ${points} points, ${old} times the old state, ${next} times the new one`;
}

it.each(HOSTS.flat())(
  '%s, killed anywhere, is in the old state or in the new one after a repair',
  async (name) => {
    const result = await results.get(name);
    if (result === undefined) throw new Error(`nothing was done for ${name}`);
    const { killed, syscalls } = result;
    console.log(describeMatrix(name, 'killed', killed));
    if (syscalls !== undefined)
      console.log(describeMatrix(name, 'it or a helper killed by a system call', syscalls));
    for (const { points, old, next, failures } of [killed, ...(syscalls === undefined ? [] : [syscalls])]) {
      expect(failures).toEqual([]);
      expect(points).toBeGreaterThan(0);
      expect(old + next).toBe(points);
    }
  },
  HOUR_MS,
);
