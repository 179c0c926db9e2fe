import { AtomicError, isAtomicError } from '../errors.ts';
import { escapeLine } from '../escape.ts';
import type { Exec, RunResult } from '../host/ports.ts';
import { isRecord, type JsonRecord } from '../image/json.ts';
import { CREDENTIAL_HELPER_BYTES, CREDENTIAL_HELPER_MS } from '../limits.ts';
import { isIdentityToken, type Credentials } from './credentials.ts';

/** What runs a helper. */
export interface HelperContext {
  readonly exec: Pick<Exec, 'run'>;
  readonly signal?: AbortSignal | undefined;
}

/** The user name that says that the secret is an identity token. */
const TOKEN_USER = '<token>';
/** Docker Hub, as Docker calls it since there was nothing else. */
const DOCKER_HUB_SERVER = 'https://index.docker.io/v1/';
const NOT_FOUND = /credentials not found/i;
const EVERY_STATUS: readonly number[] = Array.from({ length: 256 }, (_, status) => status);
const SHOWN_CHARACTERS = 200;

/**
 * What `docker-credential-NAME` keeps for a registry; undefined when that is nothing.
 * @throws AtomicError `tool-missing`; `config-invalid` when it fails or answers something else; `interrupted`
 * @see github.com/docker/docker-credential-helpers, "Development"
 */
export async function getFromHelper(
  name: string,
  domain: string,
  context: HelperContext,
): Promise<Credentials | undefined> {
  for (const server of domain === 'docker.io' ? [domain, DOCKER_HUB_SERVER] : [domain]) {
    const { exitCode, stdout, stderr } = await runHelper(name, 'get', server, context);
    if (exitCode === 0) return readAnswer(stdout, name, domain);
    if (!NOT_FOUND.test(`${stdout}${stderr}`)) throw helperFailed(name, 'get', domain, stdout || stderr);
  }
  return undefined;
}

/** Its program. */
export function nameHelper(name: string): string {
  return `docker-credential-${name}`;
}

/** Has a helper keep credentials. @throws as getFromHelper */
export async function storeInHelper(
  name: string,
  domain: string,
  credentials: Credentials,
  context: HelperContext,
): Promise<void> {
  const [Username, Secret] = isIdentityToken(credentials)
    ? [TOKEN_USER, credentials.identityToken]
    : [credentials.username, credentials.password];
  const input = JSON.stringify({ ServerURL: domain, Username, Secret });
  const { exitCode, stdout, stderr } = await runHelper(name, 'store', input, context);
  if (exitCode === 0) return;
  // What it was given may come back in what it says.
  const said = stdout || stderr;
  throw helperFailed(
    name,
    'store',
    domain,
    [Secret, input].some((secret) => said.includes(secret)) ? '' : said,
  );
}

/** Has a helper forget; false when it knew nothing. @throws as getFromHelper */
export async function eraseFromHelper(
  name: string,
  domain: string,
  context: HelperContext,
): Promise<boolean> {
  if ((await getFromHelper(name, domain, context)) === undefined) return false;
  const { exitCode, stdout, stderr } = await runHelper(name, 'erase', domain, context);
  if (exitCode !== 0 && !NOT_FOUND.test(`${stdout}${stderr}`))
    throw helperFailed(name, 'erase', domain, stdout || stderr);
  return exitCode === 0;
}

async function runHelper(
  name: string,
  action: 'get' | 'store' | 'erase',
  input: string,
  { exec, signal }: HelperContext,
): Promise<RunResult> {
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]*$/.test(name)) {
    throw new AtomicError('config-invalid', `"${escapeLine(name)}" is no name of a credential helper`, {
      hint: 'It is what follows docker-credential- in the name of the program.',
    });
  }
  const program = nameHelper(name);
  try {
    return await exec.run(program, [action], {
      input,
      accept: EVERY_STATUS,
      timeoutMs: CREDENTIAL_HELPER_MS,
      outputBytes: CREDENTIAL_HELPER_BYTES,
      ...(signal === undefined ? {} : { signal }),
    });
  } catch (error) {
    if (isAtomicError(error, 'tool-missing')) {
      throw new AtomicError('tool-missing', `The credential helper ${program} is not installed`, {
        hint: 'It is named by credHelpers or credsStore of an auth file, or by credential-helpers in registries.conf.',
      });
    }
    if (!isAtomicError(error, 'command-failed')) throw error;
    // Not kept as cause: what a program said when it was killed may be anything.
    const isLate = error.message.includes('did not end within');
    throw wentWrong(
      name,
      `${action} ${isLate ? `took over ${CREDENTIAL_HELPER_MS / 1000} seconds` : 'was ended'}`,
    );
  }
}

function helperFailed(name: string, action: string, domain: string, said: string): AtomicError {
  // An answer beside a bad exit status is JSON with a secret in it.
  const told = said.includes('{') ? '' : said;
  const line = escapeLine((told.trim().split('\n', 1)[0] ?? '').slice(0, SHOWN_CHARACTERS));
  const found = line === '' ? '' : ` ("${line}")`;
  return wentWrong(name, `${action} failed for ${domain}${found}`);
}

function wentWrong(name: string, found: string): AtomicError {
  return new AtomicError('config-invalid', `docker-credential-${name} ${found}`, {
    hint: `Try it by hand: echo HOST | docker-credential-${name} get`,
  });
}

/** Its JSON is never quoted: it holds the secret. */
function readAnswer(stdout: string, name: string, domain: string): Credentials | undefined {
  const { Username: username, Secret: secret } = parseAnswer(stdout);
  if (typeof username !== 'string' || typeof secret !== 'string') {
    throw wentWrong(name, `get answered for ${domain} what are no credentials`);
  }
  if (username === TOKEN_USER) return { identityToken: secret };
  return username === '' ? undefined : { username, password: secret };
}

function parseAnswer(stdout: string): JsonRecord {
  try {
    const document: unknown = JSON.parse(stdout);
    return isRecord(document) ? document : {};
  } catch {
    return {};
  }
}
