import { AtomicError, messageOf } from '../errors.ts';
import { isRecord } from '../image/json.ts';
import { CONFIG_FILE_BYTES, parseLimit, type LimitValues } from '../limits.ts';

/** What we know of atomic.conf; a key that is absent, empty or null is undefined. */
export interface AtomicConf {
  readonly ostreeRepository: string | undefined;
  readonly checkoutPath: string | undefined;
  readonly runtime: string | undefined;
  readonly defaultStorage: string | undefined;
  readonly httpProxy: string | undefined;
  readonly httpsProxy: string | undefined;
  readonly noProxy: string | undefined;
  /** `limits:`, a mapping of names to values. */
  readonly limits: LimitValues;
}

export const DEFAULT_CONF_PATH = '/etc/atomic.conf';

/** Reads a whole file of at most `cap` bytes; undefined when there is none. */
export type ReadFile = (path: string, cap: number) => Promise<Uint8Array | undefined>;

/**
 * Reads atomic.conf (YAML; the parser is loaded only when there is a file): ATOMIC_CONF, or /etc/atomic.conf, which
 * may be missing. Keys that we do not know are atomic's, and ignored.
 * @throws AtomicError `config-invalid`, `limit-exceeded`
 */
export async function readAtomicConf(
  environment: Readonly<Record<string, string | undefined>>,
  readFile: ReadFile,
): Promise<AtomicConf> {
  const named = environment['ATOMIC_CONF'] ?? '';
  const path = named === '' ? DEFAULT_CONF_PATH : named;
  const bytes = await readFile(path, CONFIG_FILE_BYTES);
  if (bytes === undefined && named !== '') {
    throw new AtomicError('config-invalid', `ATOMIC_CONF names ${path}, and there is no such file`);
  }
  return parseAtomicConf(bytes === undefined ? undefined : await parseYaml(bytes, path), path);
}

async function parseYaml(bytes: Uint8Array, path: string): Promise<unknown> {
  const { parse } = await import('./yaml.ts');
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    // Duplicate keys: the last one counts, as in the parser that atomic used.
    return parse(text, { uniqueKeys: false, logLevel: 'error' });
  } catch (error) {
    throw new AtomicError('config-invalid', `${path} is not valid YAML: ${firstLine(messageOf(error))}`, {
      cause: error,
    });
  }
}

/** Picks our keys out of a parsed document; an empty document is an empty configuration. */
export function parseAtomicConf(document: unknown, path: string): AtomicConf {
  const keys = document ?? {};
  if (!isRecord(keys)) throw new AtomicError('config-invalid', `${path} is not a list of "key: value" lines`);
  const text = (key: string): string | undefined => {
    const value = keys[key];
    if (value === undefined || value === null || value === '') return undefined;
    if (typeof value === 'string') return value;
    throw new AtomicError('config-invalid', `${path} has a value for ${key} that is no text`, {
      hint: `Write it as ${key}: "VALUE".`,
    });
  };
  return {
    ostreeRepository: text('ostree_repository'),
    checkoutPath: text('checkout_path'),
    runtime: text('runtime'),
    defaultStorage: text('default_storage'),
    httpProxy: text('http_proxy'),
    httpsProxy: text('https_proxy'),
    noProxy: text('no_proxy'),
    limits: parseLimits(keys['limits'] ?? {}, path),
  };
}

/** A value may be written as a number (`layers: 600`) or as text (`layer-size: 100G`). */
function parseLimits(limits: unknown, path: string): LimitValues {
  const where = `limits in ${path}`;
  if (!isRecord(limits)) {
    throw new AtomicError('config-invalid', `${where} are no mapping of names to values`, {
      hint: 'Write each on a line of its own, indented: "  layer-size: 100G".',
    });
  }
  const values = Object.entries(limits).map(([name, value]) =>
    parseLimit(
      name,
      typeof value === 'string' ? value : (JSON.stringify(value) ?? ''),
      where,
      'config-invalid',
    ),
  );
  return Object.assign({}, ...values) as LimitValues;
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? '';
}
