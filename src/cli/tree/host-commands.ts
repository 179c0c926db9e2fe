import type { Command } from 'commander';
import type { Act } from './act.ts';
import { addRegistryOptions, addSettle } from './options.ts';

/** What looks at the host and its containers, and puts right what is not as it was recorded. */
export function addHostCommands(program: Command, act: Act): void {
  program
    .command('status <name>')
    .description('tell what a system container is, and what of it is not as it was installed (exit status 5)')
    .option('--no-rootfs', 'leave out its tree, every file of which is read')
    .option('--json', 'print JSON')
    .action(act(async () => (await import('../commands/status.ts')).runStatus));
  program
    .command('doctor')
    .description(
      'check what this host has (tools, file systems, cgroups, space) and whether its containers are as installed',
    )
    .option('--no-rootfs', 'leave out the containers’ trees, every file of which is read')
    .option('--json', 'print JSON')
    .action(act(async () => (await import('../commands/doctor.ts')).runDoctor));
  const repair = program
    .command('repair [name]')
    .description(
      'end what was cut off: undo a change that died with its process, or finish it, and remove what it left; then make the container that is named what was recorded of it: see status',
    )
    .option('--dry-run', 'print what would be done about what is not as it was recorded');
  addSettle(addRegistryOptions(repair)).action(
    act(async () => (await import('../commands/repair.ts')).runRepair),
  );
}
