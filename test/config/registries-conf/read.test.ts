import { mkdir, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readRegistriesConf } from '../../../src/config/registries-conf/read.ts';
import type { RegistriesConf } from '../../../src/config/registries-conf/conf.ts';
import { CONFIG_FILE_BYTES } from '../../../src/limits.ts';
import { useTempFolder } from '../../fixtures/temp-folder.ts';

const folder = useTempFolder();

async function write(files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    const path = join(folder(), name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
  }
}

/** Reads below the temp folder: `usr`, `etc`, `cache` are the host's, `home` the user's. */
function read(more: Readonly<Record<string, string>> = {}): Promise<RegistriesConf> {
  const at = (name: string): string => join(folder(), name);
  const system = { folders: [at('usr'), at('etc')], cache: at('cache') };
  return readRegistriesConf({ HOME: at('home'), ...more }, system);
}

const search = (host: string): string => `unqualified-search-registries = ["${host}"]\n`;
const table = (prefix: string, more = ''): string => `[[registry]]\nlocation = "${prefix}"\n${more}\n`;
const alias = (short: string, name: string): string => `[aliases]\n"${short}" = "${name}"\n`;

const USER = 'home/.config/containers';

describe('the configuration of registries', () => {
  it('is that of a host without any', async () => {
    expect(await read()).toEqual({
      searchRegistries: [],
      shortNameMode: 'permissive',
      credentialHelpers: ['containers-auth.json'],
      registries: [],
      aliases: new Map(),
    });
  });

  it.each([
    ['the distribution’s', ['usr'], 'usr.org'],
    ['the host’s', ['usr', 'etc'], 'etc.org'],
    ['the user’s', ['usr', 'etc', USER], 'containers.org'],
  ])('is %s', async (_, folders, expected) => {
    for (const name of folders) await write({ [`${name}/registries.conf`]: search(`${basename(name)}.org`) });
    expect((await read()).searchRegistries).toEqual([expected]);
  });

  it('is the one of CONTAINERS_REGISTRIES_CONF, which has to be there', async () => {
    await write({ 'own.conf': search('own.org'), [`${USER}/registries.conf`]: search('user.org') });
    const named = join(folder(), 'own.conf');
    expect((await read({ CONTAINERS_REGISTRIES_CONF: named })).searchRegistries).toEqual(['own.org']);
    await expect(read({ CONTAINERS_REGISTRIES_CONF: `${named}x` })).rejects.toMatchObject({
      code: 'config-invalid',
      message: `CONTAINERS_REGISTRIES_CONF names ${named}x, and there is no such file`,
    });
  });

  it('has drop-ins by name, the user’s last, and nothing but *.conf', async () => {
    await write({
      'etc/registries.conf': search('main.org') + table('a.org') + table('b.org', 'insecure = true'),
      'etc/registries.conf.d/10-b.conf': table('b.org', 'blocked = true'),
      'etc/registries.conf.d/20-c.conf': table('c.org'),
      'etc/registries.conf.d/30-no.conf.rpmnew': search('no.org'),
      'etc/registries.conf.d/40-folder.conf/x': '',
      'usr/registries.conf.d/50-d.conf': `${search('usr.org')}short-name-mode = "enforcing"\n`,
      [`${USER}/registries.conf.d/00.conf`]: table('c.org', 'insecure = true'),
    });
    const conf = await read();
    expect(conf.searchRegistries).toEqual(['usr.org']);
    expect(conf.shortNameMode).toBe('enforcing');
    expect(conf.registries.map(({ prefix, insecure, blocked }) => [prefix, insecure, blocked])).toEqual([
      ['a.org', false, false],
      ['b.org', false, true],
      ['c.org', true, false],
    ]);
  });

  it('has an empty list where a drop-in says so', async () => {
    await write({
      'etc/registries.conf': search('main.org'),
      'etc/registries.conf.d/x.conf': 'unqualified-search-registries = []',
    });
    expect((await read()).searchRegistries).toEqual([]);
  });

  it('leaves the host’s drop-ins out where the user has a file that stands for the host’s', async () => {
    await write({
      'etc/registries.conf.d/x.conf': table('host.org'),
      [`${USER}/registries.conf`]: table('user.org'),
      [`${USER}/registries.conf.d/x.conf`]: table('drop-in.org'),
    });
    expect((await read()).registries.map(({ prefix }) => prefix)).toEqual(['user.org', 'drop-in.org']);
  });

  it('has the aliases of all files, and podman’s last', async () => {
    const home = userInfo().uid === 0 ? 'cache' : 'home/.cache';
    await write({
      'etc/registries.conf': `[aliases]\n"a" = "main.org/a"\n"b" = "main.org/b"\n"c" = "main.org/c"\n`,
      'etc/registries.conf.d/000-shortnames.conf': alias('a', 'shortnames.org/a'),
      [`${USER}/registries.conf.d/x.conf`]: alias('b', ''),
      [`${home}/containers/short-name-aliases.conf`]: alias('c', 'chosen.org/c'),
    });
    const { aliases } = await read();
    expect(Object.fromEntries([...aliases].map(([short, { name }]) => [short, name]))).toEqual({
      a: 'shortnames.org/a',
      b: undefined,
      c: 'chosen.org/c',
    });
  });

  it('is refused when a file is too large', async () => {
    await write({ 'etc/registries.conf': '#'.repeat(CONFIG_FILE_BYTES + 1) });
    await expect(read()).rejects.toMatchObject({ code: 'limit-exceeded' });
  });
});
