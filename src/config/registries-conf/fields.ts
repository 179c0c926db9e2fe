import { AtomicError } from '../../errors.ts';
import { isRecord, type JsonRecord } from '../../image/json.ts';

/** A table of a TOML document, whose values are what they should be or end the reading. */
export class Fields {
  readonly #table: JsonRecord;
  readonly #path: string;

  constructor(table: JsonRecord, path: string) {
    this.#table = table;
    this.#path = path;
  }

  /** Empty when there is none. */
  text(key: string): string {
    const value = this.#table[key] ?? '';
    if (typeof value === 'string') return value;
    throw invalid(this.#path, `a ${key} that is no text`, `It is written ${key} = "VALUE".`);
  }

  /** Undefined when there is none. */
  texts(key: string): readonly string[] | undefined {
    const value = this.#table[key];
    if (value === undefined) return undefined;
    if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value;
    throw invalid(this.#path, `${key} that is no list of texts`, `It is written ${key} = ["VALUE"].`);
  }

  /** False when there is none. */
  flag(key: string): boolean {
    const value = this.#table[key] ?? false;
    if (typeof value === 'boolean') return value;
    throw invalid(this.#path, `a value for ${key} that is neither true nor false`);
  }

  tables(key: string): readonly JsonRecord[] {
    const value = this.#table[key] ?? [];
    if (Array.isArray(value) && value.every(isRecord)) return value;
    throw invalid(this.#path, `a ${key} that is no list of tables`, `Each is written [[${key}]].`);
  }
}

/** What to do about a file where nothing better is known. */
export const FILE_HINT = 'What it may hold is in containers-registries.conf(5).';

/** The error for a file that has something in it that cannot be. */
export function invalid(path: string, found: string, hint = FILE_HINT): AtomicError {
  return new AtomicError('config-invalid', `${path} has ${found}`, { hint });
}
