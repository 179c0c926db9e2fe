import { AtomicError, isAtomicError } from '../../errors.ts';
import type { Descriptor } from '../../image/descriptor.ts';
import type { Digest } from '../../image/digest.ts';
import type { RegistryImage } from '../../image/reference.ts';
import { ERROR_BODY_BYTES } from '../../limits.ts';
import type { ImageDestination } from '../transport.ts';
import { createClient, type RegistryClient } from './client.ts';
import { discardBody } from './http.ts';
import type { RegistryOptions } from './options.ts';
import type { NamedImage } from './places.ts';
import { BlobUpload, cancelUpload, finishStoring, readUpload, type Upload } from './upload.ts';

export interface RegistryDestinationOptions extends RegistryOptions {
  /** Where the image comes from, when that is a registry too: blobs in the same one need not travel. */
  readonly mountFrom?: NamedImage;
}

/**
 * A name in a registry, to be written. Errors as of the source; `digest-mismatch` when the registry stored something
 * else, `manifest-refused` when it does not take manifests of that type, `upload-broken` when the line broke and the
 * blob has to be put again from its start.
 * @see OCI distribution specification 1.1, "Push"
 */
export function openRegistryDestination(
  image: RegistryImage,
  { mountFrom, ...options }: RegistryDestinationOptions,
): ImageDestination {
  const client = createClient(image, 'pull,push', options);
  const neighbour =
    mountFrom?.domain === image.domain && mountFrom.repository !== image.repository
      ? mountFrom.repository
      : undefined;
  /** Opened by mounts that were not done. */
  const left = new Map<Digest, Upload>();
  return {
    name: `docker://${client.image}`,
    traits: {
      manifestTypes: undefined,
      layers: 'compressed',
      foreignLayers: true,
      signatures: false,
      parallel: true,
    },
    async hasBlob(descriptor) {
      if (await isThere(client, descriptor)) return true;
      if (neighbour === undefined || left.has(descriptor.digest)) return false;
      const upload = await mount(client, descriptor, neighbour);
      if (upload !== undefined && upload !== 'mounted') left.set(descriptor.digest, upload);
      return upload === 'mounted';
    },
    async putBlob(descriptor, bytes) {
      const opened = left.get(descriptor.digest);
      left.delete(descriptor.digest);
      await new BlobUpload(client, descriptor, bytes, opened).run();
    },
    async putManifest({ bytes, mediaType }, digest, role) {
      if (role === 'reference' && image.digest !== undefined && image.digest !== digest) {
        throw new AtomicError('digest-mismatch', `Cannot store the manifest ${digest} as ${client.image}`, {
          hint: 'Leave the digest out of the destination, or copy without a change of the manifest (--preserve-digests).',
        });
      }
      const reference = role === 'reference' ? (image.tag ?? digest) : digest;
      const answer = await client.open({
        method: 'PUT',
        at: `manifests/${reference}`,
        headers: { 'content-type': mediaType },
        body: bytes,
        accept: [200, 201, 202],
        doing: `store the manifest ${digest} as ${client.image}`,
        kind: 'manifest-upload',
      });
      await finishStoring(answer, digest, `the manifest of ${client.image}`);
    },
    async commit() {
      // The manifest's tag is the commit.
    },
    async close() {
      await Promise.allSettled([...left.values()].map((upload) => cancelUpload(client, upload)));
      await client.close();
    },
  };
}

async function isThere(client: RegistryClient, { digest }: Descriptor): Promise<boolean> {
  const answer = await client.fetch(
    {
      method: 'HEAD',
      at: `blobs/${digest}`,
      accept: [200, 404],
      doing: `ask for the blob ${digest} in ${client.image}`,
      kind: 'blob',
    },
    ERROR_BODY_BYTES,
  );
  return answer.status === 200;
}

/**
 * Asks for a blob of another repository of the same registry, with a token that is good for both.
 * @returns the upload that the registry opens instead; undefined when it does neither: nothing is lost then
 * @see OCI distribution specification 1.1, "Mounting a blob from another repository"
 */
async function mount(
  client: RegistryClient,
  { digest }: Descriptor,
  from: string,
): Promise<'mounted' | Upload | undefined> {
  try {
    const answer = await client.open({
      method: 'POST',
      at: `blobs/uploads/?mount=${encodeURIComponent(digest)}&from=${encodeURIComponent(from)}`,
      accept: [201, 202],
      scopes: [`repository:${from}:pull`],
      doing: `mount the blob ${digest} of ${from} in ${client.image}`,
      kind: 'upload',
      once: true,
    });
    if (answer.status === 202) {
      await discardBody(answer);
      return readUpload(answer);
    }
    await finishStoring(answer, digest, `the blob of ${client.image}`);
    return 'mounted';
  } catch (error) {
    if (isAtomicError(error, 'interrupted')) throw error;
    return undefined;
  }
}
