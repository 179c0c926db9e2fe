import { copyImage, type CopyOutcome } from '../copy/copy.ts';
import { openDestination } from '../transport/open.ts';
import type { TransferApp } from './context.ts';
import { openImageSource } from './open-source.ts';
import { requireFolderRoom } from './require-room.ts';
import { openOptions, platformOf, readReference, type RegistryAccess } from './pull-image.ts';

export interface CopyRequest {
  readonly source: string;
  readonly destination: string;
  readonly from: RegistryAccess;
  readonly to: RegistryAccess;
}

/** Copies an image between two transports; neither the store nor the host is touched, and root is not needed. */
export async function copyBetween(app: TransferApp, request: CopyRequest): Promise<CopyOutcome> {
  const reference = readReference(request.source);
  const { source } = await openImageSource(app, reference, request.from);
  try {
    const destination = await openDestination(
      readReference(request.destination),
      openOptions(app, request.to),
    );
    try {
      const expected = reference.transport === 'docker' ? reference.image.digest : undefined;
      const { folder } = destination;
      return await copyImage(
        source,
        destination,
        platformOf(app),
        expected,
        app.report,
        app.signal,
        async (missing) => {
          if (folder !== undefined) await requireFolderRoom(app, folder, source.name, missing);
        },
      );
    } finally {
      await destination.close();
    }
  } finally {
    await source.close();
  }
}
