import { createInterface } from 'node:readline/promises';

/** Asks for a yes on stdin, which need not be a terminal; its end is a no. */
export async function confirm(question: string): Promise<boolean> {
  const lines = createInterface({ input: process.stdin });
  process.stdout.write(question);
  try {
    for await (const line of lines) return /^y(?:es)?$/i.test(line.trim());
    process.stdout.write('\n');
    return false;
  } finally {
    lines.close();
  }
}
