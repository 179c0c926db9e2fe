import type { StepContext } from '../context.ts';
import type { Step } from '../plan.ts';

/** Plain data that a way back needs; null when it needs nothing. */
export type Before =
  null | boolean | string | readonly Before[] | { readonly [key: string]: Before | number };

/**
 * A kind of step. `capture` finds out what has to be known beforehand to undo it, and is on the disk before `apply`
 * begins. `undo` may meet a step that was not begun, half done, done, or undone already, because a process can die
 * anywhere: it looks, and does what is left to do. `clean` removes what was only kept for the way back.
 */
export interface Handler<S extends Step> {
  readonly capture: (step: S, context: StepContext) => Promise<Before>;
  readonly apply: (step: S, context: StepContext, before: Before) => Promise<void>;
  readonly undo: (step: S, before: Before, context: StepContext) => Promise<void>;
  readonly clean?: (step: S, before: Before, context: StepContext) => Promise<void>;
}

export type Of<K extends Step['kind']> = Handler<Extract<Step, { kind: K }>>;

export const captureNothing = (): Promise<null> => Promise.resolve(null);
export const doNothing = (): Promise<void> => Promise.resolve();

/** What `capture` found, as the handler that wrote it knows it. */
export function as<T>(before: Before): Partial<T> {
  return typeof before === 'object' && before !== null ? (before as Partial<T>) : {};
}
