import { randomUUID } from 'node:crypto';
import { statSync } from 'node:fs';
import { open, unlink, type FileHandle } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { AtomicError, messageOf } from '../errors.ts';
import { findProgram, quietEnvironment, terminalEnvironment, type Environment } from './exec/environment.ts';
import { commandFailed, nameCommand, placeOf, toolMissing } from './exec/failure.ts';
import { pipeInto, watchSource } from './exec/feed.ts';
import { startFilter } from './exec/filter.ts';
import { Halt } from './exec/halt.ts';
import { heldDescriptors } from './exec/held.ts';
import { collectOutput } from './exec/output.ts';
import { isTooOldToTie, tieToUs } from './exec/tie.ts';
import type { AttachOptions, Exec, RunOptions, RunResult } from './ports.ts';

/** execa takes a descriptor of our own and hands it on; its types know none here, since it cannot tell the direction. */
const inherited = (...first: number[]): 'ignore'[] =>
  [...first, ...heldDescriptors()] as unknown as 'ignore'[];

/** How a program came to its end, as execa tells it. */
interface Ending {
  readonly exitCode?: number | undefined;
  readonly signal?: string | undefined;
  /** Why there was no program at all. */
  readonly code?: string | undefined;
  readonly cause?: unknown;
}

/**
 * Runs programs with execa, loaded at the first run: it costs a fifth of our start.
 *
 * Input streams go through the pipe's own backpressure into the program; with 2 GiB of it that takes as long as with
 * node:child_process. `run` and `filter` put each program into a session of its own (see exec/children.ts), `attach`
 * leaves it on our terminal. All of them inherit the locks that we hold (exec/held.ts).
 */
export function createExec(environment: Environment = process.env): Exec {
  return {
    run: (program, args, options = {}) =>
      options.endWithUs === true
        ? runTied(program, args, options, environment)
        : run(program, args, options, environment),
    attach: (program, args, options = {}) => attach(program, args, options, environment),
    filter: (program, args) => startFilter(program, args, quietEnvironment(environment)),
    find: (program) => findProgram(program, environment),
  };
}

async function runTied(
  program: string,
  args: readonly string[],
  options: RunOptions,
  environment: Environment,
): Promise<RunResult> {
  const tied = await tieToUs({ program, args }, environment);
  if (tied === undefined) return run(program, args, options, environment);
  try {
    return await run(tied.program, tied.args, options, environment, nameCommand(program, args));
  } catch (error) {
    if (!isTooOldToTie(error)) throw error;
    return run(program, args, options, environment);
  }
}

async function run(
  program: string,
  args: readonly string[],
  options: RunOptions,
  environment: Environment,
  command = nameCommand(program, args),
): Promise<RunResult> {
  const source = sourceOf(options);
  const halt = new Halt(source);
  const sourceEnd = source === undefined ? undefined : watchSource(source, command);
  void sourceEnd?.then((end) => {
    if (!end.ok) halt.halt(end.error);
  });
  const onAbort = (): void => halt.halt(interruption(command, options.signal?.reason));
  options.signal?.addEventListener('abort', onAbort);
  try {
    if (options.signal?.aborted === true) onAbort();
    const child = await spawnChild(program, args, options, environment, halt);
    if (source !== undefined && child.stdin !== null) pipeInto(source, child.stdin);
    if (options.timeoutMs !== undefined) {
      const { timeoutMs } = options;
      halt.after(timeoutMs, () => halt.halt(timeout(command, timeoutMs)));
    }
    const ending = await child.ending;
    halt.ended();
    halt.throwIfHalted();
    const stderr = child.stderr();
    const exitCode = acceptStatus(ending, { program, args, command, stderr, options });
    // It may have stopped reading before the stream's end, where a stream that verifies itself speaks.
    await sourceEnd;
    halt.throwIfHalted();
    return { exitCode, stdout: child.stdout(), stderr };
  } finally {
    options.signal?.removeEventListener('abort', onAbort);
    halt.close();
  }
}

