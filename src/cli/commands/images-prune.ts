import { pruneImages } from '../../app/prune-images.ts';
import { openApp, type CommandContext } from './context.ts';

export async function runImagesPrune(
  context: CommandContext,
  { dryRun = false }: { readonly dryRun?: boolean },
): Promise<void> {
  const { deployments, refs, partial } = await pruneImages(await openApp(context), dryRun);
  const preview = [...deployments, ...refs, ...partial].map((what) => `Deleting ${what}`);
  // What is really deleted is told while it goes.
  context.output.result(
    { deployments, refs, partial },
    dryRun ? [...preview, '', 'Nothing was changed.'] : [],
  );
}
