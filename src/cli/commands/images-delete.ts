import { deleteImages, type DoomedImage } from '../../app/delete-images.ts';
import { AtomicError } from '../../errors.ts';
import { EXIT } from '../exit-codes.ts';
import { confirm, requireConfirmed } from '../output/confirm.ts';
import { formatTable } from '../output/table.ts';
import { openApp, requireOstree, type CommandContext } from './context.ts';

interface ImagesDeleteFlags {
  readonly all?: boolean;
  readonly force?: boolean;
  readonly dryRun?: boolean;
  readonly storage?: string;
}

export async function runImagesDelete(
  context: CommandContext,
  images: readonly string[],
  flags: ImagesDeleteFlags,
): Promise<number> {
  requireOstree(flags.storage);
  const { output, assumeYes } = context;
  const { all = false, force = false, dryRun = false } = flags;
  if (all !== (images.length === 0)) {
    throw new AtomicError('usage', 'images delete takes the images to delete, or --all');
  }
  requireConfirmed(context.command, assumeYes || dryRun, output.options.json);
  const app = await openApp(context);
  const deleted = await deleteImages(app, { images, all, force, dryRun }, async (doomed) => {
    if (assumeYes) return true;
    for (const line of ['Do you wish to delete the following images?', ...table(doomed), ''])
      output.line(line);
    return confirm('Confirm (y/N) ', app.signal);
  });
  if (deleted === undefined) {
    output.line('Nothing was deleted.');
    return EXIT.failed;
  }
  const names = deleted.map(({ name }) => name.replace(/:latest$/, ''));
  output.result({ deleted: names }, told(deleted, { assumeYes, dryRun }));
  return EXIT.ok;
}

function told(
  deleted: readonly DoomedImage[],
  { assumeYes, dryRun }: { readonly assumeYes: boolean; readonly dryRun: boolean },
): string[] {
  if (deleted.length === 0) return ['There is no image to delete.'];
  if (!assumeYes && !dryRun) return [];
  const lines = ['The following images will be deleted.', ...table(deleted)];
  return dryRun ? [...lines, '', 'Nothing was changed.'] : lines;
}

/** As atomic prints it. */
function table(images: readonly DoomedImage[]): string[] {
  const rows = images.map(({ name }) => ['', name.replace(/:latest$/, ''), 'ostree']);
  const columns = [
    { heading: '', width: 2 },
    { heading: 'IMAGE', width: 5, margin: 2 },
    { heading: 'STORAGE', width: 0 },
  ];
  return ['', ...formatTable(columns, rows, { heading: true })];
}
