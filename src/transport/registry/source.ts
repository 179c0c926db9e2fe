import { createHash } from 'node:crypto';
import { AtomicError } from '../../errors.ts';
import { algorithmOf, digestFromHex, isDigest, type Digest } from '../../image/digest.ts';
import type { RawManifest } from '../../image/manifest.ts';
import { ACCEPTED_MANIFESTS } from '../../image/media-type.ts';
import type { RegistryImage } from '../../image/reference.ts';
import { digestedBytes } from '../../image/schema1.ts';
import type { ImageSource } from '../transport.ts';
import { openBlob } from './blob-reader.ts';
import { createClient, type WholeAnswer } from './client.ts';
import type { RegistryOptions } from './options.ts';

/**
 * An image in a registry, to be read. Nothing is sent before the first call.
 * Its methods throw AtomicError: `manifest-unknown`, `image-not-found`, `unauthorized`, `denied`, `rate-limited`,
 * `registry-error`, `registry-unreachable`, `tls`, `interrupted`; `limit-exceeded` and `digest-mismatch` for a manifest.
 * @see OCI distribution specification 1.1, "Pull"
 */
export function openRegistrySource(image: RegistryImage, options: RegistryOptions): ImageSource {
  const client = createClient(image, 'pull', options);
  return {
    name: `docker://${client.image}`,
    async getManifest(digest): Promise<RawManifest> {
      const reference = digest ?? image.digest ?? image.tag ?? 'latest';
      const what =
        digest === undefined
          ? `the manifest of ${client.image}`
          : `the manifest ${digest} of ${client.image}`;
      const answer = await client.fetch(
        {
          method: 'GET',
          at: `manifests/${reference}`,
          headers: { accept: ACCEPTED_MANIFESTS.join(', ') },
          accept: [200],
          doing: `read ${what}`,
          kind: 'manifest',
        },
        'manifest-size',
      );
      const mediaType = mediaTypeOf(answer);
      // A digest that was asked for is compared by the caller; behind a tag, only the registry's own word is there.
      if (!isDigest(reference) && ACCEPTED_MANIFESTS.includes(mediaType)) checkToldDigest(answer, what);
      return { bytes: answer.bytes, mediaType };
    },
    getBlob: (descriptor) => openBlob(client, descriptor),
    close: () => client.close(),
  };
}

function mediaTypeOf({ headers }: WholeAnswer): string {
  return (headers['content-type'] ?? '').split(';', 1)[0]?.trim() ?? '';
}

function checkToldDigest({ headers, bytes }: WholeAnswer, what: string): void {
  const told = headers['docker-content-digest'];
  if (!isDigest(told)) return;
  const algorithm = algorithmOf(told);
  const hash = createHash(algorithm).update(digestedBytes(bytes, what));
  const found: Digest = digestFromHex(algorithm, hash.digest('hex'));
  if (found === told) return;
  throw new AtomicError('digest-mismatch', `The registry says that ${what} is ${told}, but sends ${found}`);
}
