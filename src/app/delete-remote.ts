import { AtomicError } from '../errors.ts';
import type { ImageReference } from '../image/reference.ts';
import { findDeletable } from '../transport/registry/delete.ts';
import type { TransferApp } from './context.ts';
import { openOptions, readReference, type RegistryAccess } from './pull-image.ts';

export interface DeletedImage {
  /** `host/name:tag` */
  readonly image: string;
  readonly digest: string;
}

/** What else removes an image of a transport. */
const OTHERWISE: Readonly<Record<Exclude<ImageReference['transport'], 'docker'>, string>> = {
  dir: 'Remove the folder.',
  oci: 'Remove the folder, or with several images in it use umoci rm.',
  'oci-archive': 'Remove the file.',
  'docker-archive': 'Remove the file.',
  'docker-daemon': 'Use docker image rm.',
  ostree: 'In the local storage that is atomic-ts images delete.',
};

/**
 * Deletes an image from its registry, with all tags that stand for the same manifest.
 * @param dryRun only finds what would be deleted
 * @throws AtomicError `usage` for a name without a transport, which might be meant for the local storage; `unsupported`
 * for other transports and where the registry does not delete; `manifest-unknown`, `denied`, `unauthorized`…
 */
export async function deleteRemoteImage(
  app: TransferApp,
  text: string,
  access: RegistryAccess,
  dryRun: boolean,
): Promise<DeletedImage> {
  const reference = readReference(text);
  if (reference.transport !== 'docker') {
    throw new AtomicError('unsupported', `${text} is in no registry, and delete takes images of registries`, {
      hint: OTHERWISE[reference.transport],
    });
  }
  if (!/^(?:docker|https?):/.test(text)) {
    throw new AtomicError(
      'usage',
      `delete takes an image of a registry with its transport: docker://${text}`,
      {
        hint: `In the local storage that is: atomic-ts images delete ${text}`,
      },
    );
  }
  const { image, plainHttp } = reference;
  const found = await findDeletable(image, { ...openOptions(app, access), plainHttp });
  try {
    if (!dryRun) await found.delete();
    return { image: found.image, digest: found.digest };
  } finally {
    await found.close();
  }
}
