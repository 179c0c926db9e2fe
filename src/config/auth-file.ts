import { join } from 'node:path';
import { AtomicError, systemCodeOf } from '../errors.ts';
import { chooseCredentials, helperOf, parseAuthDocument, type AuthDocument } from './auth-document.ts';
import { getFromHelper, nameHelper, type HelperContext } from './credential-helper.ts';
import type { Credentials } from './credentials.ts';
import { readConfigFile } from './read-file.ts';
import { AUTH_FILE_HELPER, readRegistriesConf, type RegistriesConf } from './registries-conf/index.ts';
import { userConfigFolder, variableOf, type Environment } from './user-folders.ts';

export { isIdentityToken, type Credentials, type IdentityToken, type UserPassword } from './credentials.ts';

export interface AuthFileQuery {
  /** Registry host and port, as in an image's name: `docker.io`. */
  readonly domain: string;
  /** Path of the image in it; empty for the registry as a whole. */
  readonly repository: string;
  /** Read instead of the usual files; it has to exist. */
  readonly authFile?: string;
  /** Asks nobody. */
  readonly anonymous?: boolean;
  readonly environment: Environment;
  /** The host's registries.conf, where somebody has read it already. */
  readonly registries?: (() => Promise<RegistriesConf>) | undefined;
  /** Runs credential helpers; where it is not given, none is asked. */
  readonly exec?: HelperContext['exec'] | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The credentials that the user's files and credential helpers hold for an image; undefined when none does. Helpers
 * know whole registries only. The order is that of `credential-helpers` in registries.conf: the auth files, when there
 * is none. In a file, `credHelpers` stands for the entries of its registry, and `credsStore` comes before the others.
 * @throws AtomicError `config-invalid` for a file that is no auth file, when `authFile` is missing or a helper fails;
 * `tool-missing` for a helper that is not installed
 * @see containers-auth.json(5), containers-registries.conf(5)
 */
export async function findCredentials(query: AuthFileQuery): Promise<Credentials | undefined> {
  return (await searchCredentials(query)).found;
}

/** What a search for credentials came to. Places are files, and the programs of helpers. */
export interface CredentialSearch {
  readonly found: Credentials | undefined;
  /** In their order; where something was found, it was in the last one. */
  readonly lookedIn: readonly string[];
}

/** The same with the places, for an error. @throws as findCredentials */
export async function searchCredentials(query: AuthFileQuery): Promise<CredentialSearch> {
  if (query.anonymous === true) return { found: undefined, lookedIn: [] };
  const { registries = () => readRegistriesConf(query.environment) } = query;
  const { credentialHelpers } = await registries();
  const lookedIn: string[] = [];
  for (const helper of credentialHelpers) {
    if (helper !== AUTH_FILE_HELPER) lookedIn.push(nameHelper(helper));
    const found =
      helper === AUTH_FILE_HELPER ? await findInFiles(query, lookedIn) : await askHelper(helper, query);
    if (found !== undefined) return { found, lookedIn };
  }
  return { found: undefined, lookedIn };
}

async function findInFiles(query: AuthFileQuery, lookedIn: string[]): Promise<Credentials | undefined> {
  for (const path of authFiles(query)) {
    lookedIn.push(path);
    const what = nameAuthFile(path);
    const bytes = await readConfigFile(path, what).catch((error: unknown) => {
      // What root has closed has nothing that this user has ever written.
      if (path !== rootsAuthFile() || systemCodeOf((error as Error).cause) !== 'EACCES') throw error;
      return undefined;
    });
    if (bytes === undefined) {
      if (path === query.authFile) {
        throw new AtomicError('config-invalid', `${what} does not exist`, {
          hint: 'Make it with `atomic-ts login --authfile`, or name another one.',
        });
      }
      continue;
    }
    const credentials = await findInDocument(parseAuthDocument(bytes, what), query, what);
    if (credentials !== undefined) return credentials;
  }
  return undefined;
}

async function findInDocument(
  document: AuthDocument,
  query: AuthFileQuery,
  what: string,
): Promise<Credentials | undefined> {
  const { domain, repository } = query;
  const helper = helperOf(document, domain);
  if (helper !== undefined) return askHelper(helper, query);
  const stored = document.credsStore === undefined ? undefined : await askHelper(document.credsStore, query);
  return stored ?? chooseCredentials(document, domain, repository, what);
}

async function askHelper(
  name: string,
  { domain, exec, signal }: AuthFileQuery,
): Promise<Credentials | undefined> {
  return exec === undefined ? undefined : getFromHelper(name, domain, { exec, signal });
}

/** The files that are asked, in this order; one named by the caller or by REGISTRY_AUTH_FILE stands alone. */
export function authFiles({
  authFile,
  environment,
}: Pick<AuthFileQuery, 'authFile' | 'environment'>): string[] {
  const named = authFile ?? variableOf(environment, 'REGISTRY_AUTH_FILE');
  if (named !== undefined) return [named];
  const runtime = variableOf(environment, 'XDG_RUNTIME_DIR');
  const primary = runtime === undefined ? rootsAuthFile() : join(runtime, 'containers/auth.json');
  const config = userConfigFolder(environment);
  const home = variableOf(environment, 'HOME');
  const docker = variableOf(environment, 'DOCKER_CONFIG') ?? (home && join(home, '.docker'));
  return [
    primary,
    ...(config === undefined ? [] : [join(config, 'containers/auth.json')]),
    ...(docker === undefined ? [] : [join(docker, 'config.json')]),
  ];
}

/** Where `podman login` writes without a session: a folder that is root's. */
function rootsAuthFile(): string {
  // Not os.userInfo(): a user of a container may have no name.
  return `/run/containers/${process.getuid?.() ?? 0}/auth.json`;
}

/** For the errors. */
export function nameAuthFile(path: string): string {
  return `the credentials file ${path}`;
}
