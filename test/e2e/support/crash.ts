/** The crash matrix: one command, killed at each of its moments in turn, and what is there after a repair. */
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { REPOSITORY, show, type Stage } from './stage.ts';

const HERE = fileURLToPath(new URL('.', import.meta.url));
/** Of a command that happened to have fewer moments than in its first run. */
const TRIES = 3;
const POINT_LIMIT_MS = 60_000;
/** To see what is wrong. */
const ENOUGH_FAILURES = 10;

export interface Operation {
  readonly name: string;
  /** What is typed behind `atomic-ts`. */
  readonly args: readonly string[];
  /** Brings the host from wherever the last operation left it to the state that this one begins in. */
  readonly prepare: () => Promise<void>;
  /** Lines of the state that are as they may be: layers that a pull has brought stay for the next one. */
  readonly passing?: RegExp;
  /** Whether, where the old state is found, the same command has to lead to the new one after all. */
  readonly completes?: boolean;
  /** Whether it begins in a state that is itself in need of a repair: then only the new state will do. */
  readonly beginsBroken?: boolean;
}

export interface Matrix {
  readonly points: number;
  /** How often the old and the new state were found. */
  readonly old: number;
  readonly next: number;
  /** Moments at which something else was found, with what it was. */
  readonly failures: readonly string[];
}

interface Point {
  readonly killed: boolean;
  readonly moment: string;
  readonly state: string;
}

/** Puts the scripts where the host sees them. */
export function prepareCrashes(stage: Stage): void {
  for (const file of ['crash-points.mjs', 'crash-check.sh'])
    copyFileSync(join(HERE, file), join(stage.images, file));
}

/** Kills an operation at each of its moments; a moment that cannot be reached is a failure. */
export async function runMatrix(stage: Stage, operation: Operation): Promise<Matrix> {
  const { old, next, points, failures } = await runUnharmed(stage, operation);
  const seen = { old: 0, next: 0 };
  for (let moment = 1; moment <= points && failures.length < ENOUGH_FAILURES; moment++) {
    const point = await reachPoint(stage, operation, moment);
    const { state } = point;
    // It asks systemd once or twice how the service is: the first run may have been the longest.
    if (!point.killed && moment > countOf(point)) return { points: moment - 1, ...seen, failures };
    if (!point.killed) failures.push(`${moment} of ${points} was not reached in ${TRIES} runs`);
    else if (state === next) seen.next += 1;
    else if (state === old && operation.beginsBroken !== true) seen.old += 1;
    else failures.push(`${point.moment}: ${describeDifference(state, old, next)}`);
    if (state === old && operation.completes === true) {
      const { state: completed } = await runCheck(stage, operation, 'point', 0);
      if (completed !== next)
        failures.push(`completed after ${point.moment}: ${describeDifference(completed, next, next)}`);
    }
    if (state !== old || operation.completes === true) await reset(stage, operation);
  }
  return { points, ...seen, failures };
}

/** Both states, the number of moments, and what is wrong without any kill; the operation can begin then. */
async function runUnharmed(
  stage: Stage,
  operation: Operation,
): Promise<{ old: string; next: string; points: number; failures: string[] }> {
  await operation.prepare();
  await keepStore(stage);
  const old = await readState(stage, operation);
  const whole = await runPoint(stage, operation, 0);
  const next = whole.state;
  const points = Number(whole.moment.split(' ', 1)[0]);
  const judged = operation.beginsBroken === true ? next : `${old}\n${next}`;
  const bad = judged.split('\n').filter((line) => line.startsWith('BAD'));
  const isEmpty = points < 1 || old === next;
  await reset(stage, operation);
  return {
    old,
    next,
    points,
    failures: [...bad, ...(isEmpty ? [`${points} points, and nothing changes`] : [])],
  };
}

/**
 * The same by the kernel's eyes: the program, or one that it runs, is killed at its first rename, link or unlink, then at
 * its second, until nobody makes that many of them. A program whose helper was killed has to undo by itself.
 */
