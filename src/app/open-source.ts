import { acceptSchema1 } from '../copy/schema1-source.ts';
import type { ImageReference } from '../image/reference.ts';
import { openSource, type OpenedSource } from '../transport/open.ts';
import type { TransferApp } from './context.ts';
import { openOptions, type RegistryAccess } from './pull-image.ts';

/** An image that is to be pulled or copied: images of the old schema 1 look like any other from here on. */
export async function openImageSource(
  app: TransferApp,
  reference: ImageReference,
  access: RegistryAccess,
): Promise<OpenedSource> {
  const opened = await openSource(reference, openOptions(app, access));
  const options = { tempFolder: tempFolderOf(app), signal: app.signal };
  return { ...opened, source: acceptSchema1(opened.source, options) };
}

/** Where bytes wait that are converted, unless TMPDIR names another place: not in memory, as /tmp may be. */
export function tempFolderOf({ environment }: Pick<TransferApp, 'environment'>): string {
  return environment['TMPDIR'] || '/var/tmp';
}
