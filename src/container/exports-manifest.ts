import { AtomicError } from '../errors.ts';
import {
  isRecord,
  optionalStringList,
  optionalStringMap,
  parseJson,
  type JsonRecord,
} from '../image/json.ts';

/** What an image's /exports/manifest.json says; every key is optional there. */
export interface ExportsManifest {
  readonly defaultValues: Readonly<Record<string, string>>;
  /** Host paths, after renaming, of files that are templates. */
  readonly installedFilesTemplate: readonly string[];
  /** Path prefix in /exports/hostfs to its name on the host; the names are templates. */
  readonly renameFiles: Readonly<Record<string, string>>;
  /** Only host files, nothing to run. */
  readonly noContainerService: boolean;
  /** Whether host files may be hard links into the checkout. */
  readonly useLinks: boolean;
}

export const EMPTY_MANIFEST: ExportsManifest = {
  defaultValues: {},
  installedFilesTemplate: [],
  renameFiles: {},
  noContainerService: false,
  useLinks: true,
};

/**
 * Reads a manifest.json. Unknown keys (`version`) say nothing.
 * @throws AtomicError `exports-invalid` naming the key
 */
export function parseExportsManifest(text: string): ExportsManifest {
  const what = "The image's /exports/manifest.json";
  const document = parseJson(text, what, 'exports-invalid');
  if (!isRecord(document)) throw new AtomicError('exports-invalid', `${what} is not a JSON object`);
  const where = (key: string): string => `${what}, ${key},`;
  return {
    defaultValues: readDefaults(document['defaultValues'], where('defaultValues')),
    installedFilesTemplate:
      optionalStringList(
        document['installedFilesTemplate'],
        where('installedFilesTemplate'),
        'exports-invalid',
      ) ?? [],
    renameFiles: optionalStringMap(document['renameFiles'], where('renameFiles'), 'exports-invalid') ?? {},
    noContainerService: readFlag(document, 'noContainerService', false, what),
    useLinks: readFlag(document, 'useLinks', true, what),
  };
}

function readDefaults(value: unknown, where: string): Record<string, string> {
  if (value === undefined || value === null) return {};
  if (!isRecord(value)) throw new AtomicError('exports-invalid', `${where} is not an object`);
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [
      name,
      pythonText(item, `${where} ${JSON.stringify(name)},`),
    ]),
  );
}

/** A default that is no string reads as Python's `str` made it: 8081, True, None. */
function pythonText(value: unknown, where: string): string {
  if (typeof value === 'string') return value;
  if (value === null) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'number' && (Number.isSafeInteger(value) || !Number.isInteger(value)))
    return String(value);
  throw new AtomicError('exports-invalid', `${where} is not a text, a number, true or false`, {
    hint: 'Write it as a string.',
  });
}

function readFlag(document: JsonRecord, key: string, otherwise: boolean, what: string): boolean {
  const value = document[key] ?? otherwise;
  if (typeof value === 'boolean') return value;
  throw new AtomicError('exports-invalid', `${what}, ${key}, is neither true nor false`);
}
