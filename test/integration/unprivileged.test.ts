/**
 * The whole of moving images as an ordinary user: the built program with nothing but a home of its own, on a host whose
 * store is root's, without XDG_RUNTIME_DIR.
 */
import { execFile, execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { hexOf } from '../../src/image/digest.ts';
import { buildImage, writeOciLayout } from '../fixtures/image-builder.ts';
import { startRealDocker, type RealDocker } from '../registry/real-docker.ts';
import { startRealRegistry, type RealRegistry } from '../registry/real-registry.ts';

/** Nobody else's, so that its files can be told from all others. */
const UID = 500_000 + (process.pid % 100_000);
const LOGIN = { username: 'user', password: 'not told' };

const IMAGE = buildImage({
  layers: [{ entries: [{ path: 'a', content: 'x' }] }, { entries: [{ path: 'b', content: 'y' }] }],
  config: { Labels: { version: '7' } },
});

let folder = '';
let home = '';
let registry: RealRegistry;
let closed: RealRegistry;
let docker: RealDocker;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'atomic-ts-user-'));
  chmodSync(folder, 0o755);
  cpSync(join(import.meta.dirname, '../../dist'), join(folder, 'dist'), { recursive: true });
  execFileSync('chmod', ['-R', 'a+rX', join(folder, 'dist')]);
  mkdirSync(join(folder, 'store'), { mode: 0o700 });
  writeOciLayout(join(folder, 'image'), [{ image: IMAGE, tag: 'v1' }]);
  execFileSync('chmod', ['-R', 'a+rX', join(folder, 'image')]);
  registry = await startRealRegistry({ deletes: true });
  closed = await startRealRegistry({ htpasswd: LOGIN });
  docker = await startRealDocker();
  // As an engine's package does it for the group docker.
  chmodSync(dirname(docker.socketPath), 0o711);
  chownSync(docker.socketPath, 0, UID);
});

afterAll(async () => {
  await registry.close();
  await closed.close();
  await docker.close();
  rmSync(folder, { recursive: true, force: true });
});

beforeEach(() => {
  home = mkdtempSync(join(folder, 'home-'));
  chownSync(home, UID, UID);
});

afterEach(() => rmSync(home, { recursive: true, force: true }));

interface Result {
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the program as the user, in its home. */
function run(args: readonly string[], { umask = '022', input = '' } = {}): Promise<Result> {
  const script = 'umask "$1"; shift; exec "$@"';
  const user = ['setpriv', `--reuid=${UID}`, `--regid=${UID}`, '--clear-groups', '--no-new-privs'];
  const program = [process.execPath, join(folder, 'dist/atomic-ts.js'), ...args];
  const running = promisify(execFile)('sh', ['-c', script, 'sh', umask, ...user, ...program], {
    cwd: home,
    timeout: 60_000,
    env: {
      PATH: process.env['PATH'],
      HOME: home,
      TMPDIR: home,
      ATOMIC_OSTREE_CHECKOUT_PATH: join(folder, 'store'),
    },
  });
  running.child.stdin?.end(input);
  return running;
}

/** Everything that the user owns on this host, its home aside. */
function filesElsewhere(): string[] {
  const places = ['/etc', '/home', '/root', '/run', '/tmp', '/var', '/dev/shm'];
  const found = execFileSync(
    'sh',
    [
      '-c',
      `find "$@" -xdev -maxdepth 6 -path '${home}' -prune -o -uid ${UID} -print 2>/dev/null || :`,
      'sh',
      ...places,
    ],
    { encoding: 'utf8' },
  );
  return found.split('\n').filter(Boolean);
}

describe('an ordinary user', () => {
  test('copies, looks at, takes apart and deletes images', async () => {
    const name = `docker://${registry.host}/team/app`;
    await run(['copy', `oci:${folder}/image:v1`, `${name}:1`]);
    await run(['copy', `${name}:1`, `dir:${home}/dir`]);
    await run(['copy', `${name}:1`, 'oci:./layout:v1']);
    await run(['layers', `${name}:1`, '--dir', 'layers']);
    for (const place of ['dir', 'layers']) {
      expect(readFileSync(join(home, place, 'manifest.json'))).toEqual(IMAGE.manifest);
      for (const [digest, bytes] of IMAGE.blobs)
        expect(readFileSync(join(home, place, hexOf(digest)))).toEqual(bytes);
    }
    for (const place of [`${name}:1`, `dir:${home}/dir`, 'oci:./layout:v1']) {
      const { stdout } = await run(['inspect', '--format', '{{.Digest}} {{.Labels.version}}', place]);
      expect(stdout).toBe(`${IMAGE.digest} 7\n`);
    }
    const { stdout: listed } = await run(['list-tags', name]);
    expect(JSON.parse(listed)).toEqual({ Repository: `${registry.host}/team/app`, Tags: ['1'] });
    await run(['delete', `${name}:1`]);
    await expect(run(['inspect', `${name}:1`])).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining('has no such image'),
    });
    expect(readdirSync(join(folder, 'store'))).toEqual([]);
    expect(filesElsewhere()).toEqual([]);
  });

