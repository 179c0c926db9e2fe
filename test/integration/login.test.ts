/** Logging in and out, as a person does it, at a real registry; skopeo judges the files. */
import { execFile, spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeHelper } from '../fixtures/credential-helper.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';
import { startFakeRegistry } from '../registry/fake-registry.ts';
import { startRealRegistry, type RealRegistry } from '../registry/real-registry.ts';

const PROGRAM = join(import.meta.dirname, '../../dist/atomic-ts.js');
const USER = { username: 'user', password: 'pass:wörd' };
const folder = useTempFolder();

let registry: RealRegistry;
beforeAll(async () => {
  registry = await startRealRegistry({ htpasswd: USER });
});
afterAll(() => registry.close());

interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const environment = (): NodeJS.ProcessEnv => ({
  PATH: `${join(folder(), 'bin')}:${process.env['PATH']}`,
  HOME: join(folder(), 'home'),
  XDG_RUNTIME_DIR: join(folder(), 'run'),
  ATOMIC_CONF: join(folder(), 'atomic.conf'),
});
const authFile = (): string => join(folder(), 'run/containers/auth.json');
const readAuths = (path = authFile()): unknown => JSON.parse(readFileSync(path, 'utf8'));

/** Runs us with something piped in. */
async function run(args: readonly string[], input = ''): Promise<Ran> {
  writeFileSync(join(folder(), 'atomic.conf'), '');
  const child = spawn(process.execPath, [PROGRAM, ...args], { env: environment(), timeout: 60_000 });
  child.stdin.on('error', () => undefined).end(input);
  const collected = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (text: string) => (collected[name] += text));
  const status = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject).on('close', resolve);
  });
  // Whatever was done: nobody ever sees the password, and nothing that can be read back as one.
  for (const text of [collected.stdout, collected.stderr]) {
    expect(text).not.toContain(USER.password);
    expect(text).not.toContain(Buffer.from(`${USER.username}:${USER.password}`).toString('base64'));
  }
  return { status, ...collected };
}

const login = (...more: readonly string[]): Promise<Ran> =>
  run(['login', '-u', USER.username, '--password-stdin', ...more], `${USER.password}\n`);

async function skopeo(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)('skopeo', args, { env: environment() });
  return stdout.trim();
}

