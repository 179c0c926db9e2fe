import type { Command } from 'commander';
import type { Act } from './act.ts';
import { bool } from './options.ts';

const AUTH_FILE = 'the file that is changed (default: as containers-auth.json(5) says)';

/** Credentials of registries, in the files that podman, skopeo and we share. */
export function addLoginCommands(program: Command, act: Act): void {
  program
    .command('login <registry>')
    .description('check credentials for a registry, or a namespace of it, and keep them for later')
    .option('-u, --username <name>', 'who you are there (asked for on a terminal)')
    .option('-p, --password <password>', 'seen by everybody on this machine: rather --password-stdin')
    .option('--password-stdin', 'read the password from standard input')
    .option('--get-login', 'print who you are there by now, and change nothing')
    .option('--authfile <path>', AUTH_FILE)
    .option('--cert-dir <path>', "a folder with the registry's certificates")
    .option('--tls-verify <bool>', 'whether TLS is asked of the registry', bool)
    .action(act(async () => (await import('../commands/login.ts')).runLogin));
  program
    .command('logout [registry]')
    .description('forget the credentials for a registry')
    .option('-a, --all', 'all that the file has')
    .option('--authfile <path>', AUTH_FILE)
    .action(act(async () => (await import('../commands/logout.ts')).runLogout));
}
