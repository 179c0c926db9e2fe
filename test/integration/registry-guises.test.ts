/**
 * Debian's docker-registry in each of its guises, spoken to by the built program: all that is done with images there,
 * with what lets one in, and what is told to one who is not let in. skopeo is the judge.
 */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { reportOf, runProgram, runWell, skopeo, type Ran } from '../fixtures/built-program.ts';
import { buildImage, writeDirTransport } from '../fixtures/image-builder.ts';
import { makeCertificates, type TestCertificates } from '../registry/certificates.ts';
import { startRealRegistry, type RealRegistry } from '../registry/real-registry.ts';
import { startTokenServer, type TokenServer } from '../registry/token-server.ts';

const USER = { username: 'maria', password: 'pass:wörd' };
const CREDENTIALS = `${USER.username}:${USER.password}`;
const WRONG = `${USER.username}:wr0ng`;
/** What nobody may ever see; tokens are JWTs, which begin so. */
const SECRETS = [
  USER.password,
  'wr0ng',
  ...[CREDENTIALS, WRONG].map((text) => Buffer.from(text).toString('base64')),
  'eyJ',
];

const IMAGE = buildImage({
  layers: [
    { entries: [{ path: 'a', content: 'x'.repeat(10_000) }] },
    { entries: [{ path: 'b', content: 'y' }], compression: 'zstd' },
  ],
  config: { Labels: { a: 'b' }, Env: ['A=b'], Cmd: ['sh'] },
  annotations: { 'org.opencontainers.image.title': 'x' },
});

interface Guise {
  readonly start: () => Promise<RealRegistry>;
  /** What lets us in, as options of any command. */
  readonly access: () => string[];
  /** The same for a side of a copy. */
  readonly sideAccess: (side: 'src' | 'dest') => string[];
  readonly skopeo: () => string[];
  /** What does not let us in, and what is said then. */
  readonly refused: readonly (readonly [what: string, options: () => string[], told: RegExp])[];
}

let folder: string;
let certificates: TestCertificates;
let otherCertificates: TestCertificates;
let tokens: TokenServer;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'atomic-ts-guises-'));
  writeDirTransport(join(folder, 'image'), IMAGE);
  [certificates, otherCertificates] = await Promise.all([makeCertificates(), makeCertificates()]);
  for (const [name, { authority }] of [
    ['certs', certificates],
    ['other-certs', otherCertificates],
  ] as const) {
    mkdirSync(join(folder, name));
    writeFileSync(join(folder, name, 'ca.crt'), authority);
  }
  tokens = await startTokenServer({
    key: certificates.server.key,
    users: { [USER.username]: USER.password },
    grants: (user) => (user === undefined ? [] : ['pull', 'push', 'delete', '*']),
  });
});

afterAll(async () => {
  await Promise.all([tokens?.close(), certificates?.remove(), otherCertificates?.remove()]);
  rmSync(folder, { recursive: true, force: true });
});

const byPassword: Omit<Guise, 'start'> = {
  access: () => ['--creds', CREDENTIALS],
  sideAccess: (side) => [`--${side}-creds`, CREDENTIALS],
  skopeo: () => ['--tls-verify=false', '--creds', CREDENTIALS],
  refused: [
    ['a wrong password', () => ['--creds', WRONG], /does not accept the credentials of the command line/],
    ['no password', () => [], /asks for credentials, and none were found for it/],
  ],
};

const GUISES: Readonly<Record<string, Guise>> = {
  plain: {
    start: () => startRealRegistry({ deletes: true }),
    access: () => [],
    sideAccess: () => [],
    skopeo: () => ['--tls-verify=false'],
    refused: [],
  },
  'TLS with a private authority': {
    start: () =>
      startRealRegistry({
        deletes: true,
        tls: {
          certificate: join(certificates.folder, 'server.crt'),
          key: join(certificates.folder, 'server.key'),
        },
      }),
    access: () => ['--cert-dir', join(folder, 'certs')],
    sideAccess: (side) => [`--${side}-cert-dir`, join(folder, 'certs')],
    skopeo: () => ['--cert-dir', join(folder, 'certs')],
    refused: [
      ['no authority', () => ['--tls-verify=true'], /certificate/],
      ['another authority', () => ['--cert-dir', join(folder, 'other-certs')], /certificate/],
    ],
  },
  'basic authentication': {
    ...byPassword,
    start: () => startRealRegistry({ deletes: true, htpasswd: USER }),
  },
  'a token server': {
    ...byPassword,
    start: () =>
      startRealRegistry({
        deletes: true,
        token: { ...tokens.auth, rootcertbundle: join(certificates.folder, 'server.crt') },
      }),
  },
};

