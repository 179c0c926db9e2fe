/** Options that several commands have. */
import { InvalidArgumentError, type Command } from 'commander';

export function addHealth(command: Command): Command {
  return command
    .option(
      '--health-cmd <command>',
      'what the service has to pass in its container to count as started: a shell command, a JSON list of words, ' +
        'none, or image for the image’s own HEALTHCHECK (the default); it is kept by updates',
    )
    .option('--no-healthcheck', 'the same as --health-cmd none');
}

export function addSettle(command: Command): Command {
  return command.option(
    '--settle <seconds>',
    'how long the service has to stay up to count as started (default: 5)',
    seconds,
  );
}

export function addDryRun(command: Command): Command {
  return command
    .option('--dry-run', 'print what would be done, with every file that would be written; layers are pulled')
    .option('--display', 'the same, as atomic calls it');
}

export function addRegistryOptions(command: Command): Command {
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

export function addPlatformOptions(command: Command): Command {
  return command
    .option('--override-os <os>', 'take the image for this operating system instead of linux')
    .option('--override-arch <arch>', "take the image for this architecture instead of this machine's")
    .option('--override-variant <variant>', "take the image for this variant instead of this machine's");
}

export function collect(value: string, previous: readonly string[]): string[] {
  return [...previous, value];
}

export function seconds(text: string): number {
  const value = Number(text);
  if (/^[0-9]+(\.[0-9]+)?$/.test(text) && value <= 3600) return value;
  throw new InvalidArgumentError('It takes a number of seconds up to 3600.');
}

export function wholeNumber(text: string): number {
  if (/^[0-9]{1,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('It takes a whole number.');
}

export function bool(text: string): boolean {
  if (/^(?:true|1|yes)$/i.test(text)) return true;
  if (/^(?:false|0|no)$/i.test(text)) return false;
  throw new InvalidArgumentError('It takes true or false.');
}
