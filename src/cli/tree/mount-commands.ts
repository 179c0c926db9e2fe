import { InvalidArgumentError, type Command } from 'commander';
import type { Act } from './act.ts';

/** mtree(5)'s keywords as atomic had them, and `xattr`. ostree keeps no times, and counts links for itself. */
const KEYWORDS: readonly string[] = 'all link nlink mode type time uid gid size sha256digest xattr'.split(
  ' ',
);

/** Looking into images and containers: as a tree on the host, and what two of them differ in. */
export function addMountCommands(program: Command, act: Act): void {
  program
    .command('mount <name> <directory>')
    .description(
      'show the tree of an image of the local storage, or of a container, on an empty folder of the host: read-only',
    )
    .option(
      '-o, --options <options>',
      'mount options, with commas between them; ro, nosuid and nodev are there without being named',
    )
    .option('--live', 'a container that runs, with the files and folders of the host that are mounted in it')
    .option('--shared', 'with an SELinux label that all containers may read')
    .option('--storage <backend>', 'only ostree')
    .action(act(async () => (await import('../commands/mount.ts')).runMount));
  program
    .command('unmount <directory>')
    .alias('umount')
    .description('take away what mount has put on a folder; umount is the same')
    .action(act(async () => (await import('../commands/mount.ts')).runUnmount));
  program
    .command('diff <first> <second>')
    .description('show what two images or containers differ in; the exit status is 0 also when they do')
    .option('-m, --metadata', 'compare their metadata: the images’ configs, the containers’ values')
    .option(
      '-k, --keywords <keyword>',
      `what counts as a difference of two files (repeatable): ${KEYWORDS.join(', ')}`,
      collectKeyword,
    )
    .option('-n, --no-files', 'do not compare files')
    .option('--names-only', 'compare packages by their names, and not by their versions')
    .option('-r, --rpms', 'compare their rpm packages')
    .option('-v, --verbose', 'list all packages, and not only those that one of them lacks')
    .action(act(async () => (await import('../commands/diff.ts')).runDiff));
}

function collectKeyword(value: string, previous: readonly string[] = []): string[] {
  if (KEYWORDS.includes(value)) return [...previous, value];
  throw new InvalidArgumentError(`Allowed choices are ${KEYWORDS.join(', ')}.`);
}
