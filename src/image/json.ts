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
    const text = typeof bytes === 'string' ? bytes : new TextDecoder('utf-8', { fatal: true }).decode(bytes);
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
export function writeJson(document: unknown, what: string): Uint8Array {
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
