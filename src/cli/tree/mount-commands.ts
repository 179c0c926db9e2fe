import { InvalidArgumentError, type Command } from 'commander';
import type { Act } from './act.ts';

/** mtree(5)'s keywords as atomic had them, and `xattr`. ostree keeps no times, and counts links for itself. */
const KEYWORDS: readonly string[] = 'all link nlink mode type time uid gid size sha256digest xattr'.split(
  ' ',
);

/** Looking into images and containers: what two of them differ in. */
export function addMountCommands(program: Command, act: Act): void {
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
