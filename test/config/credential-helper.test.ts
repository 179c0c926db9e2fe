import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { findCredentials, type Credentials } from '../../src/config/auth-file.ts';
import { eraseFromHelper, getFromHelper, storeInHelper } from '../../src/config/credential-helper.ts';
import { createExec } from '../../src/host/exec.ts';
import { CREDENTIAL_HELPER_BYTES } from '../../src/limits.ts';
import { writeHelper, writeScript } from '../fixtures/credential-helper.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';

const USER: Credentials = { username: 'user', password: 's3cret' };
const folder = useTempFolder();
const programs = (): string => join(folder(), 'bin');
const context = (): { exec: ReturnType<typeof createExec> } => ({ exec: createExec({ PATH: programs() }) });

/** All that could be shown of what a promise fails with, causes included. */
async function failureOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'nothing failed',
    (error: unknown) => inspect(error, { depth: 10 }),
  );
}

describe('a credential helper', () => {
  it('keeps credentials, gives them back and forgets them', async () => {
    writeHelper(programs(), 'box');
    expect(await getFromHelper('box', 'r.example:5000', context())).toBeUndefined();
    await storeInHelper('box', 'r.example:5000', USER, context());
    expect(await getFromHelper('box', 'r.example:5000', context())).toEqual(USER);
    expect(await eraseFromHelper('box', 'r.example:5000', context())).toBe(true);
    expect(await eraseFromHelper('box', 'r.example:5000', context())).toBe(false);
  });

  it('keeps an identity token under the user name that says so', async () => {
    writeHelper(programs(), 'box');
    await storeInHelper('box', 'r.example', { identityToken: 'refresh' }, context());
    expect(readFileSync(join(programs(), 'box.json'), 'utf8')).toContain('"Username":"<token>"');
    expect(await getFromHelper('box', 'r.example', context())).toEqual({ identityToken: 'refresh' });
  });

  it('is asked for Docker Hub under both of its names', async () => {
    writeHelper(programs(), 'box');
    await storeInHelper('box', 'https://index.docker.io/v1/', USER, context());
    expect(await getFromHelper('box', 'docker.io', context())).toEqual(USER);
  });

  it.each([
    ['console.log("not JSON s3cret")', 'answered for r.example what are no credentials'],
    ['console.log(JSON.stringify({Username:"u",Secret:["s3cret"]}))', 'answered for r.example what are no'],
    ['console.log("Cannot autolaunch D-Bus\\nmore"); process.exitCode = 1', '("Cannot autolaunch D-Bus")'],
    [
      'console.log(JSON.stringify({Username:"u",Secret:"s3cret"})); process.exitCode = 3',
      'get failed for r.example',
    ],
    ['console.error("s3cret"); process.kill(process.pid, "SIGKILL")', 'docker-credential-bad get was ended'],
    [
      `process.stdout.write('{"Username":"u","Secret":"s3cret' + 'x'.repeat(${CREDENTIAL_HELPER_BYTES}) + '"}')`,
      'answered for r.example what are no credentials',
    ],
  ])('that fails is told of without its secret: %s', async (script, found) => {
    writeScript(programs(), 'bad', script);
    const failure = await failureOf(getFromHelper('bad', 'r.example', context()));
    expect(failure).toContain(found);
    expect(failure).toContain('config-invalid');
    expect(failure).not.toContain('s3cret');
  });

  it('that fails to store does not give away what it was to keep', async () => {
    writeScript(
      programs(),
      'bad',
      'console.log(require("fs").readFileSync(0, "utf8")); process.exitCode = 1',
    );
    const failure = await failureOf(storeInHelper('bad', 'r.example', USER, context()));
    expect(failure).toContain('docker-credential-bad store failed for r.example');
    expect(failure).not.toContain('s3cret');
  });

  it('that is not installed is told of by its name', async () => {
    const failure = await failureOf(getFromHelper('none', 'r.example', context()));
    expect(failure).toContain('The credential helper docker-credential-none is not installed');
    expect(failure).toContain('tool-missing');
  });

  it.each(['../x', 'a/b', '', '-x', '..'])('is not run under the name %j', async (name) => {
    writeScript(folder(), 'x', 'console.log("{}")');
    expect(await failureOf(getFromHelper(name, 'r.example', context()))).toContain(
      'no name of a credential helper',
    );
  });

  it('ends with the one who waits for it', async () => {
    writeScript(programs(), 'slow', 'setInterval(() => {}, 1000)');
    const signal = AbortSignal.abort();
    const failure = await failureOf(getFromHelper('slow', 'r.example', { ...context(), signal }));
    expect(failure).toContain('interrupted');
  });
});

describe('the credentials for an image', () => {
  const AUTH = Buffer.from('file:s3cret').toString('base64');

  /** Who one is at r.example by an auth file and a registries.conf. */
  async function find(auth: object, registries = ''): Promise<Credentials | undefined> {
    const authFile = join(folder(), 'auth.json');
    const registriesConf = join(folder(), 'registries.conf');
    writeFileSync(authFile, JSON.stringify(auth));
    writeFileSync(registriesConf, registries);
    const environment = { HOME: folder(), CONTAINERS_REGISTRIES_CONF: registriesConf };
    return findCredentials({
      domain: 'r.example',
      repository: 'app',
      authFile,
      environment,
      ...context(),
    });
  }

  async function keep(name: string): Promise<void> {
    mkdirSync(programs(), { recursive: true });
    writeHelper(programs(), name);
    await storeInHelper(name, 'r.example', { username: name, password: 's3cret' }, context());
  }

  it('are those of the helper of its registry, and not of the file’s entries', async () => {
    await keep('box');
    writeHelper(programs(), 'empty');
    const auths = { 'r.example/app': { auth: AUTH } };
    expect(await find({ auths, credHelpers: { 'r.example': 'box' } })).toMatchObject({ username: 'box' });
    expect(await find({ auths, credHelpers: { 'r.example': 'empty' } })).toBeUndefined();
    expect(await find({ auths, credHelpers: { 'other.example': 'box' } })).toMatchObject({
      username: 'file',
    });
  });

  it('are those of the store, then of the file’s entries', async () => {
    await keep('box');
    writeHelper(programs(), 'empty');
    const auths = { 'r.example': { auth: AUTH } };
    expect(await find({ auths, credsStore: 'box' })).toMatchObject({ username: 'box' });
    expect(await find({ auths, credsStore: 'empty' })).toMatchObject({ username: 'file' });
  });

  it('are looked for in the order of registries.conf', async () => {
    await keep('box');
    const auths = { 'r.example': { auth: AUTH } };
    const order = (...names: string[]): string => `credential-helpers = ${JSON.stringify(names)}`;
    expect(await find({ auths }, order('box', 'containers-auth.json'))).toMatchObject({ username: 'box' });
    expect(await find({ auths }, order('containers-auth.json', 'box'))).toMatchObject({ username: 'file' });
    expect(await find({}, order('containers-auth.json', 'box'))).toMatchObject({ username: 'box' });
    expect(await find({ auths }, order())).toMatchObject({ username: 'file' });
  });
});
