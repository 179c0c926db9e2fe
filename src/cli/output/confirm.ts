import { createInterface } from 'node:readline/promises';
import { AtomicError } from '../../errors.ts';

/**
 * Asks for a yes on stdin, which need not be a terminal: scripts pipe their answer.
 * @param signal ends the wait for it
 * @throws AtomicError `value-invalid` when there is none; the signal's reason
 */
export async function confirm(question: string, signal: AbortSignal): Promise<boolean> {
  const lines = createInterface({ input: process.stdin, signal });
  process.stdout.write(question);
  try {
    for await (const line of lines) return /^y(?:es)?$/i.test(line.trim());
    process.stdout.write('\n');
    signal.throwIfAborted();
    throw new AtomicError('value-invalid', 'Nobody has answered: standard input has ended', {
      hint: 'Answer with -y where nobody can be asked. Nothing was changed.',
    });
  } finally {
    lines.close();
  }
}

/**
 * Refuses a question where the answer to it would be no JSON.
 * @param command what asks: `atomic-ts containers delete`
 * @throws AtomicError `usage`
 */
export function requireConfirmed(command: string, assumeYes: boolean, json: boolean): void {
  if (assumeYes || !json) return;
  throw new AtomicError('usage', `${command} asks no question with --json`, {
    hint: 'Confirm it with -y: atomic-ts -y …',
  });
}
