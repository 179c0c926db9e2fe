import { isAtomicError } from '../../errors.ts';
import { findProgram, type Environment } from './environment.ts';

export interface Command {
  readonly program: string;
  readonly args: readonly string[];
}

/**
 * The same command, which the kernel kills when we die: by setpriv(1), which asks for that (prctl(2),
 * PR_SET_PDEATHSIG) and becomes the program.
 * @returns undefined where setpriv is not installed, and for a program that is not: its absence is told by its own name
 */
export async function tieToUs(
  { program, args }: Command,
  environment: Environment,
): Promise<Command | undefined> {
  const setpriv = await findProgram('setpriv', environment);
  const path = await findProgram(program, environment);
  if (setpriv === undefined || path === undefined) return undefined;
  return { program: setpriv, args: ['--pdeathsig', 'KILL', '--', path, ...args] };
}

/** Whether it was a setpriv from before util-linux 2.33, or busybox's, which has run nothing. */
export function isTooOldToTie(error: unknown): boolean {
  if (!isAtomicError(error, 'command-failed')) return false;
  return /setpriv: (?:unrecognized|invalid) option/.test(`${error.message}\n${error.details ?? ''}`);
}
