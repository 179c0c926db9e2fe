import { expect, it } from 'vitest';
import { parseChallenges } from '../../../src/transport/registry/challenge.ts';

function parse(header: string | string[] | undefined): [string, Record<string, string>][] {
  return parseChallenges(header).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]);
}

it('reads a token server out of a Bearer challenge', () => {
  const header =
    'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"';
  expect(parse(header)).toEqual([
    [
      'bearer',
      {
        realm: 'https://auth.docker.io/token',
        service: 'registry.docker.io',
        scope: 'repository:a/b:pull,push',
      },
    ],
  ]);
});

it('reads several challenges from one line and from several', () => {
  expect(parse('Negotiate, Basic realm="a, b", Bearer realm=http://x/t')).toEqual([
    ['negotiate', {}],
    ['basic', { realm: 'a, b' }],
    ['bearer', { realm: 'http://x/t' }],
  ]);
  expect(parse(['Basic realm="a"', 'BEARER Realm = "b"'])).toEqual([
    ['basic', { realm: 'a' }],
    ['bearer', { realm: 'b' }],
  ]);
});

it('unescapes quoted strings', () => {
  expect(parse('Basic realm="say \\"x\\""')).toEqual([['basic', { realm: 'say "x"' }]]);
});

it('skips what does not fit the grammar, in linear time', () => {
  expect(parse(undefined)).toEqual([]);
  expect(parse('realm="orphan"')).toEqual([]);
  expect(parse('Basic realm="open')).toEqual([
    ['basic', {}],
    ['realm', {}],
    ['open', {}],
  ]);
  expect(parse(`Bearer realm="${'\\'.repeat(16_001)}`).length).toBeGreaterThan(0);
});
