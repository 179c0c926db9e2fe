import { describe, expect, it } from 'vitest';
import { mergeFiles, type RegistriesConf } from '../../../src/config/registries-conf/conf.ts';
import { endpointsFor, pushEndpointFor } from '../../../src/config/registries-conf/index.ts';
import { parseRegistriesFile } from '../../../src/config/registries-conf/parse.ts';
import { isAtomicError } from '../../../src/errors.ts';
import { parseRegistryImage } from '../../../src/image/reference.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;

async function parse(text: string): Promise<RegistriesConf> {
  return mergeFiles([await parseRegistriesFile(Buffer.from(text), '/etc/r.conf', 'main')]);
}

/** The places that are tried, in order, as a person would write them; `!` for one that may be insecure. */
async function places(text: string, name: string): Promise<string[]> {
  const { candidates, blocked } = endpointsFor(parseRegistryImage(name), await parse(text));
  if (blocked !== undefined) return [`blocked by ${blocked.prefix} of ${blocked.file}`];
  return candidates.map(
    ({ domain, repository, tag, digest, insecure }) =>
      `${domain}/${repository}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}${insecure ? ' !' : ''}`,
  );
}

/** The example of containers-registries.conf(5). */
const EXAMPLE = `
unqualified-search-registries = ["example.com"]

[[registry]]
prefix = "example.com/foo"
insecure = false
blocked = false
location = "internal-registry-for-example.net/bar"

[[registry.mirror]]
location = "example-mirror-0.local/mirror-for-foo"

[[registry.mirror]]
location = "example-mirror-1.local/mirrors/foo"
insecure = true

[[registry]]
location = "registry.com"

[[registry.mirror]]
location = "mirror.registry.com"
`;

const MIRRORS = `
[[registry]]
location = "one.example"
[[registry.mirror]]
location = "all.example"
[[registry.mirror]]
location = "digests.example"
pull-from-mirror = "digest-only"
[[registry.mirror]]
location = "tags.example"
pull-from-mirror = "tag-only"
`;

const DIGESTS_ONLY = `
[[registry]]
location = "one.example"
mirror-by-digest-only = true
[[registry.mirror]]
location = "mirror.example"
`;

const PREFIXES = `
[[registry]]
prefix = "one.example"
location = "short.example"
[[registry]]
prefix = "one.example/team"
location = "longer.example/t"
[[registry]]
prefix = "one.example/team/app:1"
location = "tag.example/exact"
[[registry]]
prefix = "one.example/team/app:2"
location = "tag.example/exact:two"
`;

const WILDCARDS = `
[[registry]]
prefix = "*.example.com"
insecure = true
[[registry]]
prefix = "a.example.com"
location = "exact.example"
[[registry]]
prefix = "*.bar.example.com"
location = "bar.local/all"
`;

