/**
 * What the rest of the program may ask of the host: types only. The implementations stand beside this file
 * and are wired in cli/main.ts.
 */
import type { Duplex, Readable } from 'node:stream';

export interface RunOptions {
  readonly input?: string | Uint8Array;
  /** Streamed to the program's standard input instead of `input`; its error kills the program and is rethrown. */
  readonly inputStream?: Readable;
  readonly cwd?: string;
  /** Added to the environment; `undefined` removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Exit statuses that are an answer and not a failure; [0] when not given. */
  readonly accept?: readonly number[];
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface RunResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs other programs: no shell, arguments as a list, output capped at CHILD_OUTPUT_BYTES. */
export interface Exec {
  /**
   * Runs a program to its end.
   * @throws AtomicError `tool-missing` when there is no such program, `command-failed` on an exit status that is not accepted.
   */
  run(program: string, args: readonly string[], options?: RunOptions): Promise<RunResult>;
  /** Runs a program on our own terminal and resolves with its exit status (128+n for a signal). */
  attach(
    program: string,
    args: readonly string[],
    options?: Pick<RunOptions, 'cwd' | 'env'>,
  ): Promise<number>;
  /**
   * A program as a stream: what is written goes to its standard input, what is read is its standard output.
   * Errors with `tool-missing` or `command-failed`; destroying it ends the program.
   */
  filter(program: string, args: readonly string[]): Duplex;
  /** The absolute path of a program, looked up in PATH and the sbin folders; undefined when there is none. */
  find(program: string): Promise<string | undefined>;
}

/** A lock that dies with our process. */
export interface HeldLock {
  release(): Promise<void>;
}

export interface Locks {
  /**
   * Takes a lock file exclusively or shared; waits up to `waitMs` (0: not at all).
   * @throws AtomicError `busy` with the holder's pid when it cannot be had in time.
   */
  acquire(path: string, mode: 'shared' | 'exclusive', waitMs: number): Promise<HeldLock>;
}

/** What is true of the machine and of us; cheap to know. */
export interface HostIdentity {
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
  /** GOARCH spelling: amd64, arm64… */
  readonly architecture: string;
  /** GOARM-like variant (v7, v8) where it matters. */
  readonly variant: string | undefined;
}
