import type { Duplex } from 'node:stream';
import { AtomicError } from '../../src/errors.ts';
import type { Exec, RunOptions, RunResult } from '../../src/host/ports.ts';
import type { Clock } from '../../src/service/clock.ts';

export interface Call {
  readonly line: string;
  readonly options: RunOptions;
}

type Answer = string | { readonly exitCode: number; readonly stderr: string };

/** Answers programs by a function of the command line; a status that the caller does not accept is an error. */
export class FakeExec implements Exec {
  readonly calls: Call[] = [];
  readonly #answer: (line: string) => Answer;

  constructor(answer: (line: string) => Answer = () => '') {
    this.#answer = answer;
  }

  get lines(): string[] {
    return this.calls.map(({ line }) => line);
  }

  run(program: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    const line = [program, ...args].join(' ');
    this.calls.push({ line, options });
    const answer = this.#answer(line);
    const result =
      typeof answer === 'string'
        ? { exitCode: 0, stdout: answer, stderr: '' }
        : { exitCode: answer.exitCode, stdout: '', stderr: answer.stderr };
    if (result.exitCode === 127) {
      return Promise.reject(new AtomicError('tool-missing', `Cannot run ${program}: it is not installed`));
    }
    if (!(options.accept ?? [0]).includes(result.exitCode)) {
      return Promise.reject(new AtomicError('command-failed', `${program} failed: ${result.stderr}`));
    }
    return Promise.resolve(result);
  }

  attach(): Promise<number> {
    return Promise.reject(new Error('not asked for'));
  }

  filter(...given: Parameters<Exec['filter']>): Duplex {
    throw new Error(`not asked for: ${given.flat().join(' ')}`);
  }

  find(program: string): Promise<string | undefined> {
    return Promise.resolve(this.#answer(`find ${program}`) === '' ? undefined : program);
  }
}

/** A clock that is only moved by sleeping on it. */
export class FakeClock implements Clock {
  time = 1_000_000;

  now(): number {
    return this.time;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) return Promise.reject(new Error('aborted'));
    this.time += ms;
    return Promise.resolve();
  }
}

export function propertyBlock(properties: Readonly<Record<string, string>>): string {
  return Object.entries(properties)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
}
