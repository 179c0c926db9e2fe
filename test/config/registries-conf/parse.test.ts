import { describe, expect, it } from 'vitest';
import { parseRegistriesFile } from '../../../src/config/registries-conf/parse.ts';
import { isAtomicError } from '../../../src/errors.ts';

const parse = (text: string, kind: 'main' | 'drop-in' = 'main'): ReturnType<typeof parseRegistriesFile> =>
  parseRegistriesFile(Buffer.from(text), '/etc/r.conf', kind);

async function refusal(text: string, kind?: 'drop-in'): Promise<string> {
  const error: unknown = await parse(text, kind).then(
    () => undefined,
    (caught: unknown) => caught,
  );
  return isAtomicError(error, 'config-invalid') ? error.message : `not refused: ${String(error)}`;
}

describe('a registries.conf', () => {
  it('may be empty', async () => {
    expect(await parse('# nothing\n')).toEqual({
      searchRegistries: undefined,
      shortNameMode: undefined,
      credentialHelpers: undefined,
      registries: [],
      aliases: new Map(),
    });
  });

  it('has search registries, a mode, helpers and aliases', async () => {
    const file = await parse(`
      unqualified-search-registries = ["registry.fedoraproject.org", "localhost:5000", "[::1]:5000"]
      short-name-mode = "enforcing"
      credential-helpers = ["containers-auth.json", "secretservice"]
      unknown-key = 1
      [aliases]
      "fedora" = "registry.fedoraproject.org/fedora"
      "team/app" = "localhost:5000/team/app"
      "gone" = ""
    `);
    expect(file.searchRegistries).toEqual(['registry.fedoraproject.org', 'localhost:5000', '[::1]:5000']);
    expect(file.shortNameMode).toBe('enforcing');
    expect(file.credentialHelpers).toEqual(['containers-auth.json', 'secretservice']);
    expect([...file.aliases].map(([short, { name }]) => [short, name])).toEqual([
      ['fedora', 'registry.fedoraproject.org/fedora'],
      ['team/app', 'localhost:5000/team/app'],
      ['gone', undefined],
    ]);
  });

  it('of version 1 is read where it stands alone', async () => {
    const file = await parse(`
      [registries.search]
      registries = ['registry1.com', 'registry2.com']
      [registries.insecure]
      registries = ['registry3.com', 'registry.unsafe.com']
      [registries.block]
      registries = ['registry.untrusted.com', 'registry.unsafe.com']
    `);
    expect(file.searchRegistries).toEqual(['registry1.com', 'registry2.com']);
    expect(file.registries.map(({ prefix, insecure, blocked }) => [prefix, insecure, blocked])).toEqual([
      ['registry.untrusted.com', false, true],
      ['registry.unsafe.com', true, true],
      ['registry3.com', true, false],
    ]);
  });

  it.each([
    ['\n\na = = 1', '/etc/r.conf, line 3 is not valid TOML: '],
    ['[aliases]\n"a" = "x.org/a"\n"a" = "x.org/b"', '/etc/r.conf, line 3 is not valid TOML: '],
    ['unqualified-search-registries = "docker.io"', 'unqualified-search-registries that is no list of texts'],
    ['unqualified-search-registries = ["docker.io/library"]', 'the search registry "docker.io/library"'],
    ['unqualified-search-registries = [""]', 'the search registry ""'],
    ['unqualified-search-registries = ["nodot"]', 'the search registry "nodot"'],
    ['short-name-mode = "ask"', 'short-name-mode = "ask"'],
    ['[[registry]]\nblocked = true', 'a [[registry]] with neither prefix nor location'],
    ['[registry]\nlocation = "x.org"', 'a registry that is no list of tables'],
    ['[[registry]]\nlocation = "x.org"\ninsecure = "yes"', 'a value for insecure that is neither true nor'],
    ['[[registry]]\nlocation = "https://x.org"', 'the location "https://x.org"'],
    ['[[registry]]\nprefix = "example.*.com"\nlocation = "x.org"', 'the prefix "example.*.com"'],
    ['[[registry]]\nprefix = "*.example.com/foo"', 'the prefix "*.example.com/foo"'],
    ['[[registry]]\nprefix = "*.example.com:5000"', 'the prefix "*.example.com:5000"'],
    ['[[registry]]\nlocation = "x.org"\npull-from-mirror = "all"', 'pull-from-mirror for "x.org" itself'],
    ['[[registry]]\nlocation = "x.org"\n[[registry.mirror]]\ninsecure = true', 'a mirror without location'],
    [
      '[[registry]]\nlocation = "x.org"\n[[registry.mirror]]\nlocation = "m.org"\npull-from-mirror = "some"',
      'pull-from-mirror = "some"',
    ],
    [
      '[[registry]]\nlocation = "x.org"\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = "m.org"\npull-from-mirror = "all"',
      'both mirror-by-digest-only for "x.org" and pull-from-mirror for its mirror "m.org"',
    ],
    ['[aliases]\n"x.org/a" = "y.org/a"', 'the alias "x.org/a"'],
    ['[aliases]\n"a:1" = "y.org/a"', 'the alias "a:1"'],
    ['[aliases]\n"a" = "y.org/a:1"', 'the alias "a"'],
    ['[aliases]\n"a" = "team/a"', 'the alias "a"'],
    ['[aliases]\n"a" = 1', 'the alias "a"'],
    [
      'unqualified-search-registries = ["x.org"]\n[registries.search]\nregistries = ["x.org"]',
      'mixes the old format',
    ],
  ])('is refused with its path: %j', async (text, found) => {
    const sentence = await refusal(text);
    expect(sentence).toContain('/etc/r.conf');
    expect(sentence).toContain(found);
  });

  it('is refused when it is a drop-in of version 1', async () => {
    const sentence = await refusal('[registries.search]\nregistries = ["x.org"]', 'drop-in');
    expect(sentence).toBe('/etc/r.conf is a drop-in in the old format ([registries.search], …)');
  });
});
