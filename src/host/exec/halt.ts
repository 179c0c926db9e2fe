import type { Readable } from 'node:stream';
import { adoptChild, killGroup, releaseChild } from './children.ts';

/** Time between asking a program to end and ending it. */
const GRACE_MS = 5000;

/**
 * Ends one run before its time; the first reason wins.
 *
 * A program that is fed by a stream gets SIGKILL: a half-fed `ostree commit` must not reach its commit. Others get
 * SIGTERM, and SIGKILL five seconds later.
 */
export class Halt {
  readonly #source: Readable | undefined;
  #reason: { readonly error: unknown } | undefined;
  #pid: number | undefined;
  readonly #timers: NodeJS.Timeout[] = [];

  constructor(source: Readable | undefined) {
    this.#source = source;
  }

  /** From here on, `halt` ends this program; so does the end of our own process. */
  started(pid: number): void {
    this.#pid = pid;
    adoptChild(pid, this.#firstSignal());
  }

  /** The program has ended by itself: its number may soon be another's. */
  ended(): void {
    if (this.#pid !== undefined) releaseChild(this.#pid);
    this.#pid = undefined;
  }

  halt(error: unknown): void {
    this.#reason ??= { error };
    this.#source?.destroy();
    if (this.#pid === undefined) return;
    killGroup(this.#pid, this.#firstSignal());
    this.after(GRACE_MS, () => {
      if (this.#pid !== undefined) killGroup(this.#pid, 'SIGKILL');
    });
  }

  after(ms: number, act: () => void): void {
    this.#timers.push(setTimeout(act, ms));
  }

  throwIfHalted(): void {
    if (this.#reason !== undefined) throw this.#reason.error;
  }

  /** Gives up timers and the stream. */
  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#source?.destroy();
  }

  #firstSignal(): NodeJS.Signals {
    return this.#source === undefined ? 'SIGTERM' : 'SIGKILL';
  }
}
