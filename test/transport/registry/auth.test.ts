import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Authorizer } from '../../../src/transport/registry/auth.ts';
import { parseChallenges } from '../../../src/transport/registry/challenge.ts';
import type { FakeRegistry } from '../../registry/fake-registry.ts';
import { failureOf, makeFolder, openSource, startRegistry } from './setup.ts';

const USER = { username: 'user', password: 'pä:ss' };

/** The Authorization headers that arrived, in order. */
function authorizations({ requests }: FakeRegistry, on = /./): (string | undefined)[] {
  return requests.filter(({ path }) => on.test(path)).map(({ headers }) => headers.authorization);
}

describe('basic authentication', () => {
  it('sends credentials when the registry asks, and from then on at once', async () => {
    const registry = await startRegistry({ auth: { kind: 'basic', ...USER } });
    const { layers } = registry.addImage('app', '1', [Buffer.from('x')]);
    const source = openSource(`${registry.host}/app:1`, { credentials: USER });
    await source.getManifest();
    for (const layer of layers) (await source.getBlob(layer)).destroy();
    const header = `Basic ${Buffer.from('user:pä:ss').toString('base64')}`;
    expect(authorizations(registry)).toEqual([undefined, header, header]);
  });

  it('fails without credentials and with wrong ones, and shows none of them', async () => {
    const registry = await startRegistry({ auth: { kind: 'basic', ...USER } });
    for (const told of [{}, { credentials: { username: 'user', password: 'wrong-one' } }]) {
      const error = await failureOf(openSource(`${registry.host}/app:1`, told).getManifest());
      expect([error.code, error.hint]).toEqual([
        'unauthorized',
        expect.stringContaining(`atomic-ts login ${registry.host}`),
      ]);
      expect(JSON.stringify([error, String(error), error.stack, error.cause])).not.toContain('wrong-one');
    }
    expect(registry.requests).toHaveLength(3);
  });

  it('takes them from the auth file', async () => {
    const registry = await startRegistry({ auth: { kind: 'basic', ...USER } });
    registry.addImage('team/app', '1', []);
    const authFile = join(await makeFolder(), 'auth.json');
    const auth = Buffer.from('user:pä:ss').toString('base64');
    await writeFile(authFile, JSON.stringify({ auths: { [`${registry.host}/team`]: { auth } } }));
    await openSource(`${registry.host}/team/app:1`, { authFile }).getManifest();
    expect(registry.count(/manifests/)).toBe(2);
  });
});

describe('a registry that refuses', () => {
  const said = async (name: string, told: Parameters<typeof openSource>[1]): Promise<[string, string]> => {
    const { message, hint = '' } = await failureOf(openSource(name, told).getManifest());
    return [message.replace(/^Cannot .*?: /, ''), hint];
  };

  it('is told from where credentials were shown to it, and where there were none', async () => {
    const registry = await startRegistry({ auth: { kind: 'basic', ...USER } });
    const { host } = registry;
    const authFile = join(await makeFolder(), 'auth.json');
    await writeFile(authFile, '{}');
    const [none, advice] = await said(`${host}/app:1`, { authFile });
    expect(none).toMatch(`${host} asks for credentials, and none were found for it`);
    expect(advice).toContain(`Credentials were looked for in ${authFile}.`);
    expect(advice).toContain(`\`atomic-ts login --authfile ${authFile} ${host}\``);
    const auth = Buffer.from('user:wrong-one').toString('base64');
    await writeFile(authFile, JSON.stringify({ auths: { [host]: { auth } } }));
    const [wrong] = await said(`${host}/app:1`, { authFile });
    expect(wrong).toMatch(`${host} does not accept the credentials of ${authFile}`);
    const [anonymous, other] = await said(`${host}/app:1`, { authFile, anonymous: true });
    expect(anonymous).toMatch(`${host} asks for credentials, and none are to be shown`);
    expect(other).toBe('Check that the image exists, or let credentials be used.');
    for (const text of [none, wrong, anonymous]) expect(text).not.toMatch(/wrong-one|\buser\b/);
  });

  it('is said to allow nothing when its token server knows who asks', async () => {
    const registry = await startRegistry({ auth: { kind: 'token', ...USER } });
    const { host } = registry;
    const refusal = `Bearer realm="http://${host}/token",service="fake",error="insufficient_scope"`;
    const headers = { 'www-authenticate': refusal };
    registry.addFault(/manifests/, { kind: 'status', status: 401, headers });
    registry.addFault(/manifests/, { kind: 'status', status: 401, headers });
    const [known] = await said(`${host}/app:1`, { credentials: USER });
    expect(known).toMatch(`${host} does not allow it with the credentials of the command line`);
  });
});

