import { describe, expect, it } from 'vitest';
import { mergeFiles } from '../../../src/config/registries-conf/conf.ts';
import { parseRegistriesFile } from '../../../src/config/registries-conf/parse.ts';
import { readShortName, type ShortName } from '../../../src/config/registries-conf/short-names.ts';
import { parseRegistryImage } from '../../../src/image/reference.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;
const ALIASES = '[aliases]\n"fedora" = "r.example/os/fedora"\n"team/app" = "docker.io/app"\n"gone" = ""\n';
const SEARCH = 'unqualified-search-registries = ["a.example", "b.example:5000"]\n';

async function read(name: string, ...texts: string[]): Promise<ShortName> {
  const files = texts.map((text, i) => parseRegistriesFile(Buffer.from(text), `/etc/${i}.conf`, 'main'));
  return readShortName(parseRegistryImage(name), mergeFiles(await Promise.all(files)));
}

describe('a short name', () => {
  it.each([
    ['fedora', ['r.example/os/fedora:latest']],
    ['fedora:40', ['r.example/os/fedora:40']],
    [`fedora@${DIGEST}`, [`r.example/os/fedora@${DIGEST}`]],
    [`fedora:40@${DIGEST}`, [`r.example/os/fedora:40@${DIGEST}`]],
    ['team/app', ['docker.io/library/app:latest']],
    ['app', ['a.example/app:latest', 'b.example:5000/app:latest']],
    [`team/other:1@${DIGEST}`, [`a.example/team/other:1@${DIGEST}`, `b.example:5000/team/other:1@${DIGEST}`]],
    ['gone', ['a.example/gone:latest', 'b.example:5000/gone:latest']],
  ])('is an alias, or in one of the registries that are searched: %s', async (name, expected) => {
    const { images } = await read(name, SEARCH + ALIASES);
    expect(
      images.map(
        ({ domain, repository, tag, digest }) =>
          `${domain}/${repository}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`,
      ),
    ).toEqual(expected);
    expect(images.every((image) => image.qualified)).toBe(true);
  });

  it('tells which file has its alias', async () => {
    const { alias } = await read('fedora', ALIASES, '[aliases]\n"fedora" = "other.example/fedora"');
    expect(alias).toEqual({ name: 'other.example/fedora', file: '/etc/1.conf' });
  });

  it('is Docker Hub’s where nothing is configured', async () => {
    const image = parseRegistryImage('busybox:1');
    const conf = mergeFiles([]);
    expect(readShortName(image, conf)).toEqual({ images: [image], alias: undefined, isAmbiguous: false });
  });

  it('is ambiguous where several registries are searched and somebody has to choose', async () => {
    const mode = (name: string): string => `short-name-mode = "${name}"\n`;
    const one = 'unqualified-search-registries = ["a.example"]\n';
    expect((await read('app', SEARCH + mode('enforcing'))).isAmbiguous).toBe(true);
    expect((await read('fedora', SEARCH + mode('enforcing') + ALIASES)).isAmbiguous).toBe(false);
    expect((await read('app', one + mode('enforcing'))).isAmbiguous).toBe(false);
    expect((await read('app', SEARCH + mode('permissive'))).isAmbiguous).toBe(false);
    expect((await read('app', SEARCH + mode('disabled'))).isAmbiguous).toBe(false);
    expect((await read('app', SEARCH)).isAmbiguous).toBe(false);
  });
});
