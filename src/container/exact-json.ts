/**
 * JSON of other people that is read, changed a little and written again: integers that a double cannot hold (an
 * unlimited rlimit is 18446744073709551615) come out as they went in, and the text looks as Python's `json.dumps` made it.
 */

/** A string, or an integer of 16 digits and more that is not part of a fraction or exponent. */
const STRING_OR_LARGE_INTEGER = /"[^"\\]*(?:\\.[^"\\]*)*"|(?<![\d.eE+-])-?\d{16,}(?![\d.eE])/g;
const MARK = '\u0000integer:';
const MARKED = /"\\u0000integer:(-?\d+)"/g;

/** Parses JSON; large integers become marked strings that `formatExactJson` turns back. Throws SyntaxError. */
export function parseExactJson(text: string): unknown {
  // First as it is: in valid JSON the search below runs through each string just once.
  const plain: unknown = JSON.parse(text);
  if (!/\d{16}/.test(text)) return plain;
  const marked = text.replaceAll(STRING_OR_LARGE_INTEGER, (token) =>
    token.startsWith('"') ? token : JSON.stringify(`${MARK}${token}`),
  );
  return JSON.parse(marked);
}

/** JSON with an indent of four, ASCII only; no newline at its end. */
export function formatExactJson(value: unknown): string {
  return JSON.stringify(value, null, 4)
    .replaceAll(MARKED, '$1')
    .replaceAll(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
