import { STATUS_CODES } from 'node:http';
import { AtomicError, isAtomicError, type ErrorCode } from '../../errors.ts';
import { isRecord } from '../../image/json.ts';
import { ConnectionFailure, isTlsFailure, isWithoutTls, StatusFailure } from './failure.ts';
import { readRetryAfter } from './retry.ts';
import { showForeign, showUrl } from './text.ts';

/** What was being done when it failed. */
export interface Task {
  /** Completes "Cannot …", naming registry, repository and tag: `read the manifest of localhost:5000/app:1`. */
  readonly text: string;
  readonly kind: 'manifest' | 'blob' | 'upload' | 'manifest-upload' | 'token' | 'list' | 'registry';
  /** The registry, as in an image's name. */
  readonly domain: string;
  readonly signal: AbortSignal | undefined;
  /** Undefined while nobody has asked for any. */
  readonly shown?: ShownCredentials | undefined;
  /** The file that the user named for them. */
  readonly authFile?: string | undefined;
}

/** What a registry was shown of who we are, by the place that it is from; or where there was nothing for it. */
export type ShownCredentials = { readonly from: string } | { readonly lookedIn: readonly string[] };

/**
 * Anything thrown on the way, as the error that the caller sees. Errors that are ours already pass unchanged.
 * Never holds credentials: URLs come without query, and what the server says is cut and escaped.
 */
export function explain(error: unknown, task: Task): unknown {
  if (task.signal?.aborted === true) {
    // Whoever gave the signal said why, and the exit status depends on it.
    if (isAtomicError(task.signal.reason)) return task.signal.reason;
    return new AtomicError('interrupted', `Interrupted while trying to ${task.text}`, { cause: error });
  }
  if (error instanceof StatusFailure) return explainStatus(error, task);
  if (error instanceof ConnectionFailure) return explainConnection(error, task);
  return error;
}

/** What to do about certificates that no authority mends. */
const CERTIFICATE_HINTS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED:
    'Have the certificate of the registry renewed; if it is not that old, set the clock of this machine.',
  CERT_NOT_YET_VALID: 'Set the clock of this machine; if it is right, ask those who run the registry.',
  ERR_TLS_CERT_ALTNAME_INVALID: 'Use the name of the registry that its certificate is made for.',
};

function explainConnection(error: ConnectionFailure, { text, domain }: Task): AtomicError {
  const { host } = error.url;
  const found = showForeign(error.message);
  if (error.url.protocol === 'https:' && isTlsFailure(error)) {
    const without = isWithoutTls(error);
    return new AtomicError(
      'tls',
      without
        ? `Cannot ${text}: ${host} does not speak TLS`
        : `Cannot ${text}: TLS with ${host} failed (${found})`,
      {
        cause: error,
        hint: without
          ? 'If it is meant to be a registry over plain HTTP, give --tls-verify=false, or write the image as http:IMAGE.'
          : (CERTIFICATE_HINTS[error.code ?? ''] ??
            `A private authority belongs into /etc/containers/certs.d/${domain}/ca.crt, or the folder of --cert-dir.`),
      },
    );
  }
  return new AtomicError('registry-unreachable', `Cannot ${text}: no answer from ${host} (${found})`, {
    cause: error,
    hint: 'Check the name of the registry, the network and the proxy variables, and try again.',
  });
}

function explainStatus(error: StatusFailure, task: Task): AtomicError {
  const told = readRegistryErrors(error.body);
  const says = told.message === '' ? '' : ` ("${told.message}")`;
  const fail = (code: ErrorCode, found: string, hint?: string): AtomicError =>
    new AtomicError(code, `Cannot ${task.text}: ${found}${says}`, { cause: error, ...(hint && { hint }) });
  const { host } = error.url;
  if (task.kind === 'manifest-upload' && isManifestRefusal(error.status, told.code)) {
    return fail('manifest-refused', `${host} does not take a manifest of this kind`);
  }
  switch (error.status) {
    case 401:
      return fail('unauthorized', explainUnauthorized(error, task), loginHint(task));
    case 403:
      return fail('denied', `${host} does not allow it${withCredentials(task)}`, loginHint(task));
    case 404:
      return explainMissing(task, told.code, host, fail);
    case 405:
      return fail('unsupported', `${host} does not do that`);
    case 429: {
      const wait = readRetryAfter(error.headers['retry-after'], Date.now());
      const asked = wait === undefined ? '' : ` for the next ${Math.ceil(wait / 1000)} seconds`;
      const hint = `Try again later; after \`atomic-ts login ${task.domain}\` the limit may be higher.`;
      return fail('rate-limited', `${host} allows no more requests${asked}`, hint);
    }
    default:
      return fail(
        'registry-error',
        `${showUrl(error.url)} answered ${`${error.status} ${STATUS_CODES[error.status] ?? ''}`.trim()}`,
        // Go's servers say so.
        /HTTP request to an HTTPS server/.test(error.body)
          ? `${host} speaks TLS: write the image as docker://…`
          : undefined,
      );
  }
}