  test('takes an image through every transport, and has it whole at the end', async () => {
    const places = [
      `oci:${folder}/image:v1`,
      `docker://${registry.host}/round:1`,
      `dir:${home}/dir`,
      `oci:${home}/layout:v1`,
      `oci-archive:${home}/oci.tar:v1`,
      `docker-archive:${home}/docker.tar:round:1`,
      'docker-daemon:round:1',
      `ostree:round:1@${home}/repo`,
      `dir:${home}/end`,
    ];
    const engine = [`--src-daemon-host=${docker.host}`, `--dest-daemon-host=${docker.host}`];
    for (const [i, place] of places.slice(1).entries())
      await run(['copy', ...engine, places[i] ?? '', place], { umask: '077' });
    const end = JSON.parse(readFileSync(join(home, 'end/manifest.json'), 'utf8')) as {
      config: { digest: string };
      layers: { digest: string }[];
    };
    expect(end.config.digest).toBe(IMAGE.configDigest);
    expect(end.layers.map(({ digest }) => digest)).toEqual(IMAGE.diffIds);
    const check = [
      '--reuid',
      String(UID),
      '--clear-groups',
      'ostree',
      `--repo=${home}/repo`,
      'fsck',
      '--quiet',
    ];
    execFileSync('setpriv', check, { env: { PATH: process.env['PATH'], HOME: home } });
    expect(statSync(join(home, 'oci.tar')).mode & 0o777).toBe(0o600);
    expect(filesElsewhere()).toEqual([]);
  });

  test('logs in, copies with that and logs out', async () => {
    const name = `docker://${closed.host}/app:1`;
    const access = ['--authfile', join(home, 'auth.json')];
    const login = ['login', closed.host, '-u', LOGIN.username, '--password-stdin', ...access];
    await expect(run(login, { input: 'wrong' })).rejects.toMatchObject({ code: 1 });
    await run(login, { input: LOGIN.password });
    expect(statSync(join(home, 'auth.json')).mode & 0o777).toBe(0o600);
    await run(['copy', `oci:${folder}/image:v1`, name, ...access]);
    const { stdout } = await run(['inspect', '--format', '{{.Digest}}', name, ...access]);
    expect(stdout).toBe(`${IMAGE.digest}\n`);
    await run(['logout', closed.host, ...access]);
    await expect(run(['inspect', name, ...access])).rejects.toMatchObject({ code: 1 });
    expect(filesElsewhere()).toEqual([]);
  });

  test.each([
    ['022', 0o644, 0o755],
    ['077', 0o600, 0o700],
  ])('gets files as the umask %s says', async (umask, file, directory) => {
    await run(['copy', `oci:${folder}/image:v1`, 'dir:dir'], { umask });
    const modeOf = (name: string): number => statSync(join(home, name)).mode & 0o777;
    expect(modeOf('dir')).toBe(directory);
    for (const name of readdirSync(join(home, 'dir'))) expect(modeOf(join('dir', name))).toBe(file);
  });

  test.each([
    ['copy', `oci:IMAGE`, 'dir:/etc/atomic-ts-test'],
    ['layers', 'oci:IMAGE', '--dir', '/etc/atomic-ts-test'],
  ])('is told by %s where it may not write', async (...args) => {
    const words = args.map((word) => word.replace('IMAGE', `${folder}/image:v1`));
    await expect(run(words)).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /^Cannot make the folder \/etc\/atomic-ts-test: permission denied\n.*\n$/m,
      ),
    });
  });

  test('is told by copy what it may not read, and that a name is too long', async () => {
    const failed = (from: string, to: string): Promise<Result> => run(['copy', from, to]);
    await expect(failed('docker-archive:/etc/shadow', 'dir:x')).rejects.toMatchObject({
      stderr: '/etc/shadow cannot be opened: permission denied\nCheck whose it is, and who may read it.\n',
    });
    await expect(failed(`oci:${folder}/image:v1`, 'docker-archive:/etc/x.tar')).rejects.toMatchObject({
      stderr: expect.stringMatching(/^Cannot write in \/etc: permission denied\n/m),
    });
    await expect(failed(`oci:${folder}/image:v1`, `dir:${'x'.repeat(300)}`)).rejects.toMatchObject({
      stderr: expect.stringMatching(/^Cannot make the folder .*x: a name in it is too long\n[^\n]+\n$/m),
    });
    expect(readdirSync(home)).toEqual([]);
  });

  test('needs no environment and no name, and no credentials that root has closed away', async () => {
    const bare = ['env', '-i', process.execPath, join(folder, 'dist/atomic-ts.js')];
    const alone = (...args: string[]): Promise<Result> =>
      promisify(execFile)(
        'setpriv',
        [`--reuid=${UID}`, `--regid=${UID}`, '--clear-groups', ...bare, ...args],
        {
          cwd: home,
          timeout: 60_000,
        },
      );
    const { stdout } = await alone('inspect', '--format', '{{.Digest}}', `oci:${folder}/image:v1`);
    expect(stdout).toBe(`${IMAGE.digest}\n`);
    await expect(alone('inspect', `docker://${closed.host}/app:1`)).rejects.toMatchObject({
      stderr: expect.stringContaining(`${closed.host} asks for credentials`),
    });
  });

  test('says when its result cannot be written, and not that its progress cannot', async () => {
    const program = join(folder, 'dist/atomic-ts.js');
    const shell = (script: string): Promise<Result> =>
      promisify(execFile)('sh', ['-c', script, process.execPath, program, `oci:${folder}/image:v1`, home]);
    await expect(shell('"$0" "$1" inspect "$2" >/dev/full')).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^Cannot write to standard output: ENOSPC/),
    });
    const { stdout } = await shell('"$0" "$1" copy "$2" "dir:$3/full" 2>/dev/full');
    expect(stdout).toContain('Copied ');
  });

  test('leaves nothing where layers could not be had', async () => {
    await expect(run(['layers', `oci:${folder}/image:v1`, '0'.repeat(64)])).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`It has ${IMAGE.layers[0]?.descriptor.digest}`),
    });
    expect(readdirSync(home)).toEqual([]);
  });
});
