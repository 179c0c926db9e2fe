import type { Command } from 'commander';
import type { Act } from './act.ts';
import { addRegistryOptions } from './options.ts';

/** What looks at one image: below `images` as the image's name alone, at the top also as a container's. */
export function addInspectCommands(program: Command, images: Command, act: Act): void {
  addInfo(
    images.command('info <image>').description('tell what an image says of itself, and what can be set'),
  ).action(act(async () => (await import('../commands/info.ts')).runImagesInfo));
  addInfo(
    program
      .command('info <name>')
      .description('the same as images info, and for a container also its values'),
  )
    .option('-c, --container', 'take NAME for a container, where there is an image of that name too')
    .action(act(async () => (await import('../commands/info.ts')).runInfo));
  addVersion(
    images
      .command('version [image]')
      .description('tell which version an image says it is, or all say they are'),
  ).action(act(async () => (await import('../commands/image-version.ts')).runImagesVersion));
  addVersion(
    program
      .command('version [name]')
      .description('the same as images version, and for a container that of its image'),
  ).action(act(async () => (await import('../commands/image-version.ts')).runVersion));
  addVerify(
    images
      .command('verify <image>')
      .description(
        'compare an image with where it is from, and each of its objects with what was stored (exit status 5)',
      ),
  ).action(act(async () => (await import('../commands/verify.ts')).runImagesVerify));
  addVerify(
    program
      .command('verify <name>')
      .description('the same as images verify, and for a container also its tree'),
  )
    .option('-c, --container', 'take NAME for a container, where there is an image of that name too')
    .action(act(async () => (await import('../commands/verify.ts')).runVerify));
}

function addInfo(command: Command): Command {
  return addRegistryOptions(
    command
      .option('--remote', 'ask the registry, and leave the local storage alone')
      .option('--variables', 'list the variables of its templates, what each is and where that is from')
      .option('--no-trunc', 'do not shorten values')
      .option('--storage <backend>', 'only ostree')
      .option('--json', 'print JSON'),
  );
}

function addVersion(command: Command): Command {
  return command
    .option('-r, --recurse', 'accepted for compatibility with atomic')
    .option('--storage <backend>', 'only ostree')
    .option('--json', 'print JSON');
}

function addVerify(command: Command): Command {
  return addRegistryOptions(
    command
      .option('--verbose', 'list all layers beside those of the newer image (-v, too)')
      .option('--no-registry', 'do not ask whether there is a newer image')
      .option('--no-validate', 'do not read the content')
      .option('--storage <backend>', 'only ostree')
      .option('--json', 'print JSON'),
  );
}

/** `-v` is the program's --version, but behind `verify` and `diff` it was --verbose in atomic. */
export function readVerbose(args: readonly string[]): readonly string[] {
  const command = args.findIndex((arg) => arg === 'verify' || arg === 'diff');
  const words = args.slice(0, command).filter((arg) => !arg.startsWith('-'));
  if (command === -1 || words.some((word) => word !== 'images')) return args;
  return args.map((arg, i) => (i > command && arg === '-v' ? '--verbose' : arg));
}