export async function runSyscallMatrix(stage: Stage, operation: Operation): Promise<Matrix> {
  const { old, next, failures } = await runUnharmed(stage, operation);
  const seen = { old: 0, next: 0 };
  let number = 1;
  for (; failures.length < ENOUGH_FAILURES; number++) {
    const { status, at, state } = await runCheck(stage, operation, 'syscall', number);
    if (at === '0' && status === 'status 0') break;
    if (state === old) seen.old += 1;
    else if (state === next) seen.next += 1;
    else failures.push(`system call ${number}: ${describeDifference(state, old, next)}`);
    if (state !== old) await reset(stage, operation);
  }
  return { points: number - 1, ...seen, failures };
}

/** The moments of a run that came to its end. */
function countOf({ moment }: Point): number {
  return moment.endsWith(' exit') ? Number.parseInt(moment, 10) : Infinity;
}

async function reachPoint(stage: Stage, operation: Operation, moment: number): Promise<Point> {
  let point = await runPoint(stage, operation, moment);
  for (let left = TRIES - 1; !point.killed && left > 0; left--) {
    await reset(stage, operation);
    point = await runPoint(stage, operation, moment);
  }
  return point;
}

async function reset(stage: Stage, operation: Operation): Promise<void> {
  await restoreStore(stage);
  await operation.prepare();
}

async function runPoint(stage: Stage, operation: Operation, moment: number): Promise<Point> {
  const { status, at, state } = await runCheck(stage, operation, 'point', moment);
  if (moment === 0 && status !== 'status 0') {
    throw new Error(`${operation.name}: ${status}\n${await stage.shell('cat /run/crash-output')}`);
  }
  return { killed: status === 'status 137', moment: at, state };
}

async function runCheck(
  stage: Stage,
  { args, passing }: Operation,
  how: 'point' | 'syscall',
  number: number,
): Promise<{ status: string; at: string; state: string }> {
  const command = ['/images/crash-check.sh', how, String(number), 'atomic-ts', ...args];
  const result = await stage.host.exec('bash', command, { timeoutMs: POINT_LIMIT_MS });
  if (result.code !== 0) throw new Error(`${how} ${number}: ${show(result)}`);
  const [status = '', at = '', ...state] = result.stdout.split('\n');
  return { status, at: at.replace(/^at /, ''), state: leaveOut(state, passing) };
}

function leaveOut(lines: readonly string[], passing: RegExp | undefined): string {
  return lines.filter((line) => passing?.test(line) !== true).join('\n');
}

async function readState(stage: Stage, { passing }: Operation): Promise<string> {
  const { stdout } = await stage.host.exec('bash', ['/images/crash-check.sh', 'state']);
  return leaveOut(stdout.split('\n'), passing);
}

/** The number of a command's first moment that is called so; the command is carried out for it. */
export async function findMoment(stage: Stage, at: RegExp, args: readonly string[]): Promise<number> {
  const log = await breakAt(stage, 0, args);
  const line = log.split('\n').find((each) => at.test(each));
  if (line === undefined)
    throw new Error(`no moment of atomic-ts ${args.join(' ')} is ${at.source}:\n${log}`);
  return Number.parseInt(line, 10);
}

/** Kills a command at a moment, and puts nothing right. */
export function breakAt(stage: Stage, moment: number, args: readonly string[]): Promise<string> {
  return stage.run('bash', '/images/crash-check.sh', 'break', String(moment), 'atomic-ts', ...args);
}

async function keepStore(stage: Stage): Promise<void> {
  await stage.shell('rm -rf "$1".kept; test ! -e "$1" || cp -a "$1" "$1".kept', REPOSITORY);
}

/** The repo's files are other ones then than those that the checkouts link to; their bytes are the same. */
async function restoreStore(stage: Stage): Promise<void> {
  await stage.shell('rm -rf "$1"; test ! -e "$1".kept || cp -a "$1".kept "$1"', REPOSITORY);
}

function describeDifference(state: string, old: string, next: string): string {
  const distance = (other: string): string[] => {
    const [here, there] = [new Set(state.split('\n')), new Set(other.split('\n'))];
    return [
      ...[...there].filter((line) => !here.has(line)).map((line) => `- ${line}`),
      ...[...here].filter((line) => !there.has(line)).map((line) => `+ ${line}`),
    ];
  };
  const [toOld, toNext] = [distance(old), distance(next)];
  return toOld.length <= toNext.length
    ? `not the old state:\n${toOld.join('\n')}`
    : `not the new state:\n${toNext.join('\n')}`;
}
