import { toGoJson } from './json.ts';
import { templateError } from './lex.ts';
import { printValue } from './print.ts';
import type { Value } from './values.ts';

const VERB = /%([-0]*)(\d{0,4})(?:\.(\d{1,4}))?([^])|%$/g;

/**
 * Go's fmt.Sprintf with the verbs that fit our values: `%s`, `%v`, `%d`, `%q`, `%t`, `%%`; `-`, `0`, width and, of texts,
 * precision.
 * @throws AtomicError `usage`
 */
export function printf(format: string, values: readonly Value[]): string {
  const rest = [...values];
  const text = format.replace(VERB, (...match: string[]) => {
    const [whole = '', flags = '', width = '', precision, verb = ''] = match;
    if (whole === '%%') return '%';
    if (rest.length === 0) throw templateError(`gives printf no value for ${whole}`);
    const shown = formatVerb(rest.shift(), verb, precision === undefined ? undefined : Number(precision));
    if (flags.includes('-')) return shown.padEnd(Number(width));
    return shown.padStart(Number(width), flags.includes('0') && verb === 'd' ? '0' : ' ');
  });
  if (rest.length > 0) throw templateError(`gives printf ${rest.length} values more than it prints`);
  return text;
}

function formatVerb(value: Value, verb: string, precision: number | undefined): string {
  const text = printValue(value);
  switch (verb) {
    case 's':
      return Array.from(text).slice(0, precision).join('');
    case 'v':
      return text;
    case 'q':
      if (typeof value === 'string') return JSON.stringify(value);
      break;
    case 'd':
      if (typeof value === 'number') return text;
      break;
    case 't':
      if (typeof value === 'boolean') return text;
      break;
    default:
  }
  throw templateError(`gives printf ${toGoJson(value)} for %${verb}`);
}
