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
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
    });
  }
  const { runProgram } = await import('./program.ts');
  const exitCode = await runProgram(args, ATOMIC_TS_VERSION);
  // Ended here and not by an empty event loop: node would first wait for what V8 is optimising just then. All is written:
  // on Linux the standard streams write at once, pipes included (node's "A note on process I/O").
  process.exit(exitCode);
}
