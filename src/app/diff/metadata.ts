/** What two documents of metadata differ in. */
import { isRecord, type JsonRecord } from '../../image/json.ts';

/**
 * What of a document the other one does not have, or has otherwise. Lists are sets here, as they were for atomic, and
 * none is the same as an empty one.
 */
export function uniqueMetadata(document: JsonRecord, other: JsonRecord): JsonRecord {
  const unique: [string, unknown][] = [];
  for (const [key, value] of Object.entries(document)) {
    const there = Object.hasOwn(other, key) ? other[key] : undefined;
    if (isRecord(value) && isRecord(there)) {
      const within = uniqueMetadata(value, there);
      if (Object.keys(within).length > 0) unique.push([key, within]);
    } else if (!isSame(value, there)) unique.push([key, value]);
  }
  return Object.fromEntries(unique);
}

function isSame(one: unknown, other: unknown): boolean {
  return canonical(one) === canonical(other);
}

function canonical(value: unknown): string {
  if (value === undefined || value === null) return '[]';
  if (Array.isArray(value)) return `[${[...new Set((value as unknown[]).map(canonical))].sort().join(',')}]`;
  if (!isRecord(value)) return JSON.stringify(value);
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`).join(',')}}`;
}
