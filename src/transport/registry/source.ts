import { AtomicError } from '../../errors.ts';
import type { Descriptor } from '../../image/descriptor.ts';
import { isDigest, type Digest } from '../../image/digest.ts';
import type { RawManifest } from '../../image/manifest.ts';
import { ACCEPTED_MANIFESTS } from '../../image/media-type.ts';
import type { RegistryImage } from '../../image/reference.ts';
import { digestedBytes } from '../../image/schema1.ts';
import { digestOf } from '../../stream/verify.ts';
import type { ImageSource } from '../transport.ts';
import { blobCall, openBlob, type OpenedBlob } from './blob-reader.ts';
import type { RegistryClient, WholeAnswer } from './client.ts';
import { openForeignBlob } from './foreign-layer.ts';
import { createMirrors } from './mirrors.ts';
import type { RegistryOptions } from './options.ts';
import type { Place } from './places.ts';

/**
 * An image in a registry or in one of its mirrors, to be read. Nothing is sent before the first call.
 * Its methods throw AtomicError: `manifest-unknown`, `image-not-found`, `unauthorized`, `denied`, `rate-limited`,
 * `registry-error`, `registry-unreachable`, `tls`, `interrupted`; `limit-exceeded` and `digest-mismatch` for a manifest.
 * @see OCI distribution specification 1.1, "Pull"
 */
export function openRegistrySource(image: RegistryImage, options: RegistryOptions): ImageSource {
  const mirrors = createMirrors(image, options);
  return {
    name: `docker://${mirrors.name}`,
    seekable: true,
    getManifest: (digest) => mirrors.findManifest((client, place) => readManifest(client, place, digest)),
    getBlob: (descriptor, from = 0) =>
      openBlob(descriptor, from, (start, signal) =>
        mirrors.findBlob((client) => findBlob(client, descriptor, start, signal), signal),
      ),
    close: () => mirrors.close(),
  };
}

async function readManifest(
  client: RegistryClient,
  { image, mirror }: Place,
  digest: Digest | undefined,
): Promise<RawManifest> {
  const reference = digest ?? image.digest ?? image.tag ?? 'latest';
  const what =
    digest === undefined ? `the manifest of ${client.image}` : `the manifest ${digest} of ${client.image}`;
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
  // A digest that was asked for is compared by the caller, but for a mirror, which has others behind it.
  // Behind a tag, only the registry's own word is there.
  const told = isDigest(reference) ? undefined : answer.headers['docker-content-digest'];
  const expected = isDigest(reference) && mirror ? reference : told;
  if (isDigest(expected) && ACCEPTED_MANIFESTS.includes(mediaType)) checkDigest(answer, expected, what);
  return { bytes: answer.bytes, mediaType };
}

/** The registry may have a foreign layer as well; its URLs are asked when it does not. */
async function findBlob(
  client: RegistryClient,
  descriptor: Descriptor,
  from: number,
  signal: AbortSignal | undefined,
): Promise<OpenedBlob> {
  const call = { ...blobCall(client.image, descriptor, from), ...(signal && { signal }) };
  try {
    return { client, answer: await client.open(call) };
  } catch (error) {
    const foreign = await openForeignBlob(client, descriptor, call, error);
    if (foreign === undefined) throw error;
    return foreign;
  }
}

function mediaTypeOf({ headers }: WholeAnswer): string {
  return (headers['content-type'] ?? '').split(';', 1)[0]?.trim() ?? '';
}

function checkDigest({ bytes }: WholeAnswer, expected: Digest, what: string): void {
  const found = digestOf(digestedBytes(bytes, what), expected);
  if (found === expected) return;
  throw new AtomicError(
    'digest-mismatch',
    `The registry says that ${what} is ${expected}, but sends ${found}`,
  );
}
