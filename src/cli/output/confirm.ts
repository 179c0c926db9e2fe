import { createInterface } from 'node:readline/promises';
import { AtomicError } from '../../errors.ts';

/**
 * Asks for a yes on stdin, which need not be a terminal: scripts pipe their answer.
 * @throws AtomicError `value-invalid` when there is none
 */
export async function confirm(question: string): Promise<boolean> {
  const lines = createInterface({ input: process.stdin });
  process.stdout.write(question);
  try {
    for await (const line of lines) return /^y(?:es)?$/i.test(line.trim());
    process.stdout.write('\n');
    throw new AtomicError('value-invalid', 'Nobody has answered: standard input has ended', {
      hint: 'Answer with -y where nobody can be asked. Nothing was changed.',
    });
  } finally {
    lines.close();
  }
}

/**
 * Refuses a question that nobody would answer.
 * @param command what asks: `atomic-ts containers delete`
 * @throws AtomicError `usage`
 */
export function requirePerson(command: string, json: boolean): void {
  if (process.stdin.isTTY && !json) return;
  const why = json ? 'with --json it asks no question' : 'standard input is no terminal';
  throw new AtomicError('usage', `${command} wants a confirmation, and ${why}`, {
    hint: 'Confirm it with -y: atomic-ts -y …',
  });
}
