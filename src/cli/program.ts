/** The tree of commands. Each command's code is loaded when it is called; handlers get plain values and never see commander. */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { exitCodeOf, EXIT } from './exit-codes.ts';
import { describeDiskFull } from '../errors.ts';
import { Output } from './output/output.ts';
import type { CommandContext } from './commands/context.ts';

const DEFAULT_LOCK_WAIT_SECONDS = 30;

/**
 * Runs one command line.
 * @param args what follows the program's name
 * @returns the exit status
 */
export async function runProgram(args: readonly string[], version: string): Promise<number> {
  let exitCode: number = EXIT.ok;
  const program = buildProgram(version, (code) => (exitCode = code));
  try {
    await program.parseAsync(args, { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    // A full disk can be met anywhere; whoever has no sentence for it needs none.
    const told = describeDiskFull(error, 'a file');
    outputOf(program).error(told);
    return exitCodeOf(told);
  }
}

/** All commands and their options; `--help` and the man pages are made from it. */
export function buildProgram(version: string, exit: (code: number) => void): Command {
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
        limits: (given.at(-2) as { readonly limit?: readonly string[] } | undefined)?.limit ?? [],
      };
      exit((await run(context, ...(given.slice(0, -1) as never[]))) ?? EXIT.ok);
    };
  addContainerCommands(program, act);
  addStatus(program, act);
  addImageCommands(program, act);
  addRepair(program, act);
  for (const command of allCommands(program)) tellUsage(command);
  return program;
}

/** A command's code: what it is given after the context is what its arguments and options declare. */
type Handler = (context: CommandContext, ...given: never[]) => Promise<number | void>;
type Act = (load: () => Promise<Handler>) => (...given: unknown[]) => Promise<void>;

function addContainerCommands(program: Command, act: Act): void {
  const install = program
    .command('install <image>')
    .description('install an image as a system container, and start it')
    .option('--system', 'install a system container (the default, and the only kind so far)')
    .option(
      '-n, --name <name>',
      "the container's name (default: the image's, with -TAG unless that is latest)",
    )
    .option('--set <name=value>', 'set a variable of the image’s templates (repeatable)', collect, [])
    .option('--runtime <path>', 'the OCI runtime (default: RUNC_PATH, runtime in atomic.conf, runc, crun)')
    .option('--system-package <mode>', 'auto or no: packages are not built yet', 'auto')
    .option('--storage <backend>', 'only ostree')
    .option('--no-start', 'enable the service and do not start it')
    .option('--pull', 'ask the registry even when the image is in the local storage');
  addDryRun(addHealth(addSettle(addRegistryOptions(install)))).action(
    act(async () => (await import('./commands/install.ts')).runInstall),
  );
  addDryRun(
    program
      .command('uninstall <name>')
      .description('remove a system container')
      .option('-f, --force', 'accepted for compatibility with atomic')
      .option('--system', 'accepted for compatibility with atomic')
      .option('--storage <backend>', 'only ostree'),
  ).action(act(async () => (await import('./commands/uninstall.ts')).runUninstall));
  addUpdate(
    program.command('update <name>').description('pull a newer image and update a system container to it'),
    '--no-pull',
  ).action(act(async () => (await import('./commands/update.ts')).runUpdate));
  const containers = program.command('containers').description('list and change system containers');
  addUpdate(
    containers
      .command('update <name>')
      .description('update a system container to the image in the local storage'),
    '--pull',
  ).action(act(async () => (await import('./commands/update.ts')).runUpdate));
  addSettle(
    containers.command('rollback <name>').description('take a system container back to its other deployment'),
  ).action(act(async () => (await import('./commands/rollback.ts')).runRollback));
  containers
    .command('list', { isDefault: true })
    .description('list system containers (default: those that run or have failed)')
    .option('-a, --all', 'list all, running or not')
    .option(
      '-f, --filter <key=value>',
      'show only those that match: container, image, command, created, state, runtime, backend',
      collect,
      [],
    )
    .option('-n, --noheading', 'leave the heading out')
    .option('--no-trunc', 'do not shorten columns')
    .option('-q, --quiet', 'print the ids only')
    .option('--json', 'print JSON')
    .action(act(async () => (await import('./commands/containers-list.ts')).runContainersList));
}

function addRepair(program: Command, act: Act): void {
  const repair = program
    .command('repair [name]')
    .description(
      'end what was cut off: undo a change that died with its process, or finish it, and remove what it left; then make the container that is named what was recorded of it: see status',
    )
    .option('--dry-run', 'print what would be done about what is not as it was recorded');
  addSettle(addRegistryOptions(repair)).action(
    act(async () => (await import('./commands/repair.ts')).runRepair),
  );
}

function addStatus(program: Command, act: Act): void {
  program
    .command('status <name>')
    .description('tell what a system container is, and what of it is not as it was installed (exit status 5)')
    .option('--no-rootfs', 'leave out its tree, every file of which is read')
    .option('--json', 'print JSON')
    .action(act(async () => (await import('./commands/status.ts')).runStatus));
}

