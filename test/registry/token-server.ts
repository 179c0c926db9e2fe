import { createHash, createPublicKey, randomUUID, sign, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';

/** What somebody may do: `pull`, `push`, `delete`, `*`. An undefined user is anybody. */
export type Grants = (user: string | undefined, repository: string) => readonly string[];

export interface TokenServerOptions {
  /** PEM of an EC key on P-256; docker-registry is given a certificate of it. */
  readonly key: Buffer;
  readonly users: Readonly<Record<string, string>>;
  readonly grants: Grants;
}

export interface TokenServer {
  /** For docker-registry's `auth: token:`. */
  readonly auth: { readonly realm: string; readonly service: string; readonly issuer: string };
  /** The scopes of each request that was answered with a token. */
  readonly asked: string[][];
  close(): Promise<void>;
}

const SERVICE = 'registry of a test';
const ISSUER = 'token server of a test';

/**
 * A token server on a loopback port whose tokens docker-registry takes.
 * @see distribution docs/spec/auth/jwt.md
 */
export async function startTokenServer({ key, users, grants }: TokenServerOptions): Promise<TokenServer> {
  const asked: string[][] = [];
  const server = createServer((request, response) => {
    const user = identify(request, users);
    if (user === 'nobody') {
      response.writeHead(401).end('{"errors":[{"code":"UNAUTHORIZED","message":"wrong password"}]}');
      return;
    }
    const url = new URL(request.url ?? '', 'http://token');
    const scopes = url.searchParams.getAll('scope');
    asked.push(scopes);
    const token = makeToken(
      key,
      scopes.map((scope) => grant(scope, user.name, grants)),
    );
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ token }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the token server has no port');
  return {
    auth: { realm: `http://127.0.0.1:${address.port}/token`, service: SERVICE, issuer: ISSUER },
    asked,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Nobody is who gives a wrong password; no credentials at all are fine. */
function identify(
  { headers }: IncomingMessage,
  users: TokenServerOptions['users'],
): { name: string | undefined } | 'nobody' {
  if (headers.authorization === undefined) return { name: undefined };
  const [name = '', ...password] = Buffer.from(headers.authorization.replace('Basic ', ''), 'base64')
    .toString()
    .split(':');
  return users[name] === password.join(':') ? { name } : 'nobody';
}

/** As much of a scope as is granted. */
function grant(scope: string, user: string | undefined, grants: Grants): object {
  const [, name = '', wanted = ''] = /^repository:(.+):([a-z,*]+)$/.exec(scope) ?? [];
  const granted = grants(user, name);
  return {
    type: 'repository',
    name,
    actions: wanted.split(',').filter((action) => granted.includes(action)),
  };
}

function makeToken(key: Buffer, access: readonly object[]): string {
  const now = Math.floor(Date.now() / 1000);
  const header = { typ: 'JWT', alg: 'ES256', kid: keyId(createPublicKey(key)) };
  const claims = {
    iss: ISSUER,
    aud: SERVICE,
    sub: '',
    iat: now,
    nbf: now - 10,
    exp: now + 300,
    jti: randomUUID(),
    access,
  };
  const text = [header, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.');
  const signature = sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' });
  return `${text}.${signature.toString('base64url')}`;
}

/** A key's fingerprint as libtrust writes it: 240 bits of SHA-256 in base32, in groups of four. */
function keyId(key: KeyObject): string {
  const hash = createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest();
  return (base32(hash.subarray(0, 30)).match(/.{4}/g) ?? []).join(':');
}

function base32(bytes: Uint8Array): string {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  return (bits.match(/.{5}/g) ?? [])
    .map((group) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.charAt(Number.parseInt(group, 2)))
    .join('');
}
