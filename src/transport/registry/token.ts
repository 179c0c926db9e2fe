import { isIdentityToken, type Credentials, type UserPassword } from '../../config/auth-file.ts';
import { AtomicError } from '../../errors.ts';
import { isRecord, parseJson } from '../../image/json.ts';
import type { Challenge } from './challenge.ts';
import { isNearer } from './redirect.ts';
import { showForeign, showUrl } from './text.ts';

/** A token server's realm, service and what we want to be allowed. */
export interface TokenRequest {
  readonly realm: URL;
  readonly service: string | undefined;
  readonly scopes: readonly string[];
}

export interface Token {
  readonly value: string;
  /** Milliseconds since the epoch. */
  readonly expires: number;
}

/** What a token lives when its server does not say, and how much earlier we stop using it: seconds. */
const DEFAULT_LIFE = 60;
const MARGIN = 10;

/**
 * Reads a Bearer challenge.
 * @param scopes what we need. The challenge's own are asked for besides when they are of another repository, as with
 * registries that keep an image under a longer name.
 * @throws AtomicError `registry-error` when its realm is no HTTP URL; `tls` when it is plain HTTP anywhere but on the
 * host of a registry that has no TLS either: who we are and what we may do would be told in the clear
 * @see distribution "Token Authentication Specification"
 */
export function readTokenChallenge(
  { parameters }: Challenge,
  scopes: readonly string[],
  registry: URL,
): TokenRequest {
  const text = parameters.get('realm') ?? '';
  const realm = URL.canParse(text) ? new URL(text) : undefined;
  if (realm === undefined || !['http:', 'https:'].includes(realm.protocol)) {
    throw new AtomicError(
      'registry-error',
      `${registry.host} names the token server "${showForeign(text)}", which is no HTTP URL`,
    );
  }
  const ownPlainHost = registry.protocol === 'http:' && realm.hostname === registry.hostname;
  if (realm.protocol === 'http:' && !ownPlainHost) {
    throw new AtomicError(
      'tls',
      `${registry.host} names the token server ${showUrl(realm)}, which has no TLS; it was not asked`,
    );
  }
  if (isNearer(realm, registry)) {
    throw new AtomicError(
      'registry-error',
      `${registry.host} names the token server ${showUrl(realm)}, which only this machine can reach; it was not asked`,
    );
  }
  const offered = (parameters.get('scope') ?? '').split(' ').filter(Boolean);
  const known = scopes.map((scope) => scope.slice(0, scope.lastIndexOf(':') + 1));
  const others = offered.filter((other) => !known.some((repository) => other.startsWith(repository)));
  return { realm, service: parameters.get('service'), scopes: [...scopes, ...others] };
}

/** The URL that asks for a token. */
export function tokenUrl({ realm, service, scopes }: TokenRequest): URL {
  const url = new URL(realm);
  if (service !== undefined) url.searchParams.set('service', service);
  for (const scope of scopes) url.searchParams.append('scope', scope);
  return url;
}

/** How a token server is asked. */
export interface TokenCall {
  readonly method: 'GET' | 'POST';
  readonly url: URL;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
}

/**
 * Asks a token server: user and password go into Authorization, an identity token is posted as OAuth2's refresh token.
 * @see distribution "Token Authentication Specification" and "OAuth2 Token Authentication"
 */
export function createTokenCall(request: TokenRequest, credentials: Credentials | undefined): TokenCall {
  if (credentials === undefined) return { method: 'GET', url: tokenUrl(request), headers: {} };
  if (isIdentityToken(credentials)) return refreshCall(request, credentials.identityToken);
  const authorization = basicAuthorization(credentials);
  return { method: 'GET', url: tokenUrl(request), headers: { authorization } };
}

function refreshCall({ realm, service, scopes }: TokenRequest, refreshToken: string): TokenCall {
  const form = new URLSearchParams({
    grant_type: 'refresh_token',
    refresh_token: refreshToken,
    client_id: 'atomic-ts',
    ...(service === undefined ? {} : { service }),
    ...(scopes.length === 0 ? {} : { scope: scopes.join(' ') }),
  });
  return {
    method: 'POST',
    url: realm,
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: Buffer.from(form.toString(), 'utf8'),
  };
}

export function basicAuthorization({ username, password }: UserPassword): string {
  return `Basic ${Buffer.from(`${username}:${password}`, 'utf8').toString('base64')}`;
}

/**
 * Reads a token server's answer.
 * @throws AtomicError `registry-error`
 */
export function readToken(bytes: Uint8Array, realm: URL, now: number): Token {
  const what = `The answer of the token server ${showUrl(realm)}`;
  let document: unknown;
  try {
    document = parseJson(bytes, what, 'registry-error');
  } catch {
    // The parser quotes what it stumbled over, and that may be a token.
    throw new AtomicError('registry-error', `${what} is not valid JSON`);
  }
  const fields = isRecord(document) ? document : {};
  const value = fields['token'] ?? fields['access_token'];
  if (typeof value !== 'string' || !/^[\x21-\x7e]+$/.test(value)) {
    throw new AtomicError('registry-error', `${what} holds no token`);
  }
  const life = typeof fields['expires_in'] === 'number' ? fields['expires_in'] : DEFAULT_LIFE;
  return { value, expires: now + Math.max(0, life - MARGIN) * 1000 };
}
