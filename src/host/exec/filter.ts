import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { Duplex } from 'node:stream';
import { systemCodeOf } from '../../errors.ts';
import { adoptChild, killGroup, releaseChild } from './children.ts';
import { commandFailed, nameCommand, toolMissing } from './failure.ts';
import { heldDescriptors } from './held.ts';
import { collectOutput } from './output.ts';

/**
 * A program as a stream. Reading ends only after the program has ended with status 0; any other ending is an error of
 * the stream. Destroying the stream kills the program.
 *
 * With node:child_process, because the stream is wanted at once and execa has to be loaded first.
 */
export function startFilter(
  program: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
): Duplex {
  const command = nameCommand(program, args);
  const child = spawn(program, args, {
    stdio: ['pipe', 'pipe', 'pipe', ...heldDescriptors()],
    env: environment,
    detached: true,
  }) as ChildProcessWithoutNullStreams;
  const { pid } = child;
  if (pid !== undefined) adoptChild(pid, 'SIGKILL');
  const stderr = collectOutput(child.stderr, 'tail');
  let hasEnded = false;
  let wantsMore: (() => void) | undefined;

  const filter = new Duplex({
    write(chunk: Buffer, _encoding, done) {
      // A program that has closed its input wants no more; how it ended is told below.
      if (child.stdin.destroyed || child.stdin.write(chunk)) return done();
      wantsMore = done;
    },
    final(done) {
      child.stdin.end();
      done();
    },
    read() {
      child.stdout.resume();
    },
    destroy(error, done) {
      if (pid !== undefined && !hasEnded) killGroup(pid, 'SIGKILL');
      done(error);
    },
  });
  const takeMore = (): void => {
    const done = wantsMore;
    wantsMore = undefined;
    done?.();
  };
  child.stdin.on('drain', takeMore);
  child.stdin.on('close', takeMore);
  child.stdin.on('error', () => {});
  child.stdout.on('data', (chunk: Buffer) => {
    if (!filter.push(chunk)) child.stdout.pause();
  });
  child.on('error', (error) => {
    const missing = systemCodeOf(error) === 'ENOENT';
    filter.destroy(missing ? toolMissing(program, error) : commandFailed(command, error.message, '', error));
  });
  child.on('exit', () => {
    hasEnded = true;
    if (pid !== undefined) releaseChild(pid);
  });
  child.on('close', (status, signal) => {
    if (status === 0) filter.push(null);
    else
      filter.destroy(
        commandFailed(command, signal ? `ended by ${signal}` : `exit status ${status}`, stderr()),
      );
  });
  return filter;
}
