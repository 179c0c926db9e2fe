import { acceptSchema1 } from '../copy/schema1-source.ts';
import type { ImageReference } from '../image/reference.ts';
import { openSource, type OpenedSource } from '../transport/open.ts';
import { adviseTransport } from '../transport/wrong-transport.ts';
import type { TransferApp } from './context.ts';
import { openOptions, type RegistryAccess } from './pull-image.ts';

/** An image that is to be pulled or copied: images of the old schema 1 look like any other from here on. */
export async function openImageSource(
  app: TransferApp,
  reference: ImageReference,
  access: RegistryAccess,
): Promise<OpenedSource> {
  const opened = await openForReading(app, reference, access);
  const options = { tempFolder: tempFolderOf(app), signal: app.signal };
  return { ...opened, source: acceptSchema1(opened.source, options) };
}

/** The same with manifests as they are. An image that is not where a path leads is looked for under other transports. */
export async function openForReading(
  app: TransferApp,
  reference: ImageReference,
  access: RegistryAccess,
): Promise<OpenedSource> {
  return openSource(reference, openOptions(app, access)).catch(async (error: unknown) => {
    throw await adviseTransport(reference, error);
  });
}

/** Where bytes wait that are converted, unless TMPDIR names another place: not in memory, as /tmp may be. */
export function tempFolderOf({ environment }: Pick<TransferApp, 'environment'>): string {
  return environment['TMPDIR'] || '/var/tmp';
}
