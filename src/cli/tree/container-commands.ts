import type { Command } from 'commander';
import type { Act } from './act.ts';
import { addDryRun, addHealth, addRegistryOptions, addSettle, collect } from './options.ts';

/** From an image to a container, through its life and out. */
export function addContainerCommands(program: Command, act: Act): void {
  const install = program
    .command('install <image>')
    .description('install an image as a system container, and start it')
    .option('--system', 'install a system container (the default, and the only kind so far)')
    .option(
      '-n, --name <name>',
      "the container's name (default: the image's, with -TAG unless that is latest)",
    )
    .option('--set <name=value>', 'set a variable of the image’s templates (repeatable)', collect, [])
    .option(
      '--rootfs <dir>',
      'run on the root file system in DIR, a deployment of another container or a tree, which is never written to; the image gives its name, labels and config',
    )
    .option('--runtime <path>', 'the OCI runtime (default: RUNC_PATH, runtime in atomic.conf, runc, crun)')
    .option(
      '--system-package <mode>',
      'what brings the image’s host files: a package (yes), copies (no), or a package where rpm manages this host ' +
        '(auto); build leaves a package with the whole container in the current folder, and installs nothing',
      'auto',
    )
    .option('--storage <backend>', 'only ostree')
    .option('--no-start', 'enable the service and do not start it')
    .option('--pull', 'ask the registry even when the image is in the local storage');
  addDryRun(addHealth(addSettle(addRegistryOptions(install)))).action(
    act(async () => (await import('../commands/install.ts')).runInstall),
  );
  addDryRun(
    program
      .command('uninstall <name>')
      .description('remove a system container')
      .option('-f, --force', 'also when another container has its root file system in it (install --rootfs)')
      .option('--system', 'accepted for compatibility with atomic')
      .option('--storage <backend>', 'only ostree'),
  ).action(act(async () => (await import('../commands/uninstall.ts')).runUninstall));
  addUpdate(
    program.command('update [name]').description('pull a newer image and update a system container to it'),
    '--no-pull',
  ).action(act(async () => (await import('../commands/update.ts')).runUpdate));
  const containers = program.command('containers').description('list and change system containers');
  addUpdate(
    containers
      .command('update [name]')
      .description('update a system container to the image in the local storage'),
    '--pull',
  ).action(act(async () => (await import('../commands/update.ts')).runUpdate));
  addRollback(containers, act);
  addRollback(program, act);
  addList(containers.command('list', { isDefault: true }), act);
  addList(program.command('ps'), act);
  containers
    .command('delete [names...]')
    .description('remove system containers, as uninstall does, after a question')
    .option('-a, --all', 'all of them')
    .option(
      '-f, --force',
      'also those that another container has its root file system in; those that run go anyway',
    )
    .option('--storage <backend>', 'only ostree')
    .action(act(async () => (await import('../commands/containers-delete.ts')).runContainersDelete));
  containers
    .command('trim')
    .description('discard unused blocks (fstrim) of the file systems that running containers are on')
    .action(act(async () => (await import('../commands/containers-trim.ts')).runContainersTrim));
}

function addRollback(parent: Command, act: Act): void {
  addSettle(
    parent.command('rollback <name>').description('take a system container back to its other deployment'),
  ).action(act(async () => (await import('../commands/rollback.ts')).runRollback));
}

function addList(command: Command, act: Act): void {
  command
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
    .action(act(async () => (await import('../commands/containers-list.ts')).runContainersList));
}

function addUpdate(command: Command, pull: '--pull' | '--no-pull'): Command {
  command
    .option('-a, --all', 'all system containers, one after the other, with a summary at the end')
    .option('--set <name=value>', 'set a variable of the image’s templates (repeatable)', collect, [])
    .option('--rebase <image>', 'take the container to another image')
    .option(
      '-f, --force',
      'also when another container has its root file system in the tree that goes (install --rootfs)',
    )
    .option(
      pull,
      pull === '--pull'
        ? "ask the image's source for a newer one first"
        : 'take the image in the local storage',
    );
  return addDryRun(addHealth(addSettle(addRegistryOptions(command))));
}
