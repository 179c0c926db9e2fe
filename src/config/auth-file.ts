import { userInfo } from 'node:os';
import { join } from 'node:path';
import { AtomicError } from '../errors.ts';
import { isRecord, parseJson, type JsonRecord } from '../image/json.ts';
import { readConfigFile } from './read-file.ts';

/** A user name and password for a registry. Never shown, never part of an error. */
export interface Credentials {
  readonly username: string;
  readonly password: string;
}

export interface AuthFileQuery {
  /** Registry host and port, as in an image's name: `docker.io`. */
  readonly domain: string;
  /** Path of the image in it. */
  readonly repository: string;
  /** Read instead of the usual files; it has to exist. */
  readonly authFile?: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/**
 * The credentials that the user's files hold for an image; undefined when none does. Credential helpers are not run.
 * @throws AtomicError `config-invalid` for a file that is no auth file, or when `authFile` is missing
 * @see containers-auth.json(5)
 */
export async function findCredentials(query: AuthFileQuery): Promise<Credentials | undefined> {
  for (const path of authFiles(query)) {
    const what = `the credentials file ${path}`;
    const bytes = await readConfigFile(path, what);
    if (bytes === undefined) {
      if (path === query.authFile) throw new AtomicError('config-invalid', `${what} does not exist`);
      continue;
    }
    const credentials = chooseCredentials(parseAuths(bytes, what), query, what);
    if (credentials !== undefined) return credentials;
  }
  return undefined;
}

/** The files that are asked, in this order; one named by the caller or by REGISTRY_AUTH_FILE stands alone. */
export function authFiles({
  authFile,
  environment,
}: Pick<AuthFileQuery, 'authFile' | 'environment'>): string[] {
  const named = authFile ?? nonEmpty(environment['REGISTRY_AUTH_FILE']);
  if (named !== undefined) return [named];
  // `podman login` of a root without a session writes below /run/containers.
  const runtime = nonEmpty(environment['XDG_RUNTIME_DIR']);
  const primary =
    runtime === undefined
      ? `/run/containers/${userInfo().uid}/auth.json`
      : join(runtime, 'containers/auth.json');
  const home = nonEmpty(environment['HOME']);
  const config = nonEmpty(environment['XDG_CONFIG_HOME']) ?? (home && join(home, '.config'));
  return [
    primary,
    ...(config === undefined ? [] : [join(config, 'containers/auth.json')]),
    ...(home === undefined ? [] : [join(home, '.docker/config.json')]),
  ];
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}

function parseAuths(bytes: Uint8Array, what: string): JsonRecord {
  let document: unknown;
  try {
    document = parseJson(bytes, what, 'config-invalid');
  } catch {
    // The parser quotes what it stumbled over, and that may be a password.
    throw new AtomicError('config-invalid', `${what} is not valid JSON`);
  }
  if (!isRecord(document)) throw new AtomicError('config-invalid', `${what} is not a JSON object`);
  const auths = document['auths'] ?? {};
  if (!isRecord(auths)) throw new AtomicError('config-invalid', `${what} has auths that are not an object`);
  return auths;
}

/** The entry for the longest part of the name; then one whose key is Docker's old URL of the registry. */
function chooseCredentials(
  auths: JsonRecord,
  { domain, repository }: AuthFileQuery,
  what: string,
): Credentials | undefined {
  const parts = repository.split('/');
  const namespaces = parts.map((_, i) => [domain, ...parts.slice(0, parts.length - i)].join('/'));
  const legacy = Object.keys(auths).filter((key) => hostOfLegacyKey(key) === domain);
  for (const key of [...namespaces, domain, ...legacy]) {
    const entry = Object.hasOwn(auths, key) ? auths[key] : undefined;
    const credentials = readEntry(entry, `${what}, entry ${JSON.stringify(key)},`);
    if (credentials !== undefined) return credentials;
  }
  return undefined;
}

/** `https://index.docker.io/v1/` is docker.io; other keys of old `docker login`s are `https://HOST[/v1/]`. */
function hostOfLegacyKey(key: string): string | undefined {
  const host = /^(?:https?:\/\/)?([^/]+)(?:\/v[12]\/?|\/)?$/.exec(key)?.[1];
  return host === 'index.docker.io' ? 'docker.io' : host;
}

/** An entry without `auth` is what `docker login` leaves beside a credential helper. */
function readEntry(entry: unknown, where: string): Credentials | undefined {
  const auth = isRecord(entry) ? entry['auth'] : undefined;
  if (typeof auth !== 'string' || auth === '') return undefined;
  const decoded = Buffer.from(auth, 'base64').toString('utf8');
  const colon = decoded.indexOf(':');
  if (colon < 1) {
    throw new AtomicError('config-invalid', `${where} has an auth that is not base64 of USER:PASSWORD`);
  }
  // Docker pads with NUL bytes.
  return { username: decoded.slice(0, colon), password: decoded.slice(colon + 1).replace(/\0+$/, '') };
}
