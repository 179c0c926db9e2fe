import type { Command, Option } from 'commander';

export interface RunWords {
  /** The command line up to the name that `run` is given. */
  readonly own: readonly string[];
  /** What follows it: the container's, options included, and none of ours. */
  readonly words: readonly string[];
}

/**
 * Parts the command line of `run` behind its first argument, as atomic did: `run web ls -l --json` lists as JSON nothing
 * of ours. commander could do so for a whole program only, and then no global option may follow a command.
 */
export function splitRunWords(program: Command, args: readonly string[]): RunWords {
  const run = program.commands.find((command) => command.name() === 'run');
  const options = [...program.options, ...(run?.options ?? [])];
  let isRun = false;
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] ?? '';
    if (/^-./.test(arg) && arg !== '--') {
      if (takesNext(options, arg)) at++;
      continue;
    }
    if (arg === '--') continue;
    if (isRun) {
      const words = args.slice(at + 1);
      return { own: args.slice(0, at + 1), words: words[0] === '--' ? words.slice(1) : words };
    }
    if (arg !== 'run') break;
    isRun = true;
  }
  return { own: args, words: [] };
}

/** Whether an option's value is the next word: not with `--name=x`, and not with `-nx`. */
function takesNext(options: readonly Option[], arg: string): boolean {
  return options.find(({ short, long }) => arg === short || arg === long)?.required === true;
}
