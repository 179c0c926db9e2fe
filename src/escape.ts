/** Control characters, and those that turn the direction of writing around or cannot be seen in a terminal. */
const UNSHOWABLE = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

/** Foreign text as a terminal may be given it: what would act there becomes a visible `\uXXXX`; tabs and line ends stay. */
export function escapeControls(text: string): string {
  return text.replace(UNSHOWABLE, (char) => (char === '\n' || char === '\t' ? char : visible(char)));
}

/** The same for a part of one line: tabs and line ends are escaped as well. */
export function escapeLine(text: string): string {
  return text.replace(UNSHOWABLE, visible);
}

function visible(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
