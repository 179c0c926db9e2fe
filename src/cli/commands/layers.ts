import { copyImageLayers } from '../../app/copy-layers.ts';
import { openTransfer, type CommandContext } from './context.ts';
import { readPlatform, type PlatformFlags } from './platform.ts';
import { readRemoteAccess, type RemoteFlags } from './remote-access.ts';

export async function runLayers(
  context: CommandContext,
  image: string,
  digests: readonly string[],
  flags: RemoteFlags & PlatformFlags & { readonly dir?: string },
): Promise<void> {
  const app = await openTransfer(context);
  const { folder, digest, blobs } = await copyImageLayers(app, {
    image,
    digests,
    folder: flags.dir,
    access: readRemoteAccess(flags),
    platform: readPlatform(flags),
  });
  const copied = blobs.map((blob) => blob.digest);
  context.output.result({ image, digest, folder, blobs: copied }, [folder]);
}
