import { AtomicError, messageOf } from '../../errors.ts';
import { isRecord, type JsonRecord } from '../../image/json.ts';
import type { Alias, Mirror, PullFromMirror, RegistriesFile, RegistryTable, ShortNameMode } from './conf.ts';
import { Fields, FILE_HINT, invalid } from './fields.ts';
import { isQualified, readPlace, readSearchRegistry } from './places.ts';
import { readVersion1 } from './version-1.ts';

const SHORT_NAME_MODES: readonly ShortNameMode[] = ['enforcing', 'permissive', 'disabled'];
const PULL_FROM_MIRROR: readonly PullFromMirror[] = ['all', 'digest-only', 'tag-only'];
const WILDCARD = /^\*\.[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?$/;

/**
 * Parses one file (TOML; the parser is loaded only when there is a file). Keys that we do not know are ignored, as
 * containers/image does. The old format is read where it stands alone, and in no drop-in.
 * @throws AtomicError `config-invalid`, with path and line where the parser knows it
 */
export async function parseRegistriesFile(
  bytes: Uint8Array,
  path: string,
  kind: 'main' | 'drop-in',
): Promise<RegistriesFile> {
  const document = await parseToml(bytes, path);
  const version1 = readVersion1(document, path);
  if (version1 !== undefined) {
    if (kind === 'main' && !hasVersion2(document)) return version1;
    const found =
      kind === 'drop-in'
        ? 'is a drop-in in the old format ([registries.search], …)'
        : 'mixes the old format ([registries.search], …) with the new one';
    throw new AtomicError('config-invalid', `${path} ${found}`, {
      hint: 'Write it as unqualified-search-registries and [[registry]]: containers-registries.conf(5).',
    });
  }
  return readVersion2(document, path);
}

async function parseToml(bytes: Uint8Array, path: string): Promise<JsonRecord> {
  const { parse, TomlError } = await import('../toml.ts');
  try {
    return parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    const line = error instanceof TomlError ? `, line ${error.line}` : '';
    const found = messageOf(error).split('\n', 1)[0] ?? '';
    throw new AtomicError('config-invalid', `${path}${line} is not valid TOML: ${found}`, {
      hint: FILE_HINT,
      cause: error,
    });
  }
}

function hasVersion2(document: JsonRecord): boolean {
  return ['registry', 'unqualified-search-registries', 'aliases'].some((key) => key in document);
}

function readVersion2(document: JsonRecord, path: string): RegistriesFile {
  const file = new Fields(document, path);
  const mode = file.text('short-name-mode');
  return {
    searchRegistries: file
      .texts('unqualified-search-registries')
      ?.map((entry) => readSearchRegistry(entry, path)),
    shortNameMode: mode === '' ? undefined : oneOf(mode, SHORT_NAME_MODES, 'short-name-mode', path),
    credentialHelpers: file.texts('credential-helpers'),
    registries: file.tables('registry').map((table) => readTable(table, path)),
    aliases: readAliases(document['aliases'], path),
  };
}

function readTable(document: JsonRecord, path: string): RegistryTable {
  const table = new Fields(document, path);
  const location = readPlace(table.text('location'), 'location', path);
  const prefix = readPlace(table.text('prefix'), 'prefix', path) ?? location;
  if (prefix === undefined) throw invalid(path, 'a [[registry]] with neither prefix nor location');
  if (prefix.includes('*') && !WILDCARD.test(prefix)) {
    throw invalid(path, `the prefix "${prefix}"`, 'A wildcard is written *.example.com, and nothing else.');
  }
  if (location?.includes('*') === true) throw invalid(path, `the location "${location}"`);
  if ('pull-from-mirror' in document) {
    throw invalid(path, `pull-from-mirror for "${prefix}" itself; it belongs into [[registry.mirror]]`);
  }
  const digestOnly = table.flag('mirror-by-digest-only');
  return {
    prefix,
    location: location === prefix ? undefined : location,
    insecure: table.flag('insecure'),
    blocked: table.flag('blocked'),
    mirrors: table.tables('mirror').map((mirror) => readMirror(mirror, digestOnly, prefix, path)),
    file: path,
  };
}

function readMirror(document: JsonRecord, digestOnly: boolean, prefix: string, path: string): Mirror {
  const mirror = new Fields(document, path);
  const location = readPlace(mirror.text('location'), 'location', path);
  if (location === undefined) throw invalid(path, `a mirror without location for "${prefix}"`);
  const pulls = mirror.text('pull-from-mirror');
  if (digestOnly && pulls !== '') {
    const both = `both mirror-by-digest-only for "${prefix}" and pull-from-mirror for its mirror "${location}"`;
    throw invalid(path, both, 'Leave one of them out.');
  }
  return {
    location,
    insecure: mirror.flag('insecure'),
    pullFromMirror: digestOnly
      ? 'digest-only'
      : pulls === ''
        ? 'all'
        : oneOf(pulls, PULL_FROM_MIRROR, 'pull-from-mirror', path),
  };
}

/** Aliases have no tag and no digest: what was typed brings them along. */
function readAliases(value: unknown, path: string): ReadonlyMap<string, Alias> {
  if (value === undefined) return new Map();
  if (!isRecord(value)) throw invalid(path, 'aliases that are no table');
  return new Map(
    Object.entries(value).map(([short, name]) => {
      if (typeof name !== 'string' || isQualified(short) !== false || (name !== '' && !isQualified(name))) {
        throw invalid(
          path,
          `the alias "${short}"`,
          'It is written "NAME" = "HOST/PATH", both without tag and digest.',
        );
      }
      return [short, { name: name === '' ? undefined : name, file: path }];
    }),
  );
}

function oneOf<T extends string>(text: string, values: readonly T[], key: string, path: string): T {
  const value = values.find((one) => one === text);
  if (value === undefined) throw invalid(path, `${key} = "${text}"`, `It takes ${values.join(', ')}.`);
  return value;
}
