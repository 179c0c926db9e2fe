import { copyImageLayers } from '../../app/copy-layers.ts';
import { openTransfer, readAccess, type CommandContext, type RegistryFlags } from './context.ts';
import { readPlatform, type PlatformFlags } from './platform.ts';

export async function runLayers(
  context: CommandContext,
  image: string,
  digests: readonly string[],
  flags: RegistryFlags & PlatformFlags & { readonly dir?: string },
): Promise<void> {
  const app = await openTransfer(context);
  const { folder, digest, blobs } = await copyImageLayers(app, {
    image,
    digests,
    folder: flags.dir,
    access: readAccess(flags),
    platform: readPlatform(flags),
  });
  const copied = blobs.map((blob) => blob.digest);
  context.output.result({ image, digest, folder, blobs: copied }, [folder]);
}
