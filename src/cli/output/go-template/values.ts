/** What a template works on and skopeo prints: the few kinds of values of Go that an image's description is made of. */

export type Value =
  | string
  | number
  | boolean
  /** A nil pointer. */
  | null
  /** What is not there: a key that a map does not have. */
  | undefined
  | readonly Value[]
  | ReadonlyMap<string, Value>
  | Struct
  | Time;

/** Go tells a list and a map that were never made from empty ones: JSON has null for them. */
export const NIL_LIST: readonly Value[] = [];
export const NIL_MAP: ReadonlyMap<string, Value> = new Map();

export interface Field {
  /** As templates name it. */
  readonly name: string;
  /** In JSON, where that is another one. */
  readonly key?: string;
  readonly value: Value;
  /** Whether JSON leaves it out when it is empty. */
  readonly omitEmpty?: boolean;
}

/** Fields in their order. */
export class Struct {
  readonly fields: readonly Field[];

  constructor(fields: readonly Field[]) {
    this.fields = fields;
  }

  find(name: string): Field | undefined {
    return this.fields.find((field) => field.name === name);
  }
}

const RFC_3339 = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:[.,](\d+))?(Z|[+-]\d\d:\d\d)$/;

/** A moment in the words of RFC 3339, with nanoseconds and the zone it was written in. */
export class Time {
  readonly #date: string;
  readonly #time: string;
  readonly #zone: string;

  private constructor(date: string, time: string, zone: string) {
    this.#date = date;
    this.#time = time;
    this.#zone = zone;
  }

  /** Go's zero time. */
  static readonly zero = new Time('0001-01-01', '00:00:00', 'Z');

  /** Undefined for what is no such text. */
  static parse(text: string): Time | undefined {
    const [, date = '', time = '', digits = '', zone = ''] = RFC_3339.exec(text) ?? [];
    if (date === '' || Number.isNaN(Date.parse(`${date}T${time}Z`))) return undefined;
    const fraction = digits.slice(0, 9).replace(/0+$/, '');
    return new Time(
      date,
      fraction === '' ? time : `${time}.${fraction}`,
      /^[+-]00:00$/.test(zone) ? 'Z' : zone,
    );
  }

  /** As Go's JSON has it. */
  toRfc3339(): string {
    return `${this.#date}T${this.#time}${this.#zone}`;
  }

  /** As Go prints it: `2020-01-02 03:04:05 +0000 UTC`. */
  toString(): string {
    const offset = this.#zone === 'Z' ? '+0000' : this.#zone.replace(':', '');
    return `${this.#date} ${this.#time} ${offset} ${this.#zone === 'Z' ? 'UTC' : offset}`;
  }
}

export function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value);
}

/** A map's entries by key, as Go orders them: by the bytes of their UTF-8. */
export function entriesOf(map: ReadonlyMap<string, Value>): [string, Value][] {
  return [...map].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

/** What `if` takes for true: all but zero, nothing, and what is empty. */
export function isTrue(value: Value): boolean {
  if (isList(value)) return value.length > 0;
  if (value instanceof Map) return value.size > 0;
  return Boolean(value);
}
