import { AtomicError } from '../../../errors.ts';

export type Token =
  | { readonly kind: 'text'; readonly text: string }
  /** `{{` and `}}` with what stands between. */
  | { readonly kind: 'action'; readonly words: readonly Word[]; readonly source: string };

export type Word =
  /** `if`, `len`, `true`… */
  | { readonly kind: 'name'; readonly text: string }
  /** `.Name`; `.` alone is an empty one. `joined` to what stands right before it, as in `$x.Name` and `(…).Name`. */
  | { readonly kind: 'field'; readonly text: string; readonly joined: boolean }
  /** `$name`; `$` alone is an empty one. */
  | { readonly kind: 'variable'; readonly text: string }
  | { readonly kind: 'string'; readonly text: string }
  | { readonly kind: 'number'; readonly value: number }
  | { readonly kind: 'sign'; readonly text: '(' | ')' | '|' | ',' | ':=' | '=' };

/** @throws AtomicError `usage` */
export function templateError(sentence: string): AtomicError {
  return new AtomicError('usage', `--format ${sentence}`, {
    hint: `It takes a Go template such as '{{.Name}} {{index .Labels "version"}}', or json.`,
  });
}

const WORD = new RegExp(
  [
    /(?<space>\s+)/,
    /(?<string>"(?:[^"\\\n]|\\[^\n])*")/,
    /(?<raw>`[^`]*`)/,
    /(?<number>[+-]?\d+(?:\.\d+)?)(?![\w.])/,
    /\$(?<variable>\w*)/,
    /\.(?<field>[A-Za-z_]\w*)?/,
    /(?<name>[A-Za-z_]\w*)/,
    /(?<sign>:=|[()|,=])/,
  ]
    .map(({ source }) => source)
    .join('|'),
  'y',
);

/**
 * Parts a template into text and actions, with `{{-` and `-}}` trimming the text beside them; comments are gone.
 * @throws AtomicError `usage`
 */
export function lexTemplate(template: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  let trim = false;
  const addText = (end: number, trimEnd: boolean): void => {
    let text = template.slice(at, end);
    if (trim) text = text.trimStart();
    if (trimEnd) text = text.trimEnd();
    if (text !== '') tokens.push({ kind: 'text', text });
  };
  for (;;) {
    const open = template.indexOf('{{', at);
    if (open === -1) break;
    const trimBefore = /^\{\{-\s/.test(template.slice(open, open + 4));
    addText(open, trimBefore);
    const start = open + (trimBefore ? 3 : 2);
    const comment = /^\s*\/\*[^]*?\*\/\s*?(?:\s-)?\}\}/.exec(template.slice(start));
    const end = comment === null ? findEnd(template, start) : start + comment[0].length - 2;
    trim = /\s-$/.test(template.slice(start, end));
    const source = template.slice(start, trim ? end - 1 : end).trim();
    if (comment === null) tokens.push({ kind: 'action', words: lexWords(source), source });
    at = end + 2;
  }
  addText(template.length, false);
  return tokens;
}

/** Where the `}}` of an action stands: not one inside a string. */
function findEnd(template: string, start: number): number {
  const matcher = /"(?:[^"\\\n]|\\[^\n])*"|`[^`]*`|\}\}|[^]/g;
  matcher.lastIndex = start;
  for (let found = matcher.exec(template); found !== null; found = matcher.exec(template)) {
    if (found[0] === '}}') return found.index;
  }
  throw templateError(`has a "{{" without "}}": ${JSON.stringify(template.slice(start - 2))}`);
}

function lexWords(source: string): Word[] {
  const words: Word[] = [];
  let isJoined = false;
  for (let at = 0; at < source.length;) {
    WORD.lastIndex = at;
    const match = WORD.exec(source);
    if (match === null) {
      throw templateError(
        `has ${JSON.stringify(source.slice(at))} in {{${source}}}, which is not understood`,
      );
    }
    at = WORD.lastIndex;
    const { space, ...groups } = match.groups ?? {};
    if (space === undefined) words.push(toWord(match[0], groups, isJoined));
    isJoined = space === undefined;
  }
  return words;
}

function toWord(text: string, groups: Record<string, string | undefined>, joined: boolean): Word {
  const { string, raw, number, variable, name, field, sign } = groups;
  if (string !== undefined) return { kind: 'string', text: unquote(string) };
  if (raw !== undefined) return { kind: 'string', text: raw.slice(1, -1) };
  if (number !== undefined) return { kind: 'number', value: Number(number) };
  if (variable !== undefined) return { kind: 'variable', text: variable };
  if (name !== undefined) return { kind: 'name', text: name };
  if (sign !== undefined) return { kind: 'sign', text: sign as '(' };
  if (text.startsWith('.')) return { kind: 'field', text: field ?? '', joined };
  throw templateError(`has ${JSON.stringify(text)}, which is not understood`);
}

/** Go's strings have the escapes of JSON, and a few that nobody needs here. */
function unquote(text: string): string {
  try {
    return JSON.parse(text.replaceAll('\t', '\\t')) as string;
  } catch {
    throw templateError(`has the string ${text} with an escape that is not understood`);
  }
}
