import type { Command } from 'commander';
import type { Act } from './act.ts';
import { addPlatformOptions, addRegistryOptions, wholeNumber } from './options.ts';

/** What looks at images elsewhere, takes them apart, or deletes them there: for any user, on a host that has no store. */
export function addRemoteCommands(program: Command, act: Act): void {
  const inspect = program
    .command('inspect <image>')
    .description(
      'describe an image where it is, as skopeo inspect does: docker://, oci:, dir:, docker-archive:…',
    )
    .option('--raw', 'print the manifest, or with --config the config, byte for byte')
    .option('--config', 'print the image’s config instead')
    .option('-f, --format <template>', 'fill a Go template, such as "{{.Digest}}" or "{{json .Labels}}"')
    .option('-n, --no-tags', 'do not list the tags of its repository');
  addDaemonOption(addAccessOptions(addPlatformOptions(inspect))).action(
    act(async () => (await import('../commands/inspect.ts')).runInspect),
  );
  const layers = program
    .command('layers <image> [digests...]')
    .description('put the layers of an image, or those that are named, and its manifest into a folder')
    .option('-d, --dir <path>', 'that folder (default: a new layers-NAME-… in the current one)');
  addDaemonOption(addAccessOptions(addPlatformOptions(layers))).action(
    act(async () => (await import('../commands/layers.ts')).runLayers),
  );
  addAccessOptions(
    program
      .command('list-tags <repository>')
      .description('list the tags of a repository (docker://), or the images in a docker-archive: file'),
  ).action(act(async () => (await import('../commands/list-tags.ts')).runListTags));
  addAccessOptions(
    program
      .command('delete <image>')
      .description(
        'delete an image from its registry, and with it all tags that stand for it, without asking; of the local storage: images delete',
      )
      .option('--dry-run', 'print what would be deleted'),
  ).action(act(async () => (await import('../commands/delete.ts')).runDelete));
}

function addAccessOptions(command: Command): Command {
  return addRegistryOptions(command)
    .option('--no-creds', 'use no credentials, though there may be some')
    .option('--retry-times <number>', 'how often a request is tried again (default: 3)', wholeNumber);
}

function addDaemonOption(command: Command): Command {
  return command.option('--daemon-host <url>', 'where the Docker engine of docker-daemon: listens');
}
