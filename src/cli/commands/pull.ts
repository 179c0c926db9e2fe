import { pullImage, type PulledImage } from '../../app/pull-image.ts';
import { openApp, readAccess, requireOstree, type CommandContext, type RegistryFlags } from './context.ts';

export async function runPull(
  context: CommandContext,
  image: string,
  flags: RegistryFlags & { readonly storage?: string },
): Promise<void> {
  requireOstree(flags.storage);
  const pulled = await pullImage(await openApp(context), image, readAccess(flags));
  const { changed, layersFetched, devicesLeftOut } = pulled;
  const { name, digest } = pulled.image;
  context.output.result({ image: name, digest, changed, layersFetched, devicesLeftOut }, [
    pulledLine(pulled),
  ]);
}

export function pulledLine({ image: { name, digest }, changed }: PulledImage): string {
  return changed ? `Pulled ${name} (${digest})` : `${name} is up to date (${digest})`;
}