describe('a token server', () => {
  it('gives anybody a token for a public image, which is fetched once', async () => {
    const registry = await startRegistry({ auth: { kind: 'token' } });
    const { layers } = registry.addImage('app', '1', [Buffer.from('a'), Buffer.from('b'), Buffer.from('c')]);
    const source = openSource(`${registry.host}/app:1`);
    const streams = await Promise.all(layers.map((layer) => source.getBlob(layer)));
    for (const stream of streams) stream.destroy();
    await source.getManifest();
    const asked = registry.requests.filter(({ path }) => path.startsWith('/token'));
    expect(asked.map(({ path }) => path)).toEqual(['/token?service=fake&scope=repository%3Aapp%3Apull']);
    expect(asked[0]?.headers.authorization).toBeUndefined();
  });

  it('is shown our credentials, and the registry is not', async () => {
    const registry = await startRegistry({ auth: { kind: 'token', ...USER } });
    registry.addImage('app', '1', []);
    await openSource(`${registry.host}/app:1`, { credentials: USER }).getManifest();
    expect(authorizations(registry)).toEqual([undefined, expect.stringMatching(/^Basic /), 'Bearer token-1']);
  });

  it('that does not accept them is the error, once', async () => {
    const registry = await startRegistry({ auth: { kind: 'token', ...USER } });
    const told = { credentials: { username: 'user', password: 'wrong-one' } };
    const error = await failureOf(openSource(`${registry.host}/app:1`, told).getManifest());
    expect([error.code, error.message]).toEqual([
      'unauthorized',
      `Cannot get a token for ${registry.host}/app:1 from http://${registry.host}/token?…: ` +
        `${registry.host} does not accept the credentials of the command line ("wrong password")`,
    ]);
    expect(registry.count(/token/)).toBe(1);
  });

  it('is asked again when a token was revoked, but not for ever', async () => {
    const registry = await startRegistry({ auth: { kind: 'token' } });
    registry.addImage('app', '1', []);
    const source = openSource(`${registry.host}/app:1`);
    await source.getManifest();
    registry.revokeTokens();
    await source.getManifest();
    expect(registry.count(/token/)).toBe(2);
    registry.addFault(/manifests/, {
      kind: 'status',
      status: 401,
      headers: { 'www-authenticate': `Bearer realm="http://${registry.host}/token",service="fake"` },
    });
    expect((await failureOf(source.getManifest())).code).toBe('unauthorized');
    expect(registry.count(/token/)).toBe(3);
  });

  it('is asked again when the registry has wanted another token since: of those before none is kept', async () => {
    const registry = new URL('https://r.example');
    const calls: string[] = [];
    const authorizer = new Authorizer({
      registry,
      scopes: ['repository:app:pull'],
      findCredentials: async () => undefined,
      fetchToken: async ({ url }) => Buffer.from(`{"token":"${calls.push(url.href)}","expires_in":1000}`),
    });
    const meet = (scope: string): Promise<string | undefined> =>
      authorizer.meet(
        parseChallenges(`Bearer realm="https://t.example/token",scope="repository:${scope}:pull"`),
        undefined,
      );
    expect([await meet('a'), await meet('a'), await meet('b'), await meet('a')]).toEqual(
      ['1', '1', '2', '3'].map((token) => `Bearer ${token}`),
    );
  });

  it('is asked again when a token is too old', async () => {
    const registry = await startRegistry({ auth: { kind: 'token', expiresIn: 0 } });
    registry.addImage('app', '1', []);
    const source = openSource(`${registry.host}/app:1`);
    await source.getManifest();
    await source.getManifest();
    expect(registry.count(/token/)).toBe(2);
    expect(registry.count(/manifests/)).toBe(3);
  });

  it('is asked again after 503', async () => {
    const registry = await startRegistry({ auth: { kind: 'token' } });
    registry.addImage('app', '1', []);
    registry.addFault(/token/, { kind: 'status', status: 503 }, 2);
    await openSource(`${registry.host}/app:1`).getManifest();
    expect(registry.count(/token/)).toBe(3);
  });

  it('that answers no token, or far too much, is the error', async () => {
    const registry = await startRegistry({ auth: { kind: 'token' } });
    const open = (): Promise<unknown> => openSource(`${registry.host}/app:1`).getManifest();
    const stop = registry.addFault(/token/, { kind: 'status', status: 200, body: '{"token":"a\\r\\nb"}' });
    expect((await failureOf(open())).code).toBe('registry-error');
    stop();
    registry.addFault(/token/, { kind: 'endless' });
    expect((await failureOf(open())).code).toBe('limit-exceeded');
  });

  it('on another host without TLS is not shown our credentials', async () => {
    const elsewhere = await startRegistry({ auth: { kind: 'token', ...USER } });
    const realm = `${elsewhere.origin.replace('127.0.0.1', 'localhost')}/token`;
    const registry = await startRegistry({ auth: { kind: 'token', ...USER, realm } });
    const error = await failureOf(openSource(`${registry.host}/app:1`, { credentials: USER }).getManifest());
    expect([error.code, elsewhere.requests]).toEqual(['tls', []]);
  });

  it('that is no URL is the error', async () => {
    const registry = await startRegistry({ auth: { kind: 'token', realm: 'file:///etc/passwd' } });
    const error = await failureOf(openSource(`${registry.host}/app:1`).getManifest());
    expect([error.code, error.message]).toEqual([
      'registry-error',
      expect.stringContaining('file:///etc/passwd'),
    ]);
  });
});
