import { entriesOf, isList, isTrue, NIL_LIST, NIL_MAP, Struct, Time, type Value } from './values.ts';

/**
 * A value as Go's encoding/json writes it: keys of maps in order, `<`, `>` and `&` escaped.
 * @param indent of each level; everything on one line when not given
 */
export function toGoJson(value: Value, indent = ''): string {
  return write(value, indent, '\n');
}

function write(value: Value, indent: string, lineEnd: string): string {
  if (value === undefined || value === null || value === NIL_LIST || value === NIL_MAP) return 'null';
  if (typeof value === 'string') return quote(value);
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (value instanceof Time) return quote(value.toRfc3339());
  const inside = lineEnd + indent;
  const around = (open: string, items: readonly string[], close: string): string => {
    if (items.length === 0) return open + close;
    const separator = indent === '' ? '' : inside;
    return `${open}${separator}${items.join(`,${separator}`)}${indent === '' ? '' : lineEnd}${close}`;
  };
  if (isList(value))
    return around(
      '[',
      value.map((item) => write(item, indent, inside)),
      ']',
    );
  const members = value instanceof Struct ? membersOf(value) : entriesOf(value);
  const colon = indent === '' ? ':' : ': ';
  return around(
    '{',
    members.map(([key, item]) => `${quote(key)}${colon}${write(item, indent, inside)}`),
    '}',
  );
}

function membersOf({ fields }: Struct): [string, Value][] {
  return fields
    .filter(({ value, omitEmpty }) => omitEmpty !== true || isTrue(value))
    .map(({ name, key = name, value }) => [key, value]);
}

function quote(text: string): string {
  return JSON.stringify(text).replace(
    /[<>&\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
