/** Credentials of registries: checked, kept in the user's auth file or by a credential helper, and forgotten again. */
import { dirname } from 'node:path';
import {
  formatAuthDocument,
  helperOf,
  parseAuthDocument,
  withEntry,
  withoutEntry,
  type AuthDocument,
} from '../config/auth-document.ts';
import {
  authFiles,
  findCredentials,
  isIdentityToken,
  nameAuthFile,
  type Credentials,
  type UserPassword,
} from '../config/auth-file.ts';
import { eraseFromHelper, storeInHelper } from '../config/credential-helper.ts';
import { readConfigFile } from '../config/read-file.ts';
import { AUTH_FILE_HELPER, readRegistriesConf } from '../config/registries-conf/index.ts';
import { AtomicError, isAtomicError } from '../errors.ts';
import type { LoginApp } from './context.ts';
import type { LoginTarget } from './login-target.ts';
import { openOptions, type RegistryAccess } from './pull-image.ts';

/** Which credentials there are already; undefined when there are none. */
export async function findLogin(
  app: LoginApp,
  { domain, namespace }: LoginTarget,
  { authFile }: RegistryAccess,
): Promise<Credentials | undefined> {
  // One that is named may still have to be made.
  if (authFile !== undefined && !(await app.files.exists(authFile))) return undefined;
  const { exec, environment, signal } = app;
  const named = authFile === undefined ? {} : { authFile };
  return findCredentials({ domain, repository: namespace, environment, exec, signal, ...named });
}

/** @throws AtomicError `unauthorized` when the registry does not take them; others as a pull has them */
export async function checkLogin(
  app: LoginApp,
  { domain }: LoginTarget,
  credentials: Credentials,
  access: RegistryAccess,
): Promise<void> {
  const { checkCredentials } = await import('../transport/registry/index.ts');
  await checkCredentials(domain, credentials, openOptions(app, access));
}

/**
 * Keeps credentials for a registry, where the user's configuration says.
 * @returns that place, for people
 * @throws AtomicError of the file; `unsupported` for a namespace where a helper keeps what is of whole registries
 */
export async function keepLogin(
  app: LoginApp,
  target: LoginTarget,
  credentials: UserPassword,
  authFile: string | undefined,
): Promise<string> {
  const { credentialHelpers } = await readRegistriesConf(app.environment);
  const first = credentialHelpers[0] ?? AUTH_FILE_HELPER;
  if (first !== AUTH_FILE_HELPER) return keepInHelper(app, first, target, credentials);
  const path = primaryFile(app, authFile);
  let place = path;
  await changeAuthFile(app, path, async (document) => {
    const helper = helperOf(document, target.domain) ?? document.credsStore;
    if (helper === undefined) return withEntry(document, target.key, credentials);
    place = await keepInHelper(app, helper, target, credentials);
    return document;
  });
  return place;
}

async function keepInHelper(
  app: LoginApp,
  helper: string,
  { domain, namespace, key }: LoginTarget,
  credentials: UserPassword,
): Promise<string> {
  const program = `docker-credential-${helper}`;
  if (namespace !== '') {
    throw new AtomicError(
      'unsupported',
      `${program} keeps no credentials for ${key}: only for whole registries`,
      {
        hint: `Log in to ${domain}, or give an --authfile that names no credential helper.`,
      },
    );
  }
  await storeInHelper(helper, domain, credentials, app);
  return program;
}

/**
 * Forgets the credentials for a registry, or a namespace of it, in the user's own auth file and all helpers.
 * @throws AtomicError `unauthorized` when there were none
 */
