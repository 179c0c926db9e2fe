import { describe, expect, it } from 'vitest';
import type { ProgressEvent } from '../../../src/events.ts';
import { parseRegistryImage } from '../../../src/image/reference.ts';
import { listTags } from '../../../src/transport/registry/tags.ts';
import type { FakeRegistry } from '../../registry/fake-registry.ts';
import { failureOf, optionsFor, startRegistry, type Told } from './setup.ts';

const list = ({ host }: FakeRegistry, told: Told = {}): Promise<string[]> =>
  listTags(parseRegistryImage(`${host}/team/app`), optionsFor(told));

const answer = (body: string): { kind: 'status'; status: 200; body: string } => ({
  kind: 'status',
  status: 200,
  body,
});

describe('the tags of a repository', () => {
  it('are those of all pages', async () => {
    const registry = await startRegistry();
    for (const tag of ['1', '2', '3', '4', 'latest']) registry.addImage('team/app', tag, []);
    expect(await list(registry)).toEqual(['1', '2', '3', '4', 'latest']);
    expect(registry.requests).toHaveLength(3);
  });

  it('may be as many on one page as the limit allows', async () => {
    const registry = await startRegistry();
    const tags = Array.from({ length: 200_000 }, (_, i) => `v${i}`);
    registry.addFault(/tags/, answer(JSON.stringify({ tags })));
    expect(await list(registry)).toEqual(tags);
  });

  it('may be none', async () => {
    const registry = await startRegistry();
    registry.addFault(/tags/, answer('{"name":"team/app","tags":null}'));
    expect(await list(registry)).toEqual([]);
  });

  it('leave out what is no tag, and say so', async () => {
    const registry = await startRegistry();
    registry.addFault(
      /tags/,
      answer(JSON.stringify({ tags: ['a', `sha256:${'0'.repeat(64)}`, '\u001b[2J', ''] })),
    );
    const events: ProgressEvent[] = [];
    expect(await list(registry, { events })).toEqual(['a']);
    const text = `3 entries in the list of ${registry.host}/team/app are no tags, and are left out`;
    expect(events).toEqual([{ event: 'warning', text }]);
  });

  it.each(['[]', '{"tags":{}}', '{"tags":[1]}', 'null', '<html>'])('are not read out of %s', async (body) => {
    const registry = await startRegistry();
    registry.addFault(/tags/, answer(body));
    expect((await failureOf(list(registry))).code).toBe('registry-error');
  });

  it('of a repository that is not there are an error', async () => {
    const error = await failureOf(list(await startRegistry()));
    expect([error.code, error.message]).toEqual([
      'image-not-found',
      expect.stringContaining('list the tags of'),
    ]);
  });
});
