import { describe, expect, it } from 'vitest';
import { parseRegistryImage } from '../../../src/image/reference.ts';
import { LIST_PAGE_BYTES, LIST_PAGES } from '../../../src/limits.ts';
import { createClient, createRegistryClient, type Call } from '../../../src/transport/registry/client.ts';
import { nextPage } from '../../../src/transport/registry/pages.ts';
import type { FakeRegistry } from '../../registry/fake-registry.ts';
import { cleanUp, failureOf, optionsFor, startRegistry, type Told } from './setup.ts';

const LIST: Call = {
  method: 'GET',
  at: 'tags/list?n=2',
  accept: [200],
  doing: 'list the tags',
  kind: 'list',
};

async function listTags(registry: FakeRegistry, told: Told = {}): Promise<string[]> {
  const client = createClient(parseRegistryImage(`${registry.host}/app`), 'pull', optionsFor(told));
  cleanUp(() => client.close());
  const tags: string[] = [];
  for await (const { bytes } of client.pages(LIST, LIST_PAGE_BYTES)) {
    tags.push(...(JSON.parse(bytes.toString()) as { tags: string[] }).tags);
  }
  return tags;
}

function link(header: string): { kind: 'status'; status: 200; headers: { link: string }; body: string } {
  return { kind: 'status', status: 200, headers: { link: header }, body: '{"tags":[]}' };
}

describe('the pages of a list', () => {
  it('are followed to the last one', async () => {
    const registry = await startRegistry();
    for (const tag of ['1', '2', '3', '4', '5']) registry.addImage('app', tag, []);
    expect(await listTags(registry)).toEqual(['1', '2', '3', '4', '5']);
    expect(registry.requests.map(({ path }) => path)).toEqual([
      '/v2/app/tags/list?n=2',
      '/v2/app/tags/list?n=2&last=2',
      '/v2/app/tags/list?n=2&last=4',
    ]);
  });

  it('are not followed to another host, which is not asked at all', async () => {
    const elsewhere = await startRegistry();
    const registry = await startRegistry();
    registry.addFault(/tags/, link(`<${elsewhere.origin}/v2/app/tags/list>; rel="next"`));
    const error = await failureOf(listTags(registry));
    expect([error.code, error.message, elsewhere.requests]).toEqual([
      'registry-error',
      expect.stringContaining(`goes on at ${elsewhere.origin}/v2/app/tags/list`),
      [],
    ]);
  });

  it('that lead in a circle are an error', async () => {
    const registry = await startRegistry();
    registry.addFault(/tags/, link('</v2/app/tags/list?last=a>; rel="next"'));
    const error = await failureOf(listTags(registry));
    expect([error.code, registry.requests.length]).toEqual(['registry-error', 2]);
  });

  it('are no more than the limit', async () => {
    const registry = await startRegistry();
    for (let page = 0; page <= LIST_PAGES; page++) {
      registry.addFault(
        new RegExp(`tags/list\\?(?:n=2|p=${page})$`),
        link(`</v2/app/tags/list?p=${page + 1}>; rel=next`),
        1,
      );
    }
    const error = await failureOf(listTags(registry));
    expect([error.code, registry.requests.length]).toEqual(['limit-exceeded', LIST_PAGES]);
  });

  it('have a cap each', async () => {
    const registry = await startRegistry();
    registry.addImage('app', '1', []);
    registry.addFault(/tags/, { kind: 'endless' });
    expect((await failureOf(listTags(registry))).code).toBe('limit-exceeded');
  });

  it('of a repository that is not there say so', async () => {
    expect((await failureOf(listTags(await startRegistry()))).code).toBe('image-not-found');
  });
});

describe('a Link header', () => {
  const url = new URL('https://r.example/v2/app/tags/list?n=2');
  const next = (value: string | string[]): string | undefined =>
    nextPage({ headers: { link: value }, url }, new URL('https://r.example/'))?.href;

  it.each([
    ['</v2/b>; rel="next"', 'https://r.example/v2/b'],
    ['<?last=x>; title="a, <b>"; rel="prev next"', 'https://r.example/v2/app/tags/list?last=x'],
    ['</a>; rel="prev", </b>; rel=next', 'https://r.example/b'],
    ['</a>; rel="prev"', undefined],
    ['</a>; rel="nextish"', undefined],
    ['nonsense', undefined],
    ['', undefined],
  ])('%s leads to %s', (header, expected) => {
    expect(next(header)).toBe(expected);
  });

  it('in several lines is one list', () => {
    expect(next(['</a>; rel="prev"', '</b>; rel="next"'])).toBe('https://r.example/b');
  });

  it('never leads to another scheme or port', () => {
    for (const target of ['http://r.example/b', 'https://r.example:444/b', '//other.example/b']) {
      expect(() => next(`<${target}>; rel="next"`)).toThrow(/not followed/);
    }
  });
});

describe('a client', () => {
  const USER = { username: 'u', password: 'p' };

  it('of a whole registry asks whether its credentials are taken', async () => {
    for (const auth of [{ kind: 'basic', ...USER } as const, { kind: 'token', ...USER } as const]) {
      const registry = await startRegistry({ auth });
      const ask = async (credentials: typeof USER): Promise<number> => {
        const client = createRegistryClient(registry.host, optionsFor({ credentials }));
        cleanUp(() => client.close());
        const call: Call = { method: 'GET', at: '', accept: [200], doing: 'log in', kind: 'registry' };
        return (await client.fetch(call, 1024)).status;
      };
      expect(await ask(USER)).toBe(200);
      expect((await failureOf(ask({ ...USER, password: 'wrong' }))).code).toBe('unauthorized');
      expect(registry.requests[0]?.path).toBe('/v2/');
    }
  });

  it('deletes with a token that allows it', async () => {
    const registry = await startRegistry({ auth: { kind: 'token', ...USER } });
    const { digest } = registry.addImage('app', '1', []);
    const image = parseRegistryImage(`${registry.host}/app:1`);
    const client = createClient(image, '*', optionsFor({ credentials: USER }));
    cleanUp(() => client.close());
    const call: Call = {
      method: 'DELETE',
      at: `manifests/${digest}`,
      accept: [202],
      doing: 'delete it',
      kind: 'manifest',
    };
    await client.fetch(call, 1024);
    expect(registry.manifest('app', '1')).toBeUndefined();
    expect((await failureOf(client.fetch(call, 1024))).code).toBe('image-not-found');
  });
});
