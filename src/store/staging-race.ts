import { AtomicError, isAtomicError } from '../errors.ts';

/** Each try loses with a probability far below one in a hundred. */
const TRIES = 5;

/**
 * Two `ostree commit` at once on one repo: each looks through `tmp/` for staging folders that a dead process left, and
 * fails when the other's own folder goes away between its listing and its look (libostree 2022.7). Nothing was written
 * then, and another try is as good as the first.
 */
export function isStagingRace(error: unknown): error is AtomicError {
  if (!isAtomicError(error, 'command-failed')) return false;
  return /staging-\S+\)?: No such file or directory/.test(`${error.message}\n${error.details ?? ''}`);
}

/** Runs a commit whose input can be given again. */
export async function retryStagingRace<T>(commit: () => Promise<T>): Promise<T> {
  for (let left = TRIES - 1; ; left--) {
    try {
      return await commit();
    } catch (error) {
      if (left === 0 || !isStagingRace(error)) throw error;
    }
  }
}

/** For a commit whose input is a stream that has been drunk from: the caller has to begin again with a new one. */
export function askForAnotherTry(error: AtomicError, what: string): AtomicError {
  return new AtomicError('store-race', `The import of ${what} met another one's end`, {
    cause: error,
    hint: 'Try again.',
  });
}
