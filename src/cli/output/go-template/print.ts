import { entriesOf, isList, Struct, Time, type Value } from './values.ts';

/** A value as Go's `%v` prints it; what is not there as templates do. */
export function printValue(value: Value): string {
  if (value === undefined) return '<no value>';
  return printInside(value);
}

function printInside(value: Value): string {
  if (value === null || value === undefined) return '<nil>';
  if (isList(value)) return `[${value.map(printInside).join(' ')}]`;
  if (value instanceof Struct) return `{${value.fields.map((field) => printInside(field.value)).join(' ')}}`;
  if (value instanceof Time) return value.toString();
  if (typeof value === 'object') {
    return `map[${entriesOf(value)
      .map(([key, item]) => `${key}:${printInside(item)}`)
      .join(' ')}]`;
  }
  return String(value);
}
