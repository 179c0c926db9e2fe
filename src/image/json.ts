import { AtomicError, messageOf, type ErrorCode } from '../errors.ts';

export type JsonRecord = Readonly<Record<string, unknown>>;

export function isRecord(value: unknown): value is JsonRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Parses JSON bytes from a foreign source; the caller has capped their length. A UTF-8 byte order mark is not accepted.
 * @param what the thing that is read, as a subject of the error's sentence: "the manifest of x".
 * @throws AtomicError with the given code
 */
export function parseJson(
  bytes: Uint8Array | string,
  what: string,
  code: ErrorCode = 'manifest-invalid',
): unknown {
  try {
    const text =
      typeof bytes === 'string'
        ? bytes
        : new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    return JSON.parse(text);
  } catch (error) {
    throw new AtomicError(code, `${what} is not valid JSON: ${messageOf(error)}`, { cause: error });
  }
}

/**
 * Refuses a key that only differs in its case from one that we read: Go's encoding/json takes the one for the other, so
 * that other tools would see another image under the same digest.
 * @throws AtomicError `manifest-invalid`
 */
export function refuseOtherSpellings(record: JsonRecord, keys: readonly string[], where: string): void {
  const folded = new Map(keys.map((key) => [fold(key), key]));
  for (const key of Object.keys(record)) {
    const known = folded.get(fold(key));
    if (known === undefined || known === key) continue;
    throw new AtomicError(
      'manifest-invalid',
      `${where} has a field ${JSON.stringify(key)} beside "${known}"`,
    );
  }
}

/**
 * An object with its fields under the names that we know them by: Go's encoding/json, and with it Docker, reads `user`
 * for `User`.
 * @throws AtomicError with the given code when that makes two of its keys one
 */
export function spellAsKnown(
  record: JsonRecord,
  keys: readonly string[],
  where: string,
  code: ErrorCode,
): JsonRecord {
  const folded = new Map(keys.map((key) => [fold(key), key]));
  const spelled = new Map<string, unknown>();
  for (const [key, value] of Object.entries(record)) {
    const known = folded.get(fold(key)) ?? key;
    if (spelled.has(known)) throw new AtomicError(code, `${where} has "${known}" in two spellings`);
    spelled.set(known, value);
  }
  return Object.fromEntries(spelled);
}

/**
 * Refuses a document in which an object has a key twice: Go's encoding/json puts the values together, others take the
 * first or, as we do, the last, so that other tools would see another image under the same digest.
 * @param document what `bytes` were parsed to
 * @throws AtomicError with the given code
 */
export function refuseRepeatedKeys(
  bytes: Uint8Array | string,
  document: unknown,
  what: string,
  code: ErrorCode = 'manifest-invalid',
): void {
  const text = typeof bytes === 'string' ? bytes : Buffer.from(bytes).toString('utf8');
  if (countWrittenKeys(text) !== countKeys(document)) throw new AtomicError(code, `${what} has a key twice`);
}

/** Strings before a colon, in text that is valid JSON. */
function countWrittenKeys(text: string): number {
  let count = 0;
  for (let at = text.indexOf('"'); at !== -1; at = text.indexOf('"', at)) {
    at = text.indexOf('"', at + 1);
    while (isEscaped(text, at)) at = text.indexOf('"', at + 1);
    at += 1;
    while (' \t\n\r'.includes(text[at] ?? ':')) at += 1;
    if (text[at] === ':') count += 1;
  }
  return count;
}

function isEscaped(text: string, at: number): boolean {
  let backslashes = 0;
  while (text[at - 1 - backslashes] === '\\') backslashes += 1;
  return backslashes % 2 === 1;
}

/** Not by calling itself: a document may nest deeper than the stack. */
function countKeys(document: unknown): number {
  let count = 0;
  const waiting = [document];
  for (let value = waiting.pop(); value !== undefined; value = waiting.pop()) {
    if (typeof value !== 'object' || value === null) continue;
    const inner: readonly unknown[] = Object.values(value);
    if (!Array.isArray(value)) count += inner.length;
    for (const one of inner) waiting.push(one);
  }
  return count;
}

/** As Go folds: the long s and the Kelvin sign are letters of ours as well. */
function fold(key: string): string {
  return key.toUpperCase().toLowerCase();
}

/** An object whose values are all strings; undefined and null give undefined. */
export function optionalStringMap(
  value: unknown,
  where: string,
  code: ErrorCode = 'manifest-invalid',
): Record<string, string> | undefined {
  if (value === undefined || value === null) return undefined;
  if (!isRecord(value)) throw new AtomicError(code, `${where} is not an object of strings`);
  for (const [key, item] of Object.entries(value)) {
    if (typeof item !== 'string')
      throw new AtomicError(
        code,
        `${where} has a value for ${JSON.stringify(key.slice(0, 200))} that is not a string`,
      );
  }
  return value as Record<string, string>;
}

/** A list of strings; undefined and null give undefined. */
export function optionalStringList(
  value: unknown,
  where: string,
  code: ErrorCode = 'manifest-invalid',
): string[] | undefined {
  if (value === undefined || value === null) return undefined;
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) {
    throw new AtomicError(code, `${where} is not a list of strings`);
  }
  return value;
}

/**
 * JSON bytes of a document out of a foreign source, spelled as Go's encoding/json does: what is the same image to skopeo
 * and Docker has the same digest.
 * @throws AtomicError `manifest-invalid` when it nests deeper than can be written
 */
export function writeJson(document: unknown, what: string): Buffer {
  try {
    return Buffer.from(JSON.stringify(document).replace(/[<>&\u2028\u2029]/g, escapeCharacter));
  } catch (error) {
    throw new AtomicError('manifest-invalid', `${what} cannot be written: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

function escapeCharacter(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