async function spawnChild(
  program: string,
  args: readonly string[],
  options: RunOptions,
  environment: Environment,
  halt: Halt,
) {
  const { execa } = await import('execa');
  halt.throwIfHalted();
  const hasInput = options.inputStream !== undefined || options.input !== undefined;
  const child = execa(program, args, {
    stdio: [hasInput ? 'pipe' : 'ignore', 'pipe', 'pipe', ...inherited()],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    env: quietEnvironment(environment, options.env),
    extendEnv: false,
    // The output is read here: what is over the limit is dropped, and the program still comes to its end.
    buffer: false,
    reject: false,
    detached: true,
    cleanup: false,
  });
  if (child.pid !== undefined) halt.started(child.pid);
  const nothing = (): string => '';
  return {
    stdin: child.stdin,
    stdout: child.stdout === null ? nothing : collectOutput(child.stdout, 'head', options.outputBytes),
    stderr: child.stderr === null ? nothing : collectOutput(child.stderr, 'tail'),
    // In an object, because a promise that is returned would be awaited.
    ending: child as Promise<Ending>,
  };
}

async function attach(
  program: string,
  args: readonly string[],
  options: AttachOptions,
  environment: Environment,
): Promise<number> {
  const { execa } = await import('execa');
  const document = options.document === undefined ? undefined : await openNameless(options.document);
  const standard = options.silent === true ? 'ignore' : 'inherit';
  const child = execa(program, args, {
    stdio: [standard, standard, standard, ...(document === undefined ? inherited() : inherited(document.fd))],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    env: terminalEnvironment(environment, options.env),
    extendEnv: false,
    reject: false,
  });
  // As a shell does: keys of the terminal are for the program, which has them already; the rest is handed on.
  const leave = (): void => {};
  const handOn = (signal: NodeJS.Signals): void => void child.kill(signal);
  for (const signal of ['SIGINT', 'SIGQUIT'] as const) process.on(signal, leave);
  for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.on(signal, handOn);
  try {
    const ending: Ending = await child;
    if (ending.exitCode !== undefined) return ending.exitCode;
    if (ending.signal !== undefined) return 128 + (signalNumber(ending.signal) ?? 0);
    throw notStarted(ending, program, options.cwd);
  } finally {
    for (const signal of ['SIGINT', 'SIGQUIT'] as const) process.off(signal, leave);
    for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.off(signal, handOn);
    await document?.close();
  }
}

/** A file with a text, of which only the descriptor is left. */
async function openNameless(text: string): Promise<FileHandle> {
  const path = join(tmpdir(), `atomic-ts-${randomUUID()}`);
  const file = await open(path, 'wx+', 0o600);
  try {
    await unlink(path);
    await file.writeFile(text);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

function sourceOf(options: RunOptions): Readable | undefined {
  if (options.inputStream !== undefined) return options.inputStream;
  return options.input === undefined ? undefined : Readable.from([Buffer.from(options.input)]);
}

interface RunContext {
  readonly program: string;
  readonly args: readonly string[];
  readonly command: string;
  readonly stderr: string;
  readonly options: RunOptions;
}

function acceptStatus(ending: Ending, { program, args, command, stderr, options }: RunContext): number {
  const { exitCode, signal } = ending;
  if (exitCode !== undefined && (options.accept ?? [0]).includes(exitCode)) return exitCode;
  if (exitCode === undefined && signal === undefined) throw notStarted(ending, program, options.cwd);
  throw commandFailed(
    command,
    signal === undefined ? `exit status ${exitCode}` : `ended by ${signal}`,
    stderr,
    undefined,
    placeOf(args),
  );
}

function notStarted(ending: Ending, program: string, cwd: string | undefined): AtomicError {
  if (ending.code === 'ENOENT' || ending.code === 'ENOTDIR') {
    if (cwd === undefined || statSync(cwd, { throwIfNoEntry: false })?.isDirectory() === true) {
      return toolMissing(program, ending.cause);
    }
    return new AtomicError('command-failed', `Cannot run ${program} in ${cwd}: there is no such folder`);
  }
  return new AtomicError('command-failed', `Cannot run ${program}: ${messageOf(ending.cause)}`, {
    cause: ending.cause,
  });
}

function signalNumber(name: string): number | undefined {
  return new Map<string, number>(Object.entries(constants.signals)).get(name);
}

function interruption(command: string, reason: unknown): AtomicError {
  if (reason instanceof AtomicError) return reason;
  return new AtomicError('interrupted', `${command} was interrupted`, { cause: reason });
}

function timeout(command: string, ms: number): AtomicError {
  return new AtomicError('command-failed', `${command} did not end within ${ms / 1000} seconds`);
}
