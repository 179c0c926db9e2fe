/** `-f KEY=VALUE` of the lists: VALUE is a part of the field's text in any case, as in atomic; several must all match. */
import { AtomicError } from '../errors.ts';

export interface ListFilter<Key extends string> {
  readonly key: Key;
  readonly value: string;
}

/** @throws AtomicError `usage` for a key that is not among `keys`, or no `=` */
export function parseFilters<Key extends string>(
  texts: readonly string[],
  keys: readonly Key[],
): ListFilter<Key>[] {
  const hint = `The keys are ${keys.join(', ')}.`;
  return texts.map((text) => {
    const equals = text.indexOf('=');
    if (equals === -1) {
      throw new AtomicError('usage', `The filter "${text}" is not of the form KEY=VALUE`, { hint });
    }
    const key = keys.find((candidate) => candidate === text.slice(0, equals).toLowerCase());
    if (key === undefined) {
      throw new AtomicError('usage', `The filter "${text.slice(0, equals)}" is not valid`, { hint });
    }
    return { key, value: text.slice(equals + 1).toLowerCase() };
  });
}

export function matchesFilters<Key extends string>(
  filters: readonly ListFilter<Key>[],
  fieldOf: (key: Key) => string,
): boolean {
  return filters.every(({ key, value }) => fieldOf(key).toLowerCase().includes(value));
}
