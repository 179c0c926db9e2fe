import type { Command } from 'commander';
import type { Act } from './act.ts';
import { addRegistryOptions, addSettle, collect } from './options.ts';

/** Containers that run, or are to. */
export function addRunCommands(program: Command, act: Act): void {
  const run = program
    .command('run <name> [command...]')
    .usage('[options] <name> [command...]')
    .description(
      'start a system container, or run a command in it; run an image once. Options go before the name',
    )
    .option('-n, --name <name>', 'what to call an image’s container (default: as install does)')
    .option('--set <name=value>', 'set a variable of the image’s templates (repeatable)', collect, [])
    .option('--runtime <path>', 'the OCI runtime (default: the container’s own, or as install does)')
    .option('-d, --detach', 'do not wait for the command; only where the service runs')
    .option('--storage <backend>', 'only ostree');
  addSettle(addRegistryOptions(run)).action(act(async () => (await import('../commands/run.ts')).runRun));
  program
    .command('stop <name>')
    .description('stop a system container until it is started again, or the host is')
    .action(act(async () => (await import('../commands/stop.ts')).runStop));
  program
    .command('top [names...]')
    .description('list the processes of system containers (default: of all that run)')
    .option('-o, --optional <field>', 'show one more: ppid, time or stime (repeatable)', collect, [])
    .option('--json', 'print JSON')
    .action(act(async () => (await import('../commands/top.ts')).runTop));
  program
    .command('stats [names...]')
    .description('tell what system containers use of this host (default: all that run)')
    .option('--json', 'print JSON')
    .action(act(async () => (await import('../commands/stats.ts')).runStats));
}