export async function forgetLogin(
  app: LoginApp,
  target: LoginTarget,
  authFile: string | undefined,
): Promise<void> {
  const { credentialHelpers } = await readRegistriesConf(app.environment);
  let wasThere = false;
  const erase = async (helper: string): Promise<void> => {
    if (target.namespace !== '') return;
    wasThere = (await eraseFromHelper(helper, target.domain, app)) || wasThere;
  };
  for (const helper of credentialHelpers) {
    if (helper !== AUTH_FILE_HELPER) await erase(helper);
    else {
      await changeAuthFile(app, primaryFile(app, authFile), async (document) => {
        const keeper = helperOf(document, target.domain) ?? document.credsStore;
        if (keeper !== undefined) await erase(keeper);
        const changed = withoutEntry(document, target.key);
        wasThere ||= changed !== document;
        return changed;
      });
    }
  }
  if (!wasThere) throw await notLoggedIn(app, target, authFile);
}

/** Forgets all credentials of the user's own auth file, those included that helpers keep for registries it names. */
export async function forgetAllLogins(app: LoginApp, authFile: string | undefined): Promise<void> {
  await changeAuthFile(app, primaryFile(app, authFile), async (document) => {
    for (const domain of Object.keys(document.credHelpers)) {
      const helper = helperOf(document, domain);
      if (helper !== undefined) await eraseFromHelper(helper, domain, app);
    }
    if (document.credsStore !== undefined) {
      for (const key of Object.keys(document.auths)) await eraseFromHelper(document.credsStore, key, app);
    }
    return { ...document, auths: {} };
  });
}

/** @throws AtomicError `unauthorized`; it says where else there are credentials */
async function notLoggedIn(
  app: LoginApp,
  target: LoginTarget,
  authFile: string | undefined,
): Promise<AtomicError> {
  const elsewhere = await findLogin(app, target, authFile === undefined ? {} : { authFile });
  const hint = 'Another tool or a namespace above it has credentials: log out there, or name its --authfile.';
  return new AtomicError(
    'unauthorized',
    `Not logged into ${target.key}`,
    elsewhere === undefined ? {} : { hint },
  );
}

/** The user's name at a registry. @throws AtomicError `unauthorized` when there is none */
export function nameOfLogin(target: LoginTarget, credentials: Credentials | undefined): string {
  if (credentials === undefined) throw new AtomicError('unauthorized', `Not logged into ${target.key}`);
  return isIdentityToken(credentials) ? '<token>' : credentials.username;
}

/** The file that logins are written to. */
function primaryFile({ environment }: LoginApp, authFile: string | undefined): string {
  const [path] = authFiles({ environment, ...(authFile === undefined ? {} : { authFile }) });
  if (path === undefined) throw new Error('containers-auth.json(5) has a primary file');
  return path;
}

/**
 * Changes an auth file in one step, alone: two logins at a time lose nothing of each other. It and its folder are for
 * the user only. A link stays, and what it points to is changed.
 */
async function changeAuthFile(
  { files, locks, lockWaitMs, signal }: LoginApp,
  given: string,
  change: (document: AuthDocument) => Promise<AuthDocument>,
): Promise<void> {
  const path = await prepareFile(given, files);
  const purpose = `change ${nameAuthFile(path)}`;
  const lock = await locks.acquire({
    path: `${path}.lock`,
    mode: 'exclusive',
    purpose,
    waitMs: lockWaitMs,
    signal,
    passing: true,
  });
  try {
    const what = nameAuthFile(path);
    const before = parseAuthDocument((await readConfigFile(path, what)) ?? Buffer.from('{}'), what);
    const after = await change(before);
    if (after !== before) await files.writeFileAtomic(path, formatAuthDocument(after), 0o600);
  } finally {
    await lock.release();
  }
}

async function prepareFile(given: string, files: LoginApp['files']): Promise<string> {
  try {
    const path = (await files.exists(given)) ? await files.realpath(given) : given;
    await files.makeDirectory(dirname(path), 0o700);
    return path;
  } catch (error) {
    if (!isAtomicError(error, 'not-root')) throw error;
    throw new AtomicError('not-root', error.message, {
      hint: 'Say where with --authfile: outside of a session, which has XDG_RUNTIME_DIR, the usual place is root’s.',
      cause: error,
    });
  }
}
