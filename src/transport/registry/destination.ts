import type { Readable } from 'node:stream';
import { AtomicError } from '../../errors.ts';
import type { Descriptor } from '../../image/descriptor.ts';
import { isDigest, type Digest } from '../../image/digest.ts';
import type { RegistryImage } from '../../image/reference.ts';
import { ERROR_BODY_BYTES } from '../../limits.ts';
import type { ImageDestination } from '../transport.ts';
import { createClient, type RegistryClient } from './client.ts';
import { explainRefusal } from './explain.ts';
import { discardBody, type HttpAnswer } from './http.ts';
import type { RegistryOptions } from './options.ts';
import { resolveLocation } from './redirect.ts';

/**
 * A name in a registry, to be written. A blob is sent whole in one request and is not tried again once it has begun,
 * because its stream is gone by then. Errors as of the source; `digest-mismatch` when the registry stored something else.
 * @see OCI distribution specification 1.1, "Push", "Single POST and PUT"
 */
export function openRegistryDestination(image: RegistryImage, options: RegistryOptions): ImageDestination {
  const client = createClient(image, 'pull,push', options);
  return {
    name: `docker://${client.image}`,
    traits: {
      manifestTypes: undefined,
      layers: 'kept',
      foreignLayers: false,
      signatures: false,
      parallel: true,
    },
    async hasBlob({ digest }) {
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
    },
    putBlob: (descriptor, bytes) => uploadBlob(client, descriptor, bytes),
    async putManifest({ bytes, mediaType }, digest, role) {
      if (role === 'reference' && image.digest !== undefined && image.digest !== digest) {
        throw new AtomicError('digest-mismatch', `Cannot store the manifest ${digest} as ${client.image}`);
      }
      const reference = role === 'reference' ? (image.tag ?? digest) : digest;
      const answer = await client
        .open({
          method: 'PUT',
          at: `manifests/${reference}`,
          headers: { 'content-type': mediaType },
          body: bytes,
          accept: [200, 201, 202],
          doing: `store the manifest ${digest} as ${client.image}`,
          kind: 'upload',
        })
        .catch((error: unknown) => {
          throw explainRefusal(error);
        });
      await finish(answer, digest, `the manifest of ${client.image}`);
    },
    async commit() {
      // The manifest's tag is the commit.
    },
    close: () => client.close(),
  };
}

async function uploadBlob(
  client: RegistryClient,
  { digest, size }: Descriptor,
  bytes: Readable,
): Promise<void> {
  const doing = `upload the blob ${digest} to ${client.image}`;
  let failure: Error | undefined;
  // It may fail before the request that reads it has begun.
  bytes.on('error', (error: Error) => {
    failure ??= error;
  });
  try {
    const begun = await client.open({
      method: 'POST',
      at: 'blobs/uploads/',
      accept: [202],
      doing,
      kind: 'upload',
    });
    await discardBody(begun);
    const at = resolveLocation(begun.headers.location, begun.url);
    // As text: the rest of the query may be signed, and must not be spelled anew.
    at.search += `${at.search === '' ? '?' : '&'}digest=${digest}`;
    if (failure !== undefined) throw failure;
    const answer = await client.open({
      method: 'PUT',
      at,
      headers: { 'content-type': 'application/octet-stream', 'content-length': String(size) },
      body: bytes,
      accept: [201],
      doing,
      kind: 'upload',
    });
    await finish(answer, digest, `the blob of ${client.image}`);
  } catch (error) {
    // The request fails because its body did: that is the first error.
    throw failure ?? error;
  } finally {
    bytes.destroy();
  }
}

async function finish(answer: HttpAnswer, digest: Digest, what: string): Promise<void> {
  await discardBody(answer);
  const stored = answer.headers['docker-content-digest'];
  if (!isDigest(stored) || stored === digest) return;
  throw new AtomicError('digest-mismatch', `The registry stored ${what} as ${stored}; expected ${digest}`);
}
