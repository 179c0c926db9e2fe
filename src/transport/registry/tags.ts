import { AtomicError } from '../../errors.ts';
import { isRecord, parseJson } from '../../image/json.ts';
import type { RegistryImage } from '../../image/reference.ts';
import { LIST_PAGE_BYTES, limitExceeded, limitOf } from '../../limits.ts';
import { createClient } from './client.ts';
import type { RegistryOptions } from './options.ts';
import { showUrl } from './text.ts';

const TAG = /^\w[\w.-]{0,127}$/;

/**
 * The tags of a repository in the registry's order, all pages of them.
 * @throws AtomicError `image-not-found`, `unauthorized`, `denied`, `registry-error`, `registry-unreachable`, `tls`;
 * `limit-exceeded` for more than the limit `tags`
 * @see OCI distribution specification 1.1, "Listing Tags"
 */
export async function listTags(
  { domain, repository }: RegistryImage,
  options: RegistryOptions,
): Promise<string[]> {
  const name = `${domain}/${repository}`;
  const client = createClient({ domain, repository }, 'pull', options);
  const tags: string[] = [];
  let others = 0;
  try {
    const doing = `list the tags of ${name}`;
    const list = { method: 'GET', at: 'tags/list', accept: [200], doing, kind: 'list' } as const;
    for await (const { bytes, url } of client.pages(list, LIST_PAGE_BYTES)) {
      const found = readTags(bytes, `The list of tags at ${showUrl(url)}`);
      // One by one: a call takes some hundred thousand arguments at most.
      for (const tag of found) if (TAG.test(tag)) tags.push(tag);
      others += found.length;
      if (others > limitOf('tags')) {
        throw limitExceeded('tags', `${name} has more than ${limitOf('tags')} tags`);
      }
    }
  } finally {
    await client.close();
  }
  others -= tags.length;
  if (others > 0) {
    const text = `${others} entries in the list of ${name} are no tags, and are left out`;
    options.report({ event: 'warning', text });
  }
  return tags;
}

/** A repository without any tag may have `null` for its list. */
function readTags(bytes: Uint8Array, what: string): string[] {
  const document = parseJson(bytes, what, 'registry-error');
  const tags = isRecord(document) ? (document['tags'] ?? []) : undefined;
  if (Array.isArray(tags) && tags.every((tag) => typeof tag === 'string')) return tags;
  throw new AtomicError('registry-error', `${what} holds no list of tags`);
}
