import { AtomicError } from '../../errors.ts';
import { isDigest, type Digest } from '../../image/digest.ts';
import { ACCEPTED_MANIFESTS } from '../../image/media-type.ts';
import type { RegistryImage } from '../../image/reference.ts';
import { createClient, type Call, type RegistryClient } from './client.ts';
import type { RegistryOptions } from './options.ts';

/** An image in a registry that can be deleted there. */
export interface DeletableManifest {
  /** `host/name:tag` */
  readonly image: string;
  readonly digest: Digest;
  /**
   * Takes the manifest out of the repository, and with it every tag that stands for it. Blobs stay until the registry
   * collects its garbage; images that an index names stay too.
   */
  delete(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Looks up the manifest that a reference names.
 * @throws AtomicError `manifest-unknown`, `image-not-found`, `unauthorized`, `denied`, `registry-error`…; `delete`
 * besides `unsupported` when the registry is told not to delete
 * @see OCI distribution specification 1.1, "Deleting Manifests"
 */
export async function findDeletable(
  image: RegistryImage,
  options: RegistryOptions,
): Promise<DeletableManifest> {
  // One word for what is "delete" for docker-registry and "push" for others, as containers/image asks for it.
  const client = createClient(image, '*', options);
  try {
    const digest = await readDigest(client, image);
    return {
      image: client.image,
      digest,
      delete: () => deleteManifest(client, digest),
      close: () => client.close(),
    };
  } catch (error) {
    await client.close();
    throw error;
  }
}

/** The registry's own word, since it is the registry that deletes by it; a digest in the reference is asked for, too. */
async function readDigest(client: RegistryClient, { tag, digest }: RegistryImage): Promise<Digest> {
  const { headers } = await client.fetch(
    {
      method: 'HEAD',
      at: `manifests/${digest ?? tag ?? 'latest'}`,
      headers: { accept: ACCEPTED_MANIFESTS.join(', ') },
      accept: [200],
      doing: `find ${client.image}`,
      kind: 'manifest',
    },
    0,
  );
  const told = digest ?? headers['docker-content-digest'];
  if (isDigest(told)) return told;
  throw new AtomicError('registry-error', `The registry does not say which digest ${client.image} has`, {
    hint: 'Name the image by its digest: `atomic-ts inspect` shows it.',
  });
}

async function deleteManifest(client: RegistryClient, digest: Digest): Promise<void> {
  const call: Call = {
    method: 'DELETE',
    at: `manifests/${digest}`,
    // The specification has 202; some registries answer as RFC 9110 would have it.
    accept: [200, 202, 204, 405],
    doing: `delete ${client.image}`,
    kind: 'manifest',
  };
  const { status } = await client.fetch(call, 'manifest-size');
  if (status !== 405) return;
  throw new AtomicError('unsupported', `Cannot delete ${client.image}: its registry does not delete images`, {
    hint: 'Whoever runs it can allow that (docker-registry: storage.delete.enabled: true); others have a page of their own for it.',
  });
}