function addImageCommands(program: Command, act: Act): void {
  addRegistryOptions(
    program
      .command('pull <image>')
      .description('bring an image into the local storage')
      .option('--storage <backend>', 'only ostree'),
  ).action(act(async () => (await import('./commands/pull.ts')).runPull));
  addRegistryOptions(
    program
      .command('copy <source> <destination>')
      .description('copy an image between docker://, oci:, dir:, and from oci-archive:, docker-archive:')
      .option('--dest-creds <user[:password]>', 'credentials for the destination')
      .option('--dest-tls-verify <bool>', 'whether TLS is asked of the destination', bool),
  ).action(act(async () => (await import('./commands/copy.ts')).runCopy));
  const images = program.command('images').description('list images, and remove them');
  images
    .command('list', { isDefault: true })
    .description('list the images in the local storage')
    .option('-a, --all', 'list layers and configs as well')
    .option(
      '-f, --filter <key=value>',
      'show only those that match: repo, tag, image (its id), created, size, type, is_dangling',
      collect,
      [],
    )
    .option('-n, --noheading', 'leave the heading out')
    .option('--no-trunc', 'do not shorten ids')
    .option('-q, --quiet', 'print the ids only')
    .option('--json', 'print JSON')
    .action(act(async () => (await import('./commands/images-list.ts')).runImagesList));
  images
    .command('prune')
    .description(
      'remove what belongs to nothing any more: deployments without a container, layers without an image',
    )
    .option('--dry-run', 'print what would be removed')
    .action(act(async () => (await import('./commands/images-prune.ts')).runImagesPrune));
  images
    .command('delete [images...]')
    .description('remove images from the local storage; the next prune takes their layers')
    .option('-a, --all', 'all images')
    .option('-f, --force', 'those too that a container was made from: it runs on')
    .option('--dry-run', 'print what would be removed')
    .option('--storage <backend>', 'only ostree')
    .action(act(async () => (await import('./commands/images-delete.ts')).runImagesDelete));
  program
    .command('doctor')
    .description(
      'check what this host has (tools, file systems, cgroups, space) and whether its containers are as installed',
    )
    .option('--no-rootfs', 'leave out the containers’ trees, every file of which is read')
    .option('--json', 'print JSON')
    .action(act(async () => (await import('./commands/doctor.ts')).runDoctor));
}

function addUpdate(command: Command, pull: '--pull' | '--no-pull'): Command {
  command
    .option('--set <name=value>', 'set a variable of the image’s templates (repeatable)', collect, [])
    .option('--rebase <image>', 'take the container to another image')
    .option(
      pull,
      pull === '--pull'
        ? "ask the image's source for a newer one first"
        : 'take the image in the local storage',
    );
  return addDryRun(addHealth(addSettle(addRegistryOptions(command))));
}

function addHealth(command: Command): Command {
  return command
    .option(
      '--health-cmd <command>',
      'what the service has to pass in its container to count as started: a shell command, a JSON list of words, ' +
        'none, or image for the image’s own HEALTHCHECK (the default); it is kept by updates',
    )
    .option('--no-healthcheck', 'the same as --health-cmd none');
}

function addSettle(command: Command): Command {
  return command.option(
    '--settle <seconds>',
    'how long the service has to stay up to count as started (default: 5)',
    seconds,
  );
}

function addDryRun(command: Command): Command {
  return command
    .option('--dry-run', 'print what would be done, with every file that would be written; layers are pulled')
    .option('--display', 'the same, as atomic calls it');
}

function addRegistryOptions(command: Command): Command {
  return command
    .option('--src-creds, --creds <user[:password]>', 'credentials for the registry')
    .option('--authfile <path>', 'where credentials are looked up (default: as containers-auth.json(5) says)')
    .option('--cert-dir <path>', "a folder with the registry's certificates")
    .option('--tls-verify <bool>', 'whether TLS is asked of the registry', bool)
    .option(
      '--limit <name=value>',
      'move a limit on what an image may take (repeatable): see LIMITS in atomic-ts(1)',
      collect,
      [],
    );
}

function collect(value: string, previous: readonly string[]): string[] {
  return [...previous, value];
}

function seconds(text: string): number {
  const value = Number(text);
  if (/^[0-9]+(\.[0-9]+)?$/.test(text) && value <= 3600) return value;
  throw new InvalidArgumentError('It takes a number of seconds up to 3600.');
}

function bool(text: string): boolean {
  if (/^(?:true|1|yes)$/i.test(text)) return true;
  if (/^(?:false|0|no)$/i.test(text)) return false;
  throw new InvalidArgumentError('It takes true or false.');
}

function allCommands(command: Command): Command[] {
  return [command, ...command.commands.flatMap(allCommands)];
}

/** A usage error names the command and where its help is, as atomic did; it never prints the whole help. */
function tellUsage(command: Command): void {
  const name = namesOf(command).join(' ');
  command.exitOverride();
  command.configureOutput({
    outputError: (text, write) =>
      write(`${text.replace(/^error: /, `${name}: `)}Try '${name} --help' for more information.\n`),
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