/**
 * Registries that do not know a type of manifest say so in several ways.
 * @see containers/image, `isManifestInvalidError`
 */
function isManifestRefusal(status: number, code: string): boolean {
  if (status === 415) return true;
  return (
    [400, 405, 422].includes(status) && ['MANIFEST_INVALID', 'TAG_INVALID', 'UNSUPPORTED'].includes(code)
  );
}

function explainMissing(
  task: Task,
  code: string,
  host: string,
  fail: (code: ErrorCode, found: string, hint?: string) => AtomicError,
): AtomicError {
  const isOfRepository =
    ['upload', 'list'].includes(task.kind) || (task.kind === 'manifest-upload' && code === '');
  if (code === 'NAME_UNKNOWN' || isOfRepository) {
    return fail('image-not-found', `${host} has no such repository`, 'Check the name of the image.');
  }
  if (task.kind === 'manifest') {
    const hint = 'Check the name and the tag of the image; `atomic-ts list-tags` shows those there are.';
    return fail('manifest-unknown', `${host} has no such image`, hint);
  }
  if (task.kind === 'registry') {
    return fail('registry-error', `${host} is no registry`, 'Check the name of the registry, and its port.');
  }
  return fail('registry-error', `${host} does not have it`);
}

function explainUnauthorized({ url: { host }, headers }: StatusFailure, task: Task): string {
  const { shown, kind } = task;
  if (shown === undefined) return `${host} asks for credentials, and was shown none`;
  if ('lookedIn' in shown) {
    const found = shown.lookedIn.length === 0 ? 'none are to be shown' : 'none were found for it';
    return `${host} asks for credentials, and ${found}`;
  }
  // Whoever has got a token is known: it does not allow this.
  const isKnown = kind !== 'token' && /^\s*bearer/i.test(headers['www-authenticate'] ?? '');
  return isKnown
    ? `${host} does not allow it${withCredentials(task)}`
    : `${host} does not accept the credentials of ${shown.from}`;
}

function withCredentials({ shown }: Task): string {
  return shown !== undefined && 'from' in shown ? ` with the credentials of ${shown.from}` : '';
}

function loginHint({ domain, shown, authFile }: Task): string {
  if (shown !== undefined && 'lookedIn' in shown && shown.lookedIn.length === 0) {
    return 'Check that the image exists, or let credentials be used.';
  }
  const file = authFile === undefined ? '' : `--authfile ${authFile} `;
  const option = '--creds USER:PASSWORD (--dest-creds for what is copied to)';
  const login = `Check that the image exists, and log in with \`atomic-ts login ${file}${domain}\` or give ${option}.`;
  const isMissing = shown !== undefined && 'lookedIn' in shown;
  return isMissing ? `${login} Credentials were looked for in ${shown.lookedIn.join(', ')}.` : login;
}

/** The first error of a registry's answer, distribution-spec "Error Codes"; of any other text its start. */
function readRegistryErrors(body: string): { code: string; message: string } {
  let document: unknown;
  try {
    document = JSON.parse(body);
  } catch {
    // HTML pages and cut-off JSON tell a person nothing.
    const plain = /^\s*[<{[]/.test(body) ? '' : body.trim();
    return { code: '', message: showForeign(plain) };
  }
  const errors =
    isRecord(document) && Array.isArray(document['errors']) ? (document['errors'] as unknown[]) : [];
  const first = isRecord(errors[0]) ? errors[0] : {};
  const text = (value: unknown): string => (typeof value === 'string' ? value : '');
  return { code: text(first['code']), message: showForeign(text(first['message']) || text(first['code'])) };
}
