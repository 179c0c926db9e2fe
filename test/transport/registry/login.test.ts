import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { Credentials } from '../../../src/config/auth-file.ts';
import { checkCredentials } from '../../../src/transport/registry/index.ts';
import type { FakeRegistry } from '../../registry/fake-registry.ts';
import { failureOf, openSource, QUICK, startRegistry } from './setup.ts';

const USER = { username: 'u', password: 's3cret' };
const REFRESH = { identityToken: 'refr3sh' };

function check({ host }: FakeRegistry, credentials: Credentials): Promise<void> {
  return checkCredentials(host, credentials, {
    userAgent: 'test/1',
    report: () => undefined,
    environment: {},
    timing: QUICK,
  });
}

describe('credentials', () => {
  it('are checked at a registry that asks for them itself', async () => {
    const registry = await startRegistry({ auth: { kind: 'basic', ...USER } });
    await check(registry, USER);
    const failure = await failureOf(check(registry, { ...USER, password: 'wr0ng' }));
    expect(failure).toMatchObject({
      code: 'unauthorized',
      message: `${registry.host} does not accept the user name and password`,
    });
    expect(inspect(failure, { depth: 10 })).not.toContain('wr0ng');
  });

  it('are checked at its token server', async () => {
    const registry = await startRegistry({ auth: { kind: 'token', ...USER } });
    await check(registry, USER);
    expect(await failureOf(check(registry, { ...USER, password: 'wr0ng' }))).toMatchObject({
      code: 'unauthorized',
    });
  });

  it('are not shown to a registry that asks for none', async () => {
    const registry = await startRegistry();
    await check(registry, USER);
    expect(registry.requests.every(({ headers }) => headers.authorization === undefined)).toBe(true);
  });
});

describe('an identity token', () => {
  it('gets a token for each scope, and is shown to the token server alone', async () => {
    const registry = await startRegistry({ auth: { kind: 'token', ...USER, ...REFRESH } });
    registry.addImage('team/app', '1', [Buffer.from('layer')]);
    const environment = { REGISTRY_AUTH_FILE: '/nonexistent/auth.json' };
    const source = openSource(`${registry.host}/team/app:1`, { credentials: REFRESH, environment });
    await source.getManifest();
    await check(registry, REFRESH);
    expect(registry.requests.map(({ method, path }) => `${method} ${path}`)).toContain('POST /token');
    expect(inspect(registry.requests, { depth: 5 })).not.toContain(REFRESH.identityToken);
    const failure = await failureOf(check(registry, { identityToken: 'st0len' }));
    expect(failure.code).toBe('unauthorized');
    expect(inspect(failure, { depth: 10 })).not.toContain('st0len');
  });

  it('is not posted on to where a token server sends us', async () => {
    const registry = await startRegistry({ auth: { kind: 'token', ...USER, ...REFRESH } });
    const other = await startRegistry();
    registry.addFault(/POST \/token/, { kind: 'redirect', to: `${other.origin}/token` });
    const failure = await failureOf(check(registry, REFRESH));
    expect(failure.code).toBe('registry-error');
    expect(other.requests).toEqual([]);
  });

  it('is nothing for a registry that wants a password', async () => {
    const registry = await startRegistry({ auth: { kind: 'basic', ...USER } });
    expect((await failureOf(check(registry, REFRESH))).code).toBe('unauthorized');
    expect(inspect(registry.requests, { depth: 5 })).not.toContain(REFRESH.identityToken);
  });
});
