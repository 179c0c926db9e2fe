/** Control characters, and those that turn the direction of writing around in a terminal. */
const UNSHOWABLE = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

/** Foreign text as it may be shown to a person: control characters escaped, at most `limit` characters. */
export function showForeign(text: string, limit = 300): string {
  const cut = text.length > limit ? `${text.slice(0, limit)}…` : text;
  return cut.replace(UNSHOWABLE, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** A URL as it may be shown: without user, password, query and fragment, which may hold secrets. */
export function showUrl(url: URL): string {
  return showForeign(`${url.origin}${url.pathname}${url.search === '' ? '' : '?…'}`);
}
