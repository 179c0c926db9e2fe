import { describe, expect, it } from 'vitest';
import { parseChallenges } from '../../../src/transport/registry/challenge.ts';
import {
  createTokenCall,
  readToken,
  readTokenChallenge,
  tokenUrl,
  type TokenRequest,
} from '../../../src/transport/registry/token.ts';

const USER = { username: 'u', password: 'p' };

function urlFor(header: string, scope: string): string {
  const [challenge] = parseChallenges(header);
  if (challenge === undefined) throw new Error('no challenge');
  return decodeURIComponent(
    tokenUrl(readTokenChallenge(challenge, [scope], new URL('https://r.example/'))).href,
  );
}

it('asks for what we need, and besides for what the challenge names of another repository', () => {
  expect(
    urlFor(
      'Bearer realm="https://a/t?x=1",service="s",scope="repository:app:pull"',
      'repository:app:pull,push',
    ),
  ).toBe('https://a/t?x=1&service=s&scope=repository:app:pull,push');
  expect(urlFor('Bearer realm="https://a/t",scope="repository:mirror/app:pull"', 'repository:app:pull')).toBe(
    'https://a/t?scope=repository:app:pull&scope=repository:mirror/app:pull',
  );
});

describe('a token server', () => {
  const request: TokenRequest = {
    realm: new URL('https://auth.example/t'),
    service: 's',
    scopes: ['repository:a:pull', 'repository:b:pull'],
  };

  const read = (realm: string, registry: string): string => {
    const [challenge] = parseChallenges(`Bearer realm="${realm}"`);
    if (challenge === undefined) throw new Error('no challenge');
    return readTokenChallenge(challenge, [], new URL(registry)).realm.href;
  };

  it('has TLS, or is on the same host as a registry that has none', () => {
    for (const [realm, registry] of [
      ['https://auth.example/t', 'https://r.example/'],
      ['https://auth.example/t', 'http://r.example/'],
      ['http://r.example:5001/t', 'http://r.example:5000/'],
    ] as const)
      expect(read(realm, registry)).toBe(realm);
    expect(() => read('http://r.example/t', 'https://r.example/')).toThrow(/no TLS/);
    expect(() => read('http://other.example/t', 'http://r.example/')).toThrow(/no TLS/);
  });

  it('is not on this machine or its link, unless the registry is', () => {
    for (const host of [
      '127.0.0.1',
      'localhost',
      '169.254.169.254',
      '0xa9fea9fe',
      '[::1]',
      '[::ffff:169.254.169.254]',
    ])
      expect(() => read(`https://${host}/t`, 'https://r.example/')).toThrow(/only this machine can reach/);
    expect(read('https://localhost:5001/t', 'https://127.0.0.1:5000/')).toBe('https://localhost:5001/t');
    expect(() => read('https://169.254.169.254/t', 'https://127.0.0.1:5000/')).toThrow(/only this machine/);
    expect(read('https://169.254.1.1:5001/t', 'https://169.254.1.1/')).toBe('https://169.254.1.1:5001/t');
    expect(read('https://10.0.0.1/t', 'https://r.example/')).toBe('https://10.0.0.1/t');
  });

  it('is sent user and password in a header, or nothing', () => {
    const basic = `Basic ${Buffer.from('u:p').toString('base64')}`;
    expect(createTokenCall(request, USER)).toMatchObject({
      method: 'GET',
      headers: { authorization: basic },
    });
    expect(createTokenCall(request, undefined)).toMatchObject({ method: 'GET', headers: {} });
  });

  it('is posted an identity token as a refresh token', () => {
    const { method, url, headers, body } = createTokenCall(request, { identityToken: 'a+b&c' });
    expect([method, url.href, headers]).toEqual([
      'POST',
      'https://auth.example/t',
      { 'content-type': 'application/x-www-form-urlencoded' },
    ]);
    expect(Object.fromEntries(new URLSearchParams(Buffer.from(body ?? []).toString()))).toEqual({
      grant_type: 'refresh_token',
      refresh_token: 'a+b&c',
      client_id: 'atomic-ts',
      service: 's',
      scope: 'repository:a:pull repository:b:pull',
    });
  });
});

it('reads a token under either name, and stops using it before it expires', () => {
  const read = (document: object): unknown =>
    readToken(Buffer.from(JSON.stringify(document)), new URL('https://a/'), 1000);
  expect(read({ token: 'abc', expires_in: 300 })).toEqual({ value: 'abc', expires: 291_000 });
  expect(read({ access_token: 'abc' })).toEqual({ value: 'abc', expires: 51_000 });
  expect(() => read({ token: 7 })).toThrow(/holds no token/);
  expect(() => read([])).toThrow(/holds no token/);
});

it('does not quote an answer that is no JSON', () => {
  expect(() => readToken(Buffer.from('{"token":"secret'), new URL('https://a/'), 0)).toThrow(
    /^((?!secret).)*$/,
  );
});
