/** The entry: as little as possible is loaded before it is known what is wanted. */
import { writeSync } from 'node:fs';
import process from 'node:process';

declare const ATOMIC_TS_VERSION: string;

const args = process.argv.slice(2);
if (args.length === 1 && (args[0] === '--version' || args[0] === '-v')) {
  // process.stdout costs a tenth of a start; a version is short enough for any pipe.
  writeSync(1, `${ATOMIC_TS_VERSION}\n`);
} else {
  // A reader that has gone (`| head`) is no reason to leave a change half done: what nobody reads is not written.
  // Nor is a full disk that they lead to; whoever reads a result there has to know that it is not whole.
  let lost: NodeJS.ErrnoException | undefined;
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') lost ??= error;
  });
  process.stderr.on('error', () => undefined);
  const { runProgram } = await import('./program.ts');
  let exitCode = await runProgram(args, ATOMIC_TS_VERSION);
  // The stream tells of a failed write a turn later.
  await new Promise((resolve) => void setImmediate(resolve));
  if (lost !== undefined) {
    process.stderr.write(`Cannot write to standard output: ${lost.message}\n`);
    exitCode ||= 1;
  }
  // Ended here and not by an empty event loop: node would first wait for what V8 is optimising just then. All is written:
  // on Linux the standard streams write at once, pipes included (node's "A note on process I/O").
  process.exit(exitCode);
}
