import { AtomicError } from '../../errors.ts';
import { LIST_PAGES, limitExceeded } from '../../limits.ts';
import type { HttpAnswer } from './http.ts';
import { showForeign, showUrl } from './text.ts';

type Page = Pick<HttpAnswer, 'headers' | 'url'>;

/** The pages that follow the first one, each from the link of the one before. */
export async function* followPages<T extends Page>(
  first: T,
  registry: URL,
  fetch: (at: URL) => Promise<T>,
): AsyncGenerator<T, void, undefined> {
  const seen = new Set([first.url.href]);
  for (let next = nextPage(first, registry); next !== undefined;) {
    if (seen.has(next.href)) {
      throw new AtomicError('registry-error', `The list at ${showUrl(first.url)} goes on in a circle`);
    }
    if (seen.size === LIST_PAGES) {
      throw limitExceeded(LIST_PAGES, `The list at ${showUrl(first.url)} has more than ${LIST_PAGES} pages`);
    }
    seen.add(next.href);
    const page = await fetch(next);
    yield page;
    next = nextPage(page, registry);
  }
}

/**
 * Where a list goes on; undefined at its end.
 * @throws AtomicError `registry-error` when that is not the registry itself: its credentials would go along
 */
export function nextPage({ headers, url }: Page, registry: URL): URL | undefined {
  const { link } = headers;
  const target = readNextLink((Array.isArray(link) ? link : [link ?? '']).join(', '));
  if (target === undefined) return undefined;
  const next = URL.canParse(target, url.href) ? new URL(target, url) : undefined;
  if (next?.origin === registry.origin) return next;
  throw new AtomicError(
    'registry-error',
    `The list at ${showUrl(url)} goes on at ${next === undefined ? `"${showForeign(target)}"` : showUrl(next)}, ` +
      `which is not ${registry.origin}; it was not followed`,
  );
}

/** The target of the link that says `rel="next"`, RFC 8288 section 3. */
function readNextLink(header: string): string | undefined {
  for (const [, target = '', parameters = ''] of header.matchAll(/<([^<>]*)>((?:[^<"]|"[^"]*")*)/g)) {
    if (/;\s*rel\s*=\s*(?:next(?=[\s;,]|$)|"(?:[^"]*\s)?next(?:\s[^"]*)?")/i.test(parameters)) return target;
  }
  return undefined;
}
