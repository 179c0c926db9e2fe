import { tagImage } from '../../app/tag-image.ts';
import { openApp, requireOstree, type CommandContext } from './context.ts';

/** Says nothing, as atomic said nothing. */
export async function runImagesTag(
  context: CommandContext,
  source: string,
  target: string,
  flags: { readonly storage?: string },
): Promise<void> {
  requireOstree(flags.storage);
  const tagged = await tagImage(await openApp(context), source, target);
  context.output.result(
    { image: tagged.source, name: tagged.name, digest: tagged.image.digest, changed: tagged.changed },
    [],
  );
}
