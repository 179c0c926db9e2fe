import { AtomicError } from '../errors.ts';

/** What a script can tell apart by the exit status; everything else that fails is 1. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  updateFailed: 4,
  drift: 5,
  interrupted: 130,
  terminated: 143,
} as const;

/** The exit status for an error. */
export function exitCodeOf(error: unknown): number {
  if (!(error instanceof AtomicError)) return EXIT.failed;
  if (error.code === 'usage') return EXIT.usage;
  if (error.code === 'update-failed') return EXIT.updateFailed;
  if (error.code === 'interrupted')
    return error.message.includes('SIGTERM') ? EXIT.terminated : EXIT.interrupted;
  return EXIT.failed;
}
