import { isatty } from 'node:tty';
import { run } from '../../app/run.ts';
import {
  openApp,
  readAccess,
  readSet,
  requireOstree,
  settleMs,
  type CommandContext,
  type RegistryFlags,
} from './context.ts';

interface RunFlags extends RegistryFlags {
  readonly name?: string;
  readonly set: readonly string[];
  readonly runtime?: string;
  readonly detach?: boolean;
  readonly storage?: string;
  readonly settle?: number;
}

/** Ends as the command does. */
export async function runRun(
  context: CommandContext,
  name: string,
  _words: readonly string[],
  flags: RunFlags,
): Promise<number> {
  requireOstree(flags.storage);
  const { output, words } = context;
  const outcome = await run(await openApp(context), {
    target: name,
    name: flags.name,
    command: words,
    set: readSet(flags.set),
    runtime: flags.runtime,
    detach: flags.detach === true,
    terminal: isatty(0) && isatty(1),
    settleMs: settleMs(flags.settle),
    access: readAccess(flags),
  });
  // What a command prints is its own, also with --json.
  if (outcome.kind === 'ran') return outcome.exitCode;
  const { wasRunning } = outcome;
  output.result(
    { name: outcome.name, started: !wasRunning, running: true },
    // systemctl would be asked in vain; scripts see what atomic printed.
    wasRunning ? [`systemctl start ${outcome.name}`] : [],
  );
  return 0;
}