/** Of each guise: a home of its own, and the names of images there. */
describe.each(Object.entries(GUISES))('a registry: %s', (what, guise) => {
  let registry: RealRegistry;
  let home: string;
  let name: string;

  beforeAll(async () => {
    registry = await guise.start();
    home = join(folder, what);
    mkdirSync(home);
    name = `docker://${registry.host}/team/app`;
  });
  afterAll(() => registry?.close());

  async function run(args: readonly string[], input = ''): Promise<Ran> {
    const environment = { HOME: home, ATOMIC_OSTREE_CHECKOUT_PATH: join(home, 'checkouts') };
    const ran = await runProgram(args, { environment, input });
    for (const secret of SECRETS) expect(ran.stdout + ran.stderr).not.toContain(secret);
    return ran;
  }

  async function well(...args: readonly string[]): Promise<string> {
    const ran = await run(args);
    if (ran.status !== 0) throw new Error(`${args.join(' ')}: exit status ${ran.status}\n${ran.stderr}`);
    return ran.stdout;
  }

  const manifestIn = (path: string): string => readFileSync(join(path, 'manifest.json'), 'utf8');
  const copy = (...args: readonly string[]): Promise<object> =>
    well('--debug', '--json', 'copy', ...args).then((printed) => JSON.parse(printed) as object);

  test('takes an image, gives it back, and moves its blobs from one repository to another', async () => {
    const pushed = await copy(...guise.sideAccess('dest'), `dir:${folder}/image`, `${name}:1`);
    expect(pushed).toMatchObject({ digest: IMAGE.digest, copied: 3 });
    expect(await skopeo('inspect', ...guise.skopeo(), '--raw', `${name}:1`)).toBe(IMAGE.manifest.toString());
    const other = `docker://${registry.host}/other/app:2`;
    const sides = [...guise.sideAccess('src'), ...guise.sideAccess('dest')];
    expect(await copy(...sides, `${name}:1`, other)).toMatchObject({ digest: IMAGE.digest, copied: 0 });
    await copy(...guise.sideAccess('src'), other, `dir:${home}/out`);
    expect(manifestIn(join(home, 'out'))).toBe(IMAGE.manifest.toString());
    for (const [digest, bytes] of IMAGE.blobs)
      expect(readFileSync(join(home, 'out', digest.slice('sha256:'.length)))).toEqual(bytes);
  });

  test('tells of an image and its tags what it tells skopeo', async () => {
    await copy(...guise.sideAccess('dest'), `dir:${folder}/image`, `${name}:2`);
    for (const reference of [`${name}:2`, `${name}@${IMAGE.digest}`]) {
      const told = await well('inspect', ...guise.access(), reference);
      expect(reportOf(told)).toEqual(JSON.parse(await skopeo('inspect', ...guise.skopeo(), reference)));
    }
    expect(JSON.parse(await well('list-tags', ...guise.access(), name))).toEqual(
      JSON.parse(await skopeo('list-tags', ...guise.skopeo(), name)),
    );
  });

  test('deletes an image', async () => {
    const reference = `docker://${registry.host}/gone/app:1`;
    await copy(...guise.sideAccess('dest'), `dir:${folder}/image`, reference);
    await well('delete', ...guise.access(), reference);
    await expect(skopeo('inspect', ...guise.skopeo(), reference)).rejects.toThrow('manifest unknown');
  });

  test('lets in who has logged in, by a file that is named or the one in the home', async () => {
    const certs = guise.access().filter((_, i, all) => all.includes('--cert-dir') && i < 2);
    const file = join(home, 'auth.json');
    for (const option of [['--authfile', file], []]) {
      const login = ['--debug', 'login', ...certs, ...option, '-u', USER.username, '--password-stdin'];
      expect(await run([...login, registry.host], USER.password)).toMatchObject({ status: 0 });
      await copy(...certs, ...option, `dir:${folder}/image`, `${name}:login`);
      await well('inspect', ...certs, ...option, `${name}:login`);
      await skopeo('inspect', ...guise.skopeo(), '--authfile', file, `${name}:login`);
      await well('logout', ...option, registry.host);
    }
    expect(readFileSync(file, 'utf8')).not.toContain(registry.host);
  });

  test.each(guise.refused)('does nothing with %s, and says why', async (_how, options, told) => {
    const before = await skopeo('list-tags', ...guise.skopeo(), name);
    const left = `dir:${home}/refused`;
    const toThere = options().map((option) => option.replace('--creds', '--dest-creds'));
    for (const args of [
      ['copy', ...options(), `${name}:1`, left],
      ['copy', ...toThere, `dir:${folder}/image`, `${name}:refused`],
      ['inspect', ...options(), `${name}:1`],
      ['layers', ...options(), `${name}:1`, '--dir', left.slice('dir:'.length)],
      ['list-tags', ...options(), name],
      ['delete', ...options(), `${name}:1`],
    ]) {
      const ran = await run(['--debug', ...args]);
      expect([args, ran.status, ran.stdout]).toEqual([args, 1, '']);
      expect(ran.stderr).toMatch(told);
    }
    expect(existsSync(join(home, 'refused/manifest.json'))).toBe(false);
    expect(await skopeo('list-tags', ...guise.skopeo(), name)).toBe(before);
  });
});

test('an authority is found in certs.d of the home', async () => {
  const guise = GUISES['TLS with a private authority'];
  const registry = await guise?.start();
  try {
    const home = join(folder, 'home');
    const certsD = join(home, '.config/containers/certs.d', registry?.host ?? '');
    mkdirSync(certsD, { recursive: true });
    copyFileSync(join(folder, 'certs/ca.crt'), join(certsD, 'ca.crt'));
    const environment = { HOME: home };
    const name = `docker://${registry?.host}/app:1`;
    await runWell(['copy', `dir:${folder}/image`, name], { environment });
    const told = await runWell(['inspect', '--format', '{{.Digest}}', name], { environment });
    expect(told).toBe(`${IMAGE.digest}\n`);
  } finally {
    await registry?.close();
  }
});
