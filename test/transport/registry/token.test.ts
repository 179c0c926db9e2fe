import { expect, it } from 'vitest';
import { parseChallenges } from '../../../src/transport/registry/challenge.ts';
import {
  authorizeTokenRequest,
  readToken,
  readTokenChallenge,
  tokenUrl,
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

it('sends credentials to token servers with TLS, or on the same host when that has none', () => {
  const send = (realm: string, registry: string): string | undefined =>
    authorizeTokenRequest(new URL(realm), new URL(registry), USER);
  const basic = `Basic ${Buffer.from('u:p').toString('base64')}`;
  expect(send('https://auth.example/t', 'https://r.example/')).toBe(basic);
  expect(send('https://auth.example/t', 'http://r.example/')).toBe(basic);
  expect(send('http://r.example:5001/t', 'http://r.example:5000/')).toBe(basic);
  expect(() => send('http://r.example/t', 'https://r.example/')).toThrow(/no TLS/);
  expect(() => send('http://other.example/t', 'http://r.example/')).toThrow(/no TLS/);
  expect(
    authorizeTokenRequest(new URL('http://other.example/t'), new URL('http://r.example/'), undefined),
  ).toBeUndefined();
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