describe('login', () => {
  it('keeps what the registry takes, for us and for skopeo, and nobody else may read it', async () => {
    expect(await login(registry.host)).toEqual({ status: 0, stdout: 'Login Succeeded!\n', stderr: '' });
    expect(statSync(authFile()).mode & 0o777).toBe(0o600);
    expect(statSync(join(folder(), 'run/containers')).mode & 0o777).toBe(0o700);
    expect(await skopeo('login', '--get-login', registry.host)).toBe(USER.username);
    expect(await run(['login', '--get-login', registry.host])).toMatchObject({
      status: 0,
      stdout: 'user\n',
    });
    expect(await run(['login', registry.host])).toEqual({
      status: 0,
      stdout: `Existing credentials are valid. Already logged in to ${registry.host}\n`,
      stderr: `Authenticating with existing credentials for ${registry.host}\n`,
    });
  });

  it('knows what skopeo login has kept, and takes it back', async () => {
    const file = join(folder(), 'skopeo.json');
    const { username, password } = USER;
    const credentials = ['-u', username, '-p', password, '--authfile', file];
    await skopeo('login', '--tls-verify=false', ...credentials, registry.host);
    expect((await run(['login', '--authfile', file, registry.host])).stdout).toContain('Already logged in');
    expect(await run(['logout', '--authfile', file, registry.host])).toEqual({
      status: 0,
      stdout: `Removed login credentials for ${registry.host}\n`,
      stderr: '',
    });
    expect(readAuths(file)).toEqual({ auths: {} });
  });

  it('keeps nothing that the registry does not take', async () => {
    const { status, stderr } = await run(
      ['--debug', 'login', '-u', 'user', '--password-stdin', registry.host],
      'wr0ng',
    );
    expect(status).toBe(1);
    expect(stderr).toContain(`${registry.host} does not accept the user name and password\nCheck both`);
    expect(stderr).not.toContain('wr0ng');
    expect(stderr).not.toContain(Buffer.from('user:wr0ng').toString('base64'));
    expect(existsSync(authFile())).toBe(false);
  });

  it('warns of a password on the command line, and shows it to nobody', async () => {
    const args = ['-u', USER.username, '-p', USER.password, registry.host];
    const { status, stderr } = await run(['--debug', 'login', ...args]);
    expect(status).toBe(0);
    expect(stderr).toBe(
      'Warning: Everybody on this machine can see a password on the command line: rather --password-stdin\n',
    );
  });

  it('tells in JSON who is logged in where', async () => {
    const { status, stdout } = await run(
      ['--json', 'login', '-u', 'user', '--password-stdin', `${registry.host}/team`],
      USER.password,
    );
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      registry: `${registry.host}/team`,
      username: 'user',
      keptIn: authFile(),
    });
  });

  it('keeps a namespace apart from its registry', async () => {
    await login(`${registry.host}/team`);
    expect((await run(['login', '--get-login', `${registry.host}/team/app`])).stdout).toBe('user\n');
    expect(await run(['login', '--get-login', registry.host])).toMatchObject({
      status: 1,
      stderr: `Not logged into ${registry.host}\n`,
    });
    expect((await run(['logout', registry.host])).status).toBe(1);
    expect((await run(['logout', `${registry.host}/team`])).status).toBe(0);
  });

  it('leaves alone what others have in the file, which may be a link', async () => {
    const file = join(folder(), 'real.json');
    const link = join(folder(), 'link.json');
    const others = { auths: { 'other.example': { auth: 'eDp5', note: 1 } }, HttpHeaders: { a: 'b' } };
    writeFileSync(file, JSON.stringify(others));
    symlinkSync('real.json', link);
    await login('--authfile', link, registry.host);
    expect(readAuths(file)).toMatchObject(others);
    expect((await run(['logout', '--authfile', link, registry.host])).status).toBe(0);
    expect(readAuths(file)).toEqual(others);
  });

  it('loses nothing when several log in at once', async () => {
    const names = ['a', 'b', 'c', 'd'];
    await Promise.all(names.map((name) => login(`${registry.host}/${name}`)));
    expect(Object.keys((readAuths() as { auths: object }).auths).sort()).toEqual(
      names.map((name) => `${registry.host}/${name}`),
    );
  });

  it('asks a token server, and shows it the credentials alone', async () => {
    const fake = await startFakeRegistry({ auth: { kind: 'token', ...USER } });
    try {
      expect(await login(fake.host)).toMatchObject({ status: 0 });
      const wrong = await run(['login', '-u', 'user', '--password-stdin', fake.host], 'wr0ng');
      expect(wrong).toMatchObject({ status: 1 });
      expect(wrong.stderr).toContain(`${fake.host} does not accept the user name and password`);
    } finally {
      await fake.close();
    }
  });

  it.each([
    [['-u', 'user', 'r.example'], 'wants a user name and a password, and cannot ask for them'],
    [['--password-stdin', 'r.example'], '--password-stdin wants --username'],
    [['-u', 'a:b', '--password-stdin', 'r.example'], 'has a colon in it'],
    [['-u', 'user', '--password-stdin', 'r.example'], 'The password is empty'],
    [['-p', 'x', '--password-stdin', '-u', 'user', 'r.example'], 'cannot be given together'],
    [['noregistry'], '"noregistry" is no registry'],
    [['https://user:pass:wörd@r.example'], '"…@r.example" is no registry'],
    [['r.example/image:tag'], '"r.example/image:tag" is no registry'],
  ])('is refused as a mistake in usage: %j', async (args, found) => {
    const { status, stderr } = await run(['login', ...args]);
    expect(status).toBe(2);
    expect(stderr).toContain(found);
  });

  it('asks on a terminal, and shows no password that is typed, not even ahead', async () => {
    const command = `${process.execPath} ${PROGRAM} login ${registry.host}`;
    writeFileSync(join(folder(), 'atomic.conf'), '');
    const child = spawn('script', ['-qec', command, '/dev/null'], { env: environment(), timeout: 60_000 });
    let screen = '';
    let answered = false;
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      screen += text;
      if (answered || !screen.includes('Username: ')) return;
      answered = true;
      child.stdin.write(`${USER.username}\r${USER.password}\r`);
    });
    const status = await new Promise((resolve) => child.on('close', resolve));
    expect([status, screen.replaceAll('\r', '')]).toEqual([
      0,
      expect.stringMatching(/Username: .*user\nPassword: \nLogin Succeeded!\n$/s),
    ]);
    expect(screen).not.toContain('pass');
  });
});

