import type { Command } from 'commander';
import type { Act } from './act.ts';
import { addInspectCommands } from './inspect-commands.ts';
import { addRegistryOptions, collect } from './options.ts';

/** The images of the local storage, and how they come there. */
export function addImageCommands(program: Command, act: Act): void {
  addRegistryOptions(
    program
      .command('pull <image>')
      .description('bring an image into the local storage')
      .option('--storage <backend>', 'only ostree'),
  ).action(act(async () => (await import('../commands/pull.ts')).runPull));
  const images = program.command('images').description('list images, look at them, and change what is there');
  images
    .command('list', { isDefault: true })
    .description('list the images in the local storage')
    .option('-a, --all', 'list layers and configs as well')
    .option(
      '-f, --filter <key=value>',
      'show only those that match: repo, tag, image (its id), created, size, type, is_dangling',
      collect,
      [],
    )
    .option('-n, --noheading', 'leave the heading out')
    .option('--no-trunc', 'do not shorten ids')
    .option('-q, --quiet', 'print the ids only')
    .option('--json', 'print JSON')
    .action(act(async () => (await import('../commands/images-list.ts')).runImagesList));
  images
    .command('prune')
    .description(
      'remove what belongs to nothing any more: deployments without a container, layers without an image',
    )
    .option('--dry-run', 'print what would be removed')
    .action(act(async () => (await import('../commands/images-prune.ts')).runImagesPrune));
  images
    .command('delete [images...]')
    .description('remove images from the local storage; the next prune takes their layers')
    .option('-a, --all', 'all images')
    .option('-f, --force', 'those too that a container was made from: it runs on')
    .option('--dry-run', 'print what would be removed')
    .option('--storage <backend>', 'only ostree')
    .action(act(async () => (await import('../commands/images-delete.ts')).runImagesDelete));
  images
    .command('tag <source> <name>')
    .description('give an image of the local storage another name')
    .option('--storage <backend>', 'only ostree')
    .action(act(async () => (await import('../commands/images-tag.ts')).runImagesTag));
  addRegistryOptions(
    images
      .command('update [images...]')
      .description('pull images of the local storage again, from where each is from')
      .option('-a, --all', 'all images that are from a registry')
      .option('--storage <backend>', 'only ostree'),
  ).action(act(async () => (await import('../commands/images-update.ts')).runImagesUpdate));
  addInspectCommands(program, images, act);
}
