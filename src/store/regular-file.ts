/** Opening files of a repo that may be somebody else's: whatever stands in their place, nobody waits for it. */
import { closeSync, constants, fstatSync, openSync, type Stats } from 'node:fs';
import { AtomicError } from '../errors.ts';
import { limitExceeded } from '../limits.ts';

/** A pipe, a device, a folder where a repo has a file. */
export class NoRegularFile extends AtomicError {
  constructor(what: string) {
    super('store-invalid', `${what} is no regular file`, { hint: 'Check the repo with `ostree fsck`.' });
  }
}

/**
 * Does something with an open file, at once: a pipe would hold the whole program up, signals included, until somebody
 * writes into it, and a device may have no end.
 * @param limit bytes that it may have
 * @throws NoRegularFile; AtomicError `limit-exceeded`; system errors
 */
export function withRegularFile<T>(
  path: string,
  {
    what,
    limit,
    links,
  }: { readonly what: string; readonly limit: number; readonly links: 'refuse' | 'follow' },
  use: (file: number, stats: Stats) => T,
): T {
  const noLinks = links === 'refuse' ? constants.O_NOFOLLOW : 0;
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | noLinks);
  try {
    const stats = fstatSync(file);
    if (!stats.isFile()) throw new NoRegularFile(what);
    if (stats.size > limit) throw limitExceeded(limit, `${what} is larger than ${limit} bytes`);
    return use(file, stats);
  } finally {
    closeSync(file);
  }
}
