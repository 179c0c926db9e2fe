import { updateAllImages, updateImages, type UpdatedImage } from '../../app/update-images.ts';
import { AtomicError } from '../../errors.ts';
import { hexOf } from '../../image/digest.ts';
import { EXIT } from '../exit-codes.ts';
import { formatTable } from '../output/table.ts';
import { openApp, readAccess, requireOstree, type CommandContext, type RegistryFlags } from './context.ts';
import { pulledLine } from './pull.ts';

interface ImagesUpdateFlags extends RegistryFlags {
  readonly all?: boolean;
  readonly storage?: string;
}

export async function runImagesUpdate(
  context: CommandContext,
  images: readonly string[],
  flags: ImagesUpdateFlags,
): Promise<number> {
  requireOstree(flags.storage);
  const { all = false } = flags;
  if (all && images.length > 0) throw new AtomicError('usage', 'Cannot specify both --all and an image name');
  if (!all && images.length === 0) {
    throw new AtomicError('usage', 'images update takes the images to update, or --all');
  }
  const app = await openApp(context);
  const access = readAccess(flags);
  return all
    ? showAll(context, await updateAllImages(app, access))
    : showEach(context, await updateImages(app, images, access));
}

function showEach({ output }: CommandContext, pulled: Awaited<ReturnType<typeof updateImages>>): number {
  output.result(
    pulled.map(({ image, before, changed }) => ({
      image: image.name,
      before,
      after: image.digest,
      updated: changed,
    })),
    pulled.map(pulledLine),
  );
  return EXIT.ok;
}

/** Fails when an image could not be pulled, which atomic only showed. */
function showAll({ output }: CommandContext, updated: readonly UpdatedImage[]): number {
  output.result(
    updated.map(({ name, before, after, error }) => ({
      image: name,
      before,
      after,
      updated: before !== after,
      error: error === undefined ? null : { code: error.code, message: error.message },
    })),
    formatSummary(updated),
  );
  if (!output.options.json) {
    for (const { error } of updated) if (error !== undefined) output.error(error);
  }
  return updated.some(({ error }) => error !== undefined) ? EXIT.failed : EXIT.ok;
}

/** As atomic printed it, cut to its columns. */
export function formatSummary(updated: readonly UpdatedImage[]): string[] {
  const columns = [
    { heading: 'Image', width: 50, cut: true },
    { heading: 'Image ID before update', width: 32, cut: true },
    { heading: 'Image ID after update', width: 32, cut: true },
    { heading: 'Status', width: 15, cut: true },
  ];
  const rows = updated.map((image) => [image.name, hexOf(image.before), hexOf(image.after), statusOf(image)]);
  return ['', 'SUMMARY', '', ...formatTable(columns, rows, { heading: true })];
}

function statusOf({ before, after, error }: UpdatedImage): string {
  if (error !== undefined) return 'Could not pull';
  return before === after ? 'Updated' : 'Updated now';
}