describe('logout', () => {
  it('says when there is nothing to forget, and where else there is something', async () => {
    expect(await run(['logout', registry.host])).toEqual({
      status: 1,
      stdout: '',
      stderr: `Not logged into ${registry.host}\n`,
    });
    const docker = join(folder(), 'home/.docker/config.json');
    await login('--authfile', docker, registry.host);
    expect((await run(['logout', registry.host])).stderr).toContain('Another tool or a namespace above it');
    expect(existsSync(docker)).toBe(true);
  });

  it('forgets all there are with --all', async () => {
    await login(registry.host);
    await login(`${registry.host}/team`);
    expect((await run(['logout', '--all'])).stdout).toBe('Removed login credentials for all registries\n');
    expect(readAuths()).toEqual({ auths: {} });
  });

  it.each([[['logout']], [['logout', '--all', 'r.example']]])('takes either: %j', async (args) => {
    expect((await run(args)).status).toBe(2);
  });
});

describe('a credential helper', () => {
  it('keeps the login of its registry, and the file has nothing of it', async () => {
    mkdirSync(join(folder(), 'run/containers'), { recursive: true });
    const document = { auths: {}, credHelpers: { [registry.host]: 'box' } };
    writeFileSync(authFile(), JSON.stringify(document));
    writeHelper(join(folder(), 'bin'), 'box');
    expect(await login(registry.host)).toMatchObject({ status: 0, stdout: 'Login Succeeded!\n' });
    expect(readAuths()).toEqual(document);
    expect((await run(['login', registry.host])).stdout).toContain('Already logged in');
    expect(await skopeo('login', '--get-login', registry.host)).toBe(USER.username);
    expect((await login(`${registry.host}/team`)).stderr).toContain('only for whole registries');
    expect((await run(['logout', registry.host])).status).toBe(0);
    expect((await run(['logout', registry.host])).status).toBe(1);
    expect(readFileSync(join(folder(), 'bin/box.log'), 'utf8')).toContain(`erase ${registry.host}`);
  });

  it('that fails is told of, and the password is not', async () => {
    mkdirSync(join(folder(), 'run/containers'), { recursive: true });
    mkdirSync(join(folder(), 'bin'));
    writeFileSync(authFile(), JSON.stringify({ credsStore: 'sad' }));
    const program = join(folder(), 'bin/docker-credential-sad');
    writeFileSync(
      program,
      '#!/bin/sh\nif [ "$1" = store ]; then cat; else echo credentials not found; fi\nexit 1\n',
    );
    chmodSync(program, 0o755);
    const { status, stderr } = await login(registry.host);
    expect(status).toBe(1);
    expect(stderr).toBe(
      `docker-credential-sad store failed for ${registry.host}\nTry it by hand: echo HOST | docker-credential-sad get\n`,
    );
  });
});
