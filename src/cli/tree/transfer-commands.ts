import type { Command } from 'commander';
import type { Act } from './act.ts';
import { addPlatformOptions, addRegistryOptions, bool, collect, wholeNumber } from './options.ts';

/** Images between two places, this host's storage aside. */
export function addTransferCommands(program: Command, act: Act): void {
  const copy = program
    .command('copy <source> <destination>')
    .description(
      'copy an image between two places: registries, folders, archives, the Docker daemon, ostree',
    );
  addAccessOptions(addChangeOptions(addChoiceOptions(copy)))
    .option(
      '--additional-tag <name>',
      'another name for the image in docker-archive: or docker-daemon: (repeatable)',
      collect,
      [],
    )
    .option('--digestfile <path>', 'write the digest of what stands at the destination into a file')
    .action(act(async () => (await import('../commands/copy.ts')).runCopy));
}

/** What of the source is copied. */
function addChoiceOptions(command: Command): Command {
  return addPlatformOptions(command)
    .option('-a, --all', 'copy the images for all platforms, with their index')
    .option(
      '--multi-arch <which>',
      'of an index: system (the image for this machine, the default), all, or index-only',
    )
    .option('--remove-signatures', 'leave the signatures of the source behind');
}

/** What may be changed on the way. */
function addChangeOptions(command: Command): Command {
  return command
    .option('-f, --format <format>', 'the format of the manifests: oci or v2s2 (default: as it is)')
    .option('--preserve-digests', 'fail rather than change a manifest')
    .option('--dest-compress', 'compress layers that are not')
    .option('--dest-compress-format <format>', 'have all layers compressed with gzip or zstd')
    .option('--dest-compress-level <level>', 'gzip: 0 to 9; zstd: 1 to 19', wholeNumber)
    .option('--dest-decompress', 'decompress layers')
    .option(
      '--dest-oci-accept-uncompressed-layers',
      'accepted for compatibility with skopeo: they stay as they are anyway',
    );
}

function addAccessOptions(command: Command): Command {
  return addRegistryOptions(command)
    .option('--dest-creds <user[:password]>', 'credentials for the destination')
    .option('--src-no-creds', "use no credentials for the source's registry")
    .option('--dest-no-creds', "use no credentials for the destination's registry")
    .option('--src-authfile <path>', "the same as --authfile, for the source's registry alone")
    .option('--dest-authfile <path>', "the same as --authfile, for the destination's registry alone")
    .option('--src-cert-dir <path>', "a folder with the certificates of the source's registry")
    .option('--dest-cert-dir <path>', "a folder with the certificates of the destination's registry")
    .option('--src-tls-verify <bool>', "whether TLS is asked of the source's registry", bool)
    .option('--dest-tls-verify <bool>', "whether TLS is asked of the destination's registry", bool)
    .option('--src-daemon-host <url>', 'where the Docker engine listens that is the source')
    .option('--dest-daemon-host <url>', 'where the Docker engine listens that is the destination')
    .option('--retry-times <number>', 'how often a request is tried again (default: 3)', wholeNumber);
}
