import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { authFiles, findCredentials, isIdentityToken, type Credentials } from '../../src/config/auth-file.ts';
import { CONFIG_FILE_BYTES } from '../../src/limits.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atomic-test-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Writes an auth file whose entries are `user:password`. */
async function write(path: string, entries: Record<string, string>): Promise<string> {
  const auths: Record<string, object> = {};
  for (const [key, auth] of Object.entries(entries))
    auths[key] = { auth: Buffer.from(auth).toString('base64') };
  const file = join(folder, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, JSON.stringify({ auths }));
  return file;
}

async function find(
  name: string,
  more: { authFile?: string; anonymous?: boolean } = {},
): Promise<string | undefined> {
  const [domain = '', ...path] = name.split('/');
  const environment = { HOME: join(folder, 'home'), XDG_RUNTIME_DIR: join(folder, 'run') };
  const found = await findCredentials({ domain, repository: path.join('/'), environment, ...more });
  return found && (isIdentityToken(found) ? found.identityToken : found.username);
}

describe('the credentials for an image', () => {
  it('are those of the longest part of its name', async () => {
    await write('run/containers/auth.json', {
      'r.example:5000': 'host:1',
      'r.example:5000/team': 'team:1',
      'r.example:5000/team/app': 'app:1',
      'r.example': 'other:1',
    });
    expect(await find('r.example:5000/team/app')).toBe('app');
    expect(await find('r.example:5000/team/app2')).toBe('team');
    expect(await find('r.example:5000/teams/app')).toBe('host');
    expect(await find('r.example/team/app')).toBe('other');
    expect(await find('xr.example/team/app')).toBeUndefined();
  });

  it('are none for who wants none', async () => {
    await write('run/containers/auth.json', { 'r.example': 'host:1' });
    expect(await find('r.example/app')).toBe('host');
    expect(await find('r.example/app', { anonymous: true })).toBeUndefined();
  });

  it('may stand under the URLs that docker login wrote', async () => {
    await write('home/.docker/config.json', {
      'https://index.docker.io/v1/': 'hub:1',
      'https://quay.example/v2/': 'quay:1',
      'http://old.example': 'old:1',
      'https://quay.example.evil/v1/': 'evil:1',
    });
    expect(await find('docker.io/library/busybox')).toBe('hub');
    expect(await find('quay.example/app')).toBe('quay');
    expect(await find('old.example/app')).toBe('old');
    expect(await find('example/app')).toBeUndefined();
  });

  it('are taken from the first file that has some', async () => {
    await write('home/.docker/config.json', {
      'a.example': 'docker:1',
      'b.example': 'docker:1',
      'c.example': 'docker:1',
    });
    await write('home/.config/containers/auth.json', { 'a.example': 'config:1', 'b.example': 'config:1' });
    await write('run/containers/auth.json', { 'a.example': 'run:1' });
    expect([await find('a.example/x'), await find('b.example/x'), await find('c.example/x')]).toEqual([
      'run',
      'config',
      'docker',
    ]);
  });

  it('are taken from a named file alone, which has to exist', async () => {
    await write('run/containers/auth.json', { 'a.example': 'run:1' });
    const authFile = await write('mine.json', { 'b.example': 'mine:1' });
    expect(await find('b.example/x', { authFile })).toBe('mine');
    expect(await find('a.example/x', { authFile })).toBeUndefined();
    await expect(find('a.example/x', { authFile: join(folder, 'no.json') })).rejects.toMatchObject({
      code: 'config-invalid',
    });
  });

  it('keep colons and letters of any script in the password, and lose the padding of old dockers', async () => {
    const authFile = await write('auth.json', { 'a.example': 'user:pä:ss\0\0' });
    const found = await findCredentials({ domain: 'a.example', repository: 'x', authFile, environment: {} });
    expect(found).toEqual<Credentials>({ username: 'user', password: 'pä:ss' });
  });

  it('are a refresh token where a token server gave one', async () => {
    const authFile = join(folder, 'auth.json');
    const auth = Buffer.from('<token>:').toString('base64');
    await writeFile(authFile, JSON.stringify({ auths: { 'a.example': { auth, identitytoken: 'refresh' } } }));
    const found = await findCredentials({ domain: 'a.example', repository: 'x', authFile, environment: {} });
    expect(found).toEqual<Credentials>({ identityToken: 'refresh' });
  });

  it('are none where a credential helper keeps them and none can be run', async () => {
    const authFile = join(folder, 'auth.json');
    await writeFile(authFile, '{"auths":{"a.example":{}},"credsStore":"pass"}');
    expect(await find('a.example/x', { authFile })).toBeUndefined();
    await writeFile(authFile, '{"credsStore":"pass"}');
    expect(await find('a.example/x', { authFile })).toBeUndefined();
  });

  it('are not looked for in the inherited properties of an object', async () => {
    expect(await find('constructor/x', { authFile: await write('auth.json', {}) })).toBeUndefined();
  });
});

describe('a file that is no auth file', () => {
  it.each([
    ['{"auths": secret-password}', 'is not valid JSON'],
    ['[]', 'is not a JSON object'],
    ['{"auths":[]}', 'auths that are not an object'],
    ['{"credHelpers":"secret"}', 'credHelpers that are not an object'],
    ['{"credsStore":["secret"]}', 'a credsStore that is no text'],
    [
      `{"auths":{"a.example":{"auth":"${Buffer.from('secret-password').toString('base64')}"}}}`,
      'not base64 of USER',
    ],
  ])('is refused and nothing of it is shown: %s', async (text, found) => {
    const authFile = join(folder, 'auth.json');
    await writeFile(authFile, text);
    const failure: unknown = await find('a.example/x', { authFile }).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'config-invalid' });
    expect(String(failure)).toContain(found);
    expect(String(failure)).not.toContain('secret');
  });

  it('is refused when it is too large', async () => {
    const authFile = join(folder, 'auth.json');
    await writeFile(authFile, Buffer.alloc(CONFIG_FILE_BYTES + 1, ' '));
    await expect(find('a.example/x', { authFile })).rejects.toMatchObject({ code: 'limit-exceeded' });
  });
});

describe('the files that are asked', () => {
  it('are those of containers-auth.json(5)', () => {
    expect(authFiles({ environment: { HOME: '/h', XDG_RUNTIME_DIR: '/r', XDG_CONFIG_HOME: '/c' } })).toEqual([
      '/r/containers/auth.json',
      '/c/containers/auth.json',
      '/h/.docker/config.json',
    ]);
    expect(authFiles({ environment: { HOME: '/h' } })).toEqual([
      `/run/containers/${userInfo().uid}/auth.json`,
      '/h/.config/containers/auth.json',
      '/h/.docker/config.json',
    ]);
  });

  it('end with the one in DOCKER_CONFIG', () => {
    expect(authFiles({ environment: { HOME: '/h', DOCKER_CONFIG: '/d' } }).at(-1)).toBe('/d/config.json');
  });

  it('are one when it is named', () => {
    const environment = { HOME: '/h', REGISTRY_AUTH_FILE: '/env.json' };
    expect(authFiles({ environment })).toEqual(['/env.json']);
    expect(authFiles({ environment, authFile: '/option.json' })).toEqual(['/option.json']);
  });
});
