import { toGoJson } from './json.ts';
import { templateError } from './lex.ts';
import { printf } from './printf.ts';
import { printValue } from './print.ts';
import { isList, isTrue, Struct, Time, type Value } from './values.ts';

type TemplateFunction = (given: readonly Value[]) => Value;

/**
 * Those of text/template that give or compare values, and those that podman and newer skopeos have besides: `json`,
 * `join`, `split`, `lower`, `upper`.
 */
export const FUNCTIONS: ReadonlyMap<string, TemplateFunction> = new Map<string, TemplateFunction>([
  ['and', (given) => given.find((value) => !isTrue(value)) ?? given.at(-1)],
  ['or', (given) => given.find(isTrue) ?? given.at(-1)],
  ['not', ([value]) => !isTrue(value)],
  ['len', ([value]) => lengthOf(value)],
  ['index', ([value, ...keys]) => keys.reduce(takeItem, value)],
  ['slice', ([value, from, to]) => cut(value, from, to)],
  ['print', print],
  ['println', (given) => `${given.map(printValue).join(' ')}\n`],
  ['printf', ([format, ...values]) => printf(textOf(format, 'printf'), values)],
  ['eq', ([value, ...others]) => others.some((other) => isEqual(value, other))],
  ['ne', ([value, other]) => !isEqual(value, other)],
  ['lt', ([a, b]) => compare(a, b) < 0],
  ['le', ([a, b]) => compare(a, b) <= 0],
  ['gt', ([a, b]) => compare(a, b) > 0],
  ['ge', ([a, b]) => compare(a, b) >= 0],
  ['json', ([value]) => toGoJson(value)],
  ['join', ([list, separator]) => itemsOf(list).map(printValue).join(textOf(separator, 'join'))],
  ['split', ([text, separator]) => textOf(text, 'split').split(textOf(separator, 'split'))],
  ['lower', ([text]) => textOf(text, 'lower').toLowerCase()],
  ['upper', ([text]) => textOf(text, 'upper').toUpperCase()],
]);

/** Go puts a space between two values unless one of them is a text. */
function print(given: readonly Value[]): string {
  return given
    .map((value, i) => {
      const isApart = i > 0 && typeof value !== 'string' && typeof given[i - 1] !== 'string';
      return `${isApart ? ' ' : ''}${printValue(value)}`;
    })
    .join('');
}

function textOf(value: Value, name: string): string {
  if (typeof value === 'string') return value;
  throw templateError(`gives ${name} ${toGoJson(value)} where it takes a text`);
}

function itemsOf(value: Value): readonly Value[] {
  if (isList(value)) return value;
  throw templateError(`gives join ${toGoJson(value)} where it takes a list`);
}

/** Of a text in bytes, as Go counts. */
function lengthOf(value: Value): number {
  if (typeof value === 'string') return Buffer.byteLength(value);
  if (isList(value)) return value.length;
  if (value instanceof Map) return value.size;
  throw templateError(`asks for the length of ${toGoJson(value)}, which has none`);
}

/** A map's missing key is the empty text, as all maps here hold texts. */
function takeItem(value: Value, key: Value): Value {
  if (value instanceof Map && typeof key === 'string') {
    return (value as ReadonlyMap<string, Value>).get(key) ?? '';
  }
  if (isList(value) && typeof key === 'number') {
    if (key in value) return value[key];
    throw templateError(`asks for item ${key} of a list of ${value.length}`);
  }
  throw templateError(`asks for ${toGoJson(key)} of ${toGoJson(value)}, which does not have it`);
}

function cut(value: Value, from: Value = 0, to?: Value): Value {
  const length = lengthOf(value);
  const end = to ?? length;
  const isRange = typeof from === 'number' && typeof end === 'number' && from >= 0 && end >= from;
  if (!isRange || end > length) {
    throw templateError(`cuts ${toGoJson(from)} to ${toGoJson(end)} out of ${length}`);
  }
  if (typeof value === 'string') return Buffer.from(value).subarray(from, end).toString();
  return isList(value) ? value.slice(from, end) : value;
}

function isEqual(a: Value, b: Value): boolean {
  if (a instanceof Time && b instanceof Time) return a.toRfc3339() === b.toRfc3339();
  for (const value of [a, b]) {
    if (isList(value) || value instanceof Map || value instanceof Struct) {
      throw templateError(`compares ${toGoJson(value)}, which is no simple value`);
    }
  }
  return a === b;
}

function compare(a: Value, b: Value): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  if (typeof a === 'string' && typeof b === 'string') return Buffer.compare(Buffer.from(a), Buffer.from(b));
  throw templateError(`compares ${toGoJson(a)} with ${toGoJson(b)}`);
}
