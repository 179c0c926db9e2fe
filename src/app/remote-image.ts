/** Images where they come from, without their layers. */
import { readImage, resolveManifest, type ResolvedImage } from '../copy/resolve.ts';
import type { ImageReference } from '../image/reference.ts';
import type { TransferApp } from './context.ts';
import { openImageToPull } from './open-image.ts';
import { platformOf, type RegistryAccess } from './pull-image.ts';

/**
 * Reads manifest and config of an image for this platform, verified; nothing is stored.
 * @throws AtomicError of the transport and of the engine
 */
export async function readRemoteImage(
  app: TransferApp,
  reference: ImageReference,
  access: RegistryAccess,
): Promise<ResolvedImage> {
  const { source } = await openImageToPull(app, reference, access);
  try {
    const platform = platformOf(app);
    const expected = reference.transport === 'docker' ? reference.image.digest : undefined;
    return await readImage(source, await resolveManifest(source, platform, expected), platform);
  } finally {
    await source.close();
  }
}
