import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { AtomicError } from '../../errors.ts';
import { limitExceeded, PASSWORD_BYTES } from '../../limits.ts';

/** Whether somebody is there to be asked, and sees the questions. */
export function canAsk(): boolean {
  return process.stdin.isTTY && process.stderr.isTTY;
}

/** Questions on the terminal, one after another; they go to stderr. */
export interface Prompt {
  ask(question: string): Promise<string>;
  /** What is typed is not shown. */
  askSecret(question: string): Promise<string>;
  close(): void;
}

/**
 * The terminal's own echo is off from the first question to the end, and readline shows what is typed for those that are
 * no secret: whoever types ahead shows nothing.
 */
export function openPrompt(): Prompt {
  let isShown = false;
  const output = new Writable({
    write(chunk: Buffer, _encoding, done) {
      if (isShown) process.stderr.write(chunk);
      done();
    },
  });
  const lines = createInterface({ input: process.stdin, output, terminal: true, historySize: 0 });
  lines.on('line', () => (isShown = false));
  const answers = lines[Symbol.asyncIterator]();
  lines.on('SIGINT', () => lines.close());
  const answer = async (): Promise<string> => {
    const { done, value } = await answers.next();
    if (done !== true) return value;
    process.stderr.write('\n');
    throw new AtomicError('interrupted', 'Interrupted while waiting for an answer: nothing was changed');
  };
  return {
    ask(question) {
      isShown = true;
      lines.setPrompt(question);
      lines.prompt();
      return answer();
    },
    async askSecret(question) {
      process.stderr.write(question);
      const secret = await answer();
      process.stderr.write('\n');
      return secret;
    },
    close: () => lines.close(),
  };
}

/**
 * All of stdin, without the line end that `echo` leaves.
 * @throws AtomicError `limit-exceeded`
 */
export async function readStdin(): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > PASSWORD_BYTES) {
      const sentence = `Standard input is no password: it has more than ${PASSWORD_BYTES} bytes`;
      throw limitExceeded(PASSWORD_BYTES, sentence);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks)
    .toString('utf8')
    .replace(/\r?\n$/, '');
}
