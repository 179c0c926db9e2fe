import { pullImage } from '../../app/pull-image.ts';
import { openApp, readAccess, requireOstree, type CommandContext, type RegistryFlags } from './context.ts';

export async function runPull(
  context: CommandContext,
  image: string,
  flags: RegistryFlags & { readonly storage?: string },
): Promise<void> {
  requireOstree(flags.storage);
  const {
    image: stored,
    changed,
    layersFetched,
    devicesLeftOut,
  } = await pullImage(await openApp(context), image, readAccess(flags));
  const { name, digest } = stored;
  context.output.result({ image: name, digest, changed, layersFetched, devicesLeftOut }, [
    changed ? `Pulled ${name} (${digest})` : `${name} is up to date (${digest})`,
  ]);
}
