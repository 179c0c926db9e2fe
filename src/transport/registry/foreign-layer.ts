/** Layers that stay where their owner put them: `urls` of a descriptor, image-spec descriptor.md. */
import { isAtomicError, messageOf } from '../../errors.ts';
import type { Descriptor } from '../../image/descriptor.ts';
import { FOREIGN_URLS } from '../../limits.ts';
import type { OpenedBlob } from './blob-reader.ts';
import type { Call, RegistryClient } from './client.ts';
import { isNearer } from './redirect.ts';

/**
 * Asks a layer's URLs in their order, FOREIGN_URLS of them, without credentials; undefined when none has it.
 * An image names them, so they are https; plain HTTP is taken only on the host of a registry that has no TLS either.
 * @param failure of the registry, to which is added what the URLs said
 */
export async function openForeignBlob(
  client: RegistryClient,
  { urls = [] }: Descriptor,
  call: Call,
  failure: unknown,
): Promise<OpenedBlob | undefined> {
  const isOver = call.signal?.aborted === true || isAtomicError(failure, 'interrupted');
  if (urls.length === 0 || isOver) return undefined;
  const registry = await client.endpoint(call);
  const usable = urls.filter((url) => URL.canParse(url)).map((url) => new URL(url));
  for (const url of usable.filter((url) => isAllowed(url, registry)).slice(0, FOREIGN_URLS)) {
    try {
      return { client, answer: await client.open({ ...call, at: url, anonymous: true }) };
    } catch (error) {
      if (isAtomicError(failure)) failure.addTrouble(messageOf(error));
    }
  }
  return undefined;
}

function isAllowed(url: URL, registry: URL): boolean {
  if (url.username !== '' || url.password !== '' || isNearer(url, registry)) return false;
  const plain = url.protocol === 'http:' && registry.protocol === 'http:';
  return url.protocol === 'https:' || (plain && url.hostname === registry.hostname);
}
