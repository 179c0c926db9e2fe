import { AtomicError } from '../errors.ts';

/** `$$`, `$NAME`, `${NAME}`, or a lone `$`; the four branches of Python's `string.Template.pattern`, names ASCII only. */
const PLACEHOLDER = /\$(?:(\$)|([_a-zA-Z][_a-zA-Z0-9]*)|\{([_a-zA-Z][_a-zA-Z0-9]*)\}|)/g;
/** What Python's `str.splitlines` calls the end of a line. */
const LINE_END = /\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/;

export type TemplateValues = Readonly<Record<string, string | number>>;

/**
 * Fills in a template as Python's `string.Template.substitute` does; values are inserted as they are, never quoted.
 * @param path the template file, for the error's sentence.
 * @throws AtomicError `template-invalid` at a `$` that starts no variable, `variable-unset` at a variable without a
 * value; whichever comes first in the text.
 * @see https://docs.python.org/3/library/string.html#template-strings
 */
export function substitute(text: string, path: string, values: TemplateValues): string {
  return text.replaceAll(
    PLACEHOLDER,
    (
      _match: string,
      dollar: string | undefined,
      named: string | undefined,
      braced: string | undefined,
      ...rest
    ) => {
      if (dollar !== undefined) return '$';
      const variable = named ?? braced;
      if (variable === undefined) throw invalidPlaceholder(text, Number(rest[0]), path);
      const value = Object.hasOwn(values, variable) ? values[variable] : undefined;
      if (value === undefined) throw unsetVariable(variable, path);
      return String(value);
    },
  );
}

/** The variables a text uses, each once, in the order of their first use. */
export function listVariables(text: string): string[] {
  const names = [...text.matchAll(PLACEHOLDER)].map((match) => match[2] ?? match[3]);
  return [...new Set(names.filter((name) => name !== undefined))];
}

function invalidPlaceholder(text: string, dollarAt: number, path: string): AtomicError {
  const lines = text.slice(0, dollarAt + 1).split(LINE_END);
  // Columns count characters, not UTF-16 units.
  const column = Array.from(lines.at(-1) ?? '').length;
  return new AtomicError(
    'template-invalid',
    `Invalid placeholder in string: line ${lines.length}, col ${column}`,
    { hint: `In ${path} a dollar sign that starts no $VARIABLE must be written $$.` },
  );
}

function unsetVariable(variable: string, path: string): AtomicError {
  // atomic put Python's repr of the key, itself quoted, between quotes; scripts match on it.
  return new AtomicError(
    'variable-unset',
    `The template file '${path}' still contains an unreplaced value for: ''${variable}''`,
    { hint: `Set it with --set ${variable}=VALUE.` },
  );
}
