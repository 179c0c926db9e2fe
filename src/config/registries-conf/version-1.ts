import { isRecord, type JsonRecord } from '../../image/json.ts';
import type { RegistriesFile, RegistryTable } from './conf.ts';
import { Fields, invalid } from './fields.ts';
import { readPlace, readSearchRegistry } from './places.ts';

/**
 * Reads the old format, `[registries.search]`, `[registries.insecure]` and `[registries.block]`, as the new one would
 * say it; undefined for a document without them.
 * @throws AtomicError `config-invalid`
 * @see containers-registries.conf(5), "Version 1 format"
 */
export function readVersion1(document: JsonRecord, path: string): RegistriesFile | undefined {
  const tables = document['registries'];
  if (tables === undefined) return undefined;
  if (!isRecord(tables)) throw invalid(path, 'registries that are no table');
  const list = (name: string): readonly string[] => {
    const table = tables[name] ?? {};
    if (!isRecord(table)) throw invalid(path, `registries.${name} that is no table`);
    return new Fields(table, path).texts('registries') ?? [];
  };
  const places = (name: string): ReadonlySet<string> =>
    new Set(list(name).flatMap((text) => readPlace(text, `registries.${name} entry`, path) ?? []));
  const insecure = places('insecure');
  const blocked = places('block');
  return {
    searchRegistries: list('search').map((text) => readSearchRegistry(text, path)),
    shortNameMode: undefined,
    credentialHelpers: undefined,
    registries: [...new Set([...blocked, ...insecure])].map((prefix): RegistryTable => ({
      prefix,
      location: undefined,
      insecure: insecure.has(prefix),
      blocked: blocked.has(prefix),
      mirrors: [],
      file: path,
    })),
    aliases: new Map(),
  };
}
