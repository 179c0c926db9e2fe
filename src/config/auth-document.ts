import { AtomicError } from '../errors.ts';
import { isRecord, parseJson, type JsonRecord } from '../image/json.ts';
import { isIdentityToken, type Credentials } from './credentials.ts';

/** An auth file as it was read: keys that are not ours are kept when it is written again. */
export interface AuthDocument {
  readonly fields: JsonRecord;
  readonly auths: JsonRecord;
  readonly credHelpers: JsonRecord;
  /** The helper that keeps the credentials of all registries. */
  readonly credsStore: string | undefined;
}

/** @throws AtomicError `config-invalid`, which quotes nothing: it may be a password */
export function parseAuthDocument(bytes: Uint8Array, what: string): AuthDocument {
  let fields: unknown;
  try {
    fields = parseJson(bytes, what, 'config-invalid');
  } catch {
    throw invalid(`${what} is not valid JSON`);
  }
  if (!isRecord(fields)) throw invalid(`${what} is not a JSON object`);
  const record = (key: string): JsonRecord => {
    const value = fields[key] ?? {};
    if (isRecord(value)) return value;
    throw invalid(`${what} has ${key} that are not an object`);
  };
  const credsStore = fields['credsStore'] ?? '';
  if (typeof credsStore !== 'string') throw invalid(`${what} has a credsStore that is no text`);
  return {
    fields,
    auths: record('auths'),
    credHelpers: record('credHelpers'),
    credsStore: credsStore === '' ? undefined : credsStore,
  };
}

/**
 * The helper that keeps a registry's credentials; then the file's own entries do not count.
 * @see containers-auth.json(5)
 */
export function helperOf({ credHelpers }: AuthDocument, domain: string): string | undefined {
  const key = [domain, ...legacyKeys(credHelpers, domain)].find((name) => Object.hasOwn(credHelpers, name));
  const helper = key === undefined ? undefined : credHelpers[key];
  return typeof helper === 'string' && helper !== '' ? helper : undefined;
}

/**
 * The entry for the longest part of a name; then one whose key is Docker's old URL of the registry.
 * @param repository empty for the registry as a whole
 * @throws AtomicError `config-invalid` for an entry that holds something else
 */
export function chooseCredentials(
  { auths }: AuthDocument,
  domain: string,
  repository: string,
  what: string,
): Credentials | undefined {
  const parts = repository === '' ? [] : repository.split('/');
  const namespaces = parts.map((_, i) => [domain, ...parts.slice(0, parts.length - i)].join('/'));
  for (const key of [...namespaces, domain, ...legacyKeys(auths, domain)]) {
    const entry = Object.hasOwn(auths, key) ? auths[key] : undefined;
    const credentials = readEntry(entry, `${what}, entry ${JSON.stringify(key)},`);
    if (credentials !== undefined) return credentials;
  }
  return undefined;
}

/** The document with an entry of `key`, in place of what Docker calls the same registry. */
export function withEntry(document: AuthDocument, key: string, credentials: Credentials): AuthDocument {
  const { auths } = withoutEntry(document, key);
  const auth = isIdentityToken(credentials)
    ? { auth: encode('<token>', ''), identitytoken: credentials.identityToken }
    : { auth: encode(credentials.username, credentials.password) };
  return { ...document, auths: { ...auths, [key]: auth } };
}

/** The document without an entry of `key`; its `auths` are the same object when there was none. */
export function withoutEntry(document: AuthDocument, key: string): AuthDocument {
  const { auths } = document;
  const gone = [key, ...legacyKeys(auths, key)].filter((name) => Object.hasOwn(auths, name));
  if (gone.length === 0) return document;
  return {
    ...document,
    auths: Object.fromEntries(Object.entries(auths).filter(([name]) => !gone.includes(name))),
  };
}

/** As it is written; like Docker and podman, indented by tabs. */
export function formatAuthDocument({ fields, auths }: AuthDocument): string {
  return `${JSON.stringify({ ...fields, auths }, undefined, '\t')}\n`;
}

function legacyKeys(record: JsonRecord, domain: string): string[] {
  return Object.keys(record).filter((key) => key !== domain && hostOfLegacyKey(key) === domain);
}

/** `https://index.docker.io/v1/` is docker.io; other keys of old `docker login`s are `https://HOST[/v1/]`. */
function hostOfLegacyKey(key: string): string | undefined {
  const host = /^(?:https?:\/\/)?([^/]+)(?:\/v[12]\/?|\/)?$/.exec(key)?.[1];
  return host === 'index.docker.io' ? 'docker.io' : host;
}

/** An entry without `auth` is what `docker login` leaves beside a credential helper. */
function readEntry(entry: unknown, where: string): Credentials | undefined {
  if (!isRecord(entry)) return undefined;
  const { auth, identitytoken: identityToken } = entry;
  if (typeof identityToken === 'string' && identityToken !== '') return { identityToken };
  if (typeof auth !== 'string' || auth === '') return undefined;
  const decoded = Buffer.from(auth, 'base64').toString('utf8');
  const colon = decoded.indexOf(':');
  if (colon < 1) {
    throw invalid(`${where} has an auth that is not base64 of USER:PASSWORD`);
  }
  // Docker pads with NUL bytes.
  return { username: decoded.slice(0, colon), password: decoded.slice(colon + 1).replace(/\0+$/, '') };
}

function encode(username: string, password: string): string {
  return Buffer.from(`${username}:${password}`, 'utf8').toString('base64');
}

function invalid(sentence: string): AtomicError {
  return new AtomicError('config-invalid', sentence, {
    hint: 'What it may hold is in containers-auth.json(5); `atomic-ts login` writes it.',
  });
}