describe('the places where an image is pulled from', () => {
  it.each([
    [
      EXAMPLE,
      'example.com/foo/image:latest',
      [
        'example-mirror-0.local/mirror-for-foo/image:latest',
        'example-mirror-1.local/mirrors/foo/image:latest !',
        'internal-registry-for-example.net/bar/image:latest',
      ],
    ],
    [EXAMPLE, 'registry.com/image:1', ['mirror.registry.com/image:1', 'registry.com/image:1']],
    [EXAMPLE, 'example.com/other', ['example.com/other:latest']],
    [EXAMPLE, 'example.com/foobar/image', ['example.com/foobar/image:latest']],
    [MIRRORS, 'one.example/a:1', ['all.example/a:1', 'tags.example/a:1', 'one.example/a:1']],
    [
      MIRRORS,
      `one.example/a@${DIGEST}`,
      [`all.example/a@${DIGEST}`, `digests.example/a@${DIGEST}`, `one.example/a@${DIGEST}`],
    ],
    [DIGESTS_ONLY, 'one.example/a:1', ['one.example/a:1']],
    [DIGESTS_ONLY, `one.example/a@${DIGEST}`, [`mirror.example/a@${DIGEST}`, `one.example/a@${DIGEST}`]],
    [PREFIXES, 'one.example/other:1', ['short.example/other:1']],
    [PREFIXES, 'one.example/team/other:1', ['longer.example/t/other:1']],
    [PREFIXES, 'one.example/team/app:1', ['tag.example/exact:1']],
    [PREFIXES, 'one.example/team/app:2', ['tag.example/exact:two']],
    [PREFIXES, 'one.example/team/app:10', ['longer.example/t/app:10']],
    [PREFIXES, `one.example/team/app@${DIGEST}`, [`longer.example/t/app@${DIGEST}`]],
    [WILDCARDS, 'foo.example.com/x', ['foo.example.com/x:latest !']],
    [WILDCARDS, 'foo.deep.example.com:5000/x', ['foo.deep.example.com:5000/x:latest !']],
    [WILDCARDS, 'example.com/x', ['example.com/x:latest']],
    [WILDCARDS, 'other.org/foo.example.com', ['other.org/foo.example.com:latest']],
    [WILDCARDS, 'a.example.com/x', ['exact.example/x:latest']],
    [WILDCARDS, 'foo.bar.example.com/x', ['bar.local/all/x:latest']],
    [
      '[[registry]]\nprefix="docker.io/library"\nlocation="hub.local/official"',
      'docker.io/busybox',
      ['hub.local/official/busybox:latest'],
    ],
    [
      '[[registry]]\nprefix="docker.io"\nlocation="hub.local"',
      'index.docker.io/me/app',
      ['hub.local/me/app:latest'],
    ],
    ['[[registry]]\nlocation="one.example/"\ninsecure=true', 'one.example/a', ['one.example/a:latest !']],
    [
      '[[registry]]\nlocation="one.example"\nblocked=true',
      'one.example/a',
      ['blocked by one.example of /etc/r.conf'],
    ],
    // A later table of one prefix replaces the earlier one, as between files.
    [
      '[[registry]]\nlocation="one.example"\nblocked=true\n[[registry]]\nlocation="one.example"',
      'one.example/a',
      ['one.example/a:latest'],
    ],
    ['', 'one.example/a', ['one.example/a:latest']],
  ])('of %s for %s', async (text, name, expected) => {
    expect(await places(text, name)).toEqual(expected);
  });

  it('tell which of them are mirrors', async () => {
    const { candidates } = endpointsFor(parseRegistryImage('registry.com/image'), await parse(EXAMPLE));
    expect(candidates.map(({ mirror }) => mirror)).toEqual([true, false]);
  });

  it('are refused when the configuration makes no image name', async () => {
    const conf = await parse('[[registry]]\nprefix="one.example"\nlocation="nohost"');
    const failure = ((): unknown => {
      try {
        return endpointsFor(parseRegistryImage('one.example/a:1'), conf);
      } catch (error) {
        return error;
      }
    })();
    expect(isAtomicError(failure, 'config-invalid') && failure.message).toBe(
      '/etc/r.conf makes "nohost/a:1" of one.example/a:1, which is no image name: it does not begin with a registry',
    );
  });
});

describe('the place where an image is pushed to', () => {
  it('is where its name says, even where pulls go elsewhere', async () => {
    const image = parseRegistryImage('example.com/foo/image:1');
    expect(pushEndpointFor(image, await parse(EXAMPLE)).candidates).toEqual([
      {
        domain: 'example.com',
        repository: 'foo/image',
        tag: '1',
        digest: undefined,
        insecure: false,
        mirror: false,
      },
    ]);
  });

  it('may be insecure or blocked', async () => {
    const image = parseRegistryImage('foo.example.com/x');
    expect(pushEndpointFor(image, await parse(WILDCARDS)).candidates[0]?.insecure).toBe(true);
    const blocking = await parse('[[registry]]\nlocation="foo.example.com"\nblocked=true');
    expect(pushEndpointFor(image, blocking)).toMatchObject({
      blocked: { prefix: 'foo.example.com' },
      candidates: [],
    });
  });
});
