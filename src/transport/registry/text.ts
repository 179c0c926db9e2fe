import { escapeLine } from '../../escape.ts';

/** Foreign text as it may be shown to a person: control characters escaped, at most `limit` characters. */
export function showForeign(text: string, limit = 300): string {
  const cut = text.length > limit ? `${text.slice(0, limit)}…` : text;
  return escapeLine(cut);
}

/** A URL as it may be shown: without user, password, query and fragment, which may hold secrets. */
export function showUrl(url: URL): string {
  return showForeign(`${url.origin}${url.pathname}${url.search === '' ? '' : '?…'}`);
}
