/** The tree of commands. Each command's code is loaded when it is called; handlers get plain values and never see commander. */
import { Command, CommanderError, Help, Option } from 'commander';
import { exitCodeOf, EXIT } from './exit-codes.ts';
import { AtomicError, describeDiskFull, describeFileProblem, isAtomicError } from '../errors.ts';
import { Output } from './output/output.ts';
import type { CommandContext } from './commands/context.ts';
import type { Act } from './tree/act.ts';
import { addContainerCommands } from './tree/container-commands.ts';
import { addHostCommands } from './tree/host-commands.ts';
import { addImageCommands } from './tree/image-commands.ts';
import { readVerbose } from './tree/inspect-commands.ts';
import { addLoginCommands } from './tree/login-commands.ts';
import { addMountCommands } from './tree/mount-commands.ts';
import { addRemoteCommands } from './tree/remote-commands.ts';
import { seconds } from './tree/options.ts';
import { addRunCommands } from './tree/run-commands.ts';
import { readSkopeoOptions } from './tree/skopeo-options.ts';
import { splitRunWords } from './tree/run-words.ts';
import { addTransferCommands } from './tree/transfer-commands.ts';

const DEFAULT_LOCK_WAIT_SECONDS = 30;

/**
 * Runs one command line.
 * @param args what follows the program's name
 * @returns the exit status
 */
export async function runProgram(args: readonly string[], version: string): Promise<number> {
  let exitCode: number = EXIT.ok;
  let words: readonly string[] = [];
  const program = buildProgram(
    version,
    (code) => (exitCode = code),
    () => words,
  );
  try {
    const read = readSkopeoOptions(args);
    Object.assign(process.env, read.environment);
    const parted = splitRunWords(program, read.args);
    words = parted.words;
    await program.parseAsync(readVerbose(parted.own), { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    // A full disk can be met anywhere, and a path may be anything; whoever has no sentence for that needs none.
    const told = describeFileProblem(describeDiskFull(error, 'a file'));
    outputOf(program).error(told);
    return exitCodeOf(told);
  }
}

/** All commands and their options; `--help` and the man pages are made from it. */
export function buildProgram(
  version: string,
  exit: (code: number) => void,
  words: () => readonly string[] = () => [],
): Command {
  const program = new Command('atomic-ts')
    .description(
      'Installs OCI and Docker images as system containers: systemd services run by runc from an ostree checkout',
    )
    .version(version, '-v, --version', 'print the version')
    .option('--debug', 'tell where an error came from')
    .option('-i, --ignore', 'accepted for compatibility with atomic')
    .option('-y, --assumeyes', 'answer every question with yes')
    .option('--json', 'print the result as JSON on stdout, and events as JSON lines on stderr')
    .option('--quiet', 'print results and errors only')
    .addOption(
      new Option('--wait <seconds>', 'how long to wait for another invocation')
        .argParser(seconds)
        .default(DEFAULT_LOCK_WAIT_SECONDS),
    )
    .helpCommand(true)
    .showHelpAfterError(false)
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'atomic-ts: ')) });
  const act: Act =
    (load) =>
    async (...given: unknown[]): Promise<void> => {
      // commander hands over arguments, options and the command itself.
      const run = await load();
      const context: CommandContext = {
        version,
        output: outputOf(program),
        lockWaitMs: Number(program.opts()['wait']) * 1000,
        command: namesOf(given.at(-1) as Command).join(' '),
        assumeYes: program.opts()['assumeyes'] === true,
        words: words(),
        limits: (given.at(-2) as { readonly limit?: readonly string[] } | undefined)?.limit ?? [],
      };
      try {
        exit((await run(context, ...(given.slice(0, -1) as never[]))) ?? EXIT.ok);
      } catch (error) {
        throw tellHelp(error, context.command);
      }
    };
  addContainerCommands(program, act);
  addRunCommands(program, act);
  addImageCommands(program, act);
  addTransferCommands(program, act);
  addLoginCommands(program, act);
  addRemoteCommands(program, act);
  addMountCommands(program, act);
  addHostCommands(program, act);
  for (const command of allCommands(program)) tellUsage(command);
  return program;
}

function allCommands(command: Command): Command[] {
  return [command, ...command.commands.flatMap(allCommands)];
}

/** A usage error names the command and where its help is, as atomic did; it never prints the whole help. */
function tellUsage(command: Command): void {
  const name = namesOf(command).join(' ');
  command.exitOverride();
  // A repeatable option begins as an empty list, which is nobody's default.
  command.configureHelp({
    optionDescription: (option) =>
      Array.isArray(option.defaultValue) ? option.description : new Help().optionDescription(option),
  });
  command.configureOutput({
    outputError: (text, write) =>
      write(`${text.replace(/^error: /, `${name}: `)}Try '${name} --help' for more information.\n`),
  });
}

/** The same of what a command itself has to say about its arguments, where it has no better advice. */
function tellHelp(error: unknown, command: string): unknown {
  if (!isAtomicError(error, 'usage') || error.hint !== undefined) return error;
  return new AtomicError('usage', error.message, {
    hint: `Try '${command} --help' for more information.`,
    cause: error,
  });
}

/** The names from the program down to a command. */
function namesOf(command: Command): string[] {
  return [...(command.parent === null ? [] : namesOf(command.parent)), command.name()];
}

function outputOf(program: Command): Output {
  const { json, quiet, debug } = program.opts<{ json?: boolean; quiet?: boolean; debug?: boolean }>();
  return new Output({ json: json === true, quiet: quiet === true, debug: debug === true });
}
