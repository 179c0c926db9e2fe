import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { needsTags } from '../../src/cli/commands/inspect.ts';
import { readRemoteAccess, type RemoteFlags } from '../../src/cli/commands/remote-access.ts';
import { addRemoteCommands } from '../../src/cli/tree/remote-commands.ts';

/** What a command line says, as the handler is given it. */
async function readWords(words: string): Promise<unknown[]> {
  const program = new Command().exitOverride();
  let read: unknown[] = [];
  addRemoteCommands(program, () => async (...given) => {
    read = given.slice(0, -1);
  });
  await program.parseAsync(words.split(' '), { from: 'user' });
  return read;
}

describe('the options of inspect, layers, list-tags and delete', () => {
  it.each([
    ['inspect x', {}],
    ['inspect x --creds u:p:q', { credentials: { username: 'u', password: 'p:q' } }],
    ['inspect x --no-creds', { anonymous: true }],
    ['inspect x --creds u:p --no-creds', { anonymous: true }],
    ['layers x --authfile a --cert-dir c', { authFile: 'a', certDir: 'c' }],
    ['list-tags x --tls-verify=false', { tlsVerify: false }],
    ['delete x --retry-times 0', { tries: 1 }],
    ['inspect x --daemon-host unix:///d', { daemonHost: 'unix:///d' }],
  ])('%s', async (words, expected) => {
    const flags = (await readWords(words)).at(-1) as RemoteFlags;
    expect(readRemoteAccess(flags)).toEqual(expected);
  });

  it('hand over digests and the folder of layers', async () => {
    expect(await readWords('layers x a b -d f')).toEqual([
      'x',
      ['a', 'b'],
      expect.objectContaining({ dir: 'f' }),
    ]);
    expect(await readWords('layers x')).toEqual([
      'x',
      [],
      expect.not.objectContaining({ dir: expect.anything() }),
    ]);
  });

  it('have tags unless they are not wanted', async () => {
    expect((await readWords('inspect x')).at(-1)).toMatchObject({ tags: true });
    expect((await readWords('inspect x -n')).at(-1)).toMatchObject({ tags: false });
  });
});

describe('the tags of a repository', () => {
  it.each([
    undefined,
    'json',
    '{{ json }}',
    '{{.}}',
    '{{json .RepoTags}}',
    '{{range $.RepoTags}}x{{end}}',
    '{{with $x := .}}{{end}}',
  ])('are asked for with the format %s', (format) => {
    expect(needsTags(format)).toBe(true);
  });

  it.each(['{{.Digest}}', '{{index .Labels "a"}} {{$x}}', 'text'])('are not with %s', (format) => {
    expect(needsTags(format)).toBe(false);
  });
});
