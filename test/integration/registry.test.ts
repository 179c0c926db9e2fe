import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { isAtomicError } from '../../src/errors.ts';
import { digestFromHex, type Digest } from '../../src/image/digest.ts';
import { parseManifest, type ImageManifest } from '../../src/image/manifest.ts';
import { parseRegistryImage } from '../../src/image/reference.ts';
import { openRegistryDestination, openRegistrySource } from '../../src/transport/registry/index.ts';
import type { RegistryDestinationOptions, RegistryOptions } from '../../src/transport/registry/index.ts';
import type { ImageDestination, ImageSource } from '../../src/transport/transport.ts';
import { makeCertificates, type TestCertificates } from '../registry/certificates.ts';
import { startCuttingLine, startNarrowProxy } from '../registry/lines.ts';
import { startRealRegistry, type RealRegistry, type RealRegistryOptions } from '../registry/real-registry.ts';

const run = promisify(execFile);
const USER = { username: 'user', password: 'pass:word' };
/** More than a socket's buffers hold, so that a cut connection leaves something to ask for. */
const LARGE_BYTES = 24 * 1024 * 1024;

let folder: string;
let certificates: TestCertificates;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atomic-registry-test-'));
  certificates = await makeCertificates();
  await mkdir(join(folder, 'certs'));
  await copyFile(join(certificates.folder, 'ca.crt'), join(folder, 'certs/ca.crt'));
  await makeLayout();
});
afterAll(async () => {
  await certificates.remove();
  await rm(folder, { recursive: true, force: true });
});

/** An OCI layout of two layers, one of them large and incompressible. */
async function makeLayout(): Promise<void> {
  const layout = join(folder, 'layout');
  const umoci = (...args: string[]): Promise<unknown> => run('umoci', args);
  await writeFile(join(folder, 'small'), 'small');
  await writeFile(join(folder, 'large'), randomBytes(LARGE_BYTES));
  await umoci('init', '--layout', layout);
  await umoci('new', '--image', `${layout}:1`);
  await umoci('insert', '--image', `${layout}:1`, join(folder, 'small'), '/small');
  await umoci('insert', '--image', `${layout}:1`, join(folder, 'large'), '/large');
}

async function skopeo(...args: string[]): Promise<string> {
  const { stdout } = await run('skopeo', ['--insecure-policy', ...args], { maxBuffer: 64 * 1024 * 1024 });
  return stdout;
}

function optionsFor(more: Partial<RegistryOptions>): RegistryOptions {
  return {
    plainHttp: false,
    userAgent: 'test/1',
    report: () => undefined,
    environment: { REGISTRY_AUTH_FILE: '/nonexistent/auth.json' },
    ...more,
  };
}

async function hash(bytes: Uint8Array | Readable): Promise<Digest> {
  const sha256 = createHash('sha256');
  if (bytes instanceof Uint8Array) sha256.update(bytes);
  else for await (const chunk of bytes as AsyncIterable<Buffer>) sha256.update(chunk);
  return digestFromHex('sha256', sha256.digest('hex'));
}

async function readManifest(source: ImageSource): Promise<ImageManifest> {
  const manifest = parseManifest(await source.getManifest(), 'the manifest');
  if (manifest.kind !== 'manifest') throw new Error('it is an index');
  return manifest;
}

interface Variant {
  title: string;
  start: () => RealRegistryOptions;
  /** What ours is told. */
  told: () => Partial<RegistryOptions>;
  /** What skopeo is told, for each side of a copy and for inspect. */
  flags: (side: 'src-' | 'dest-' | '') => string[];
}

const tls = (): RealRegistryOptions => ({
  tls: { certificate: join(certificates.folder, 'server.crt'), key: join(certificates.folder, 'server.key') },
});
const certDir = (): string => join(folder, 'certs');

const VARIANTS: Variant[] = [
  {
    title: 'over plain HTTP',
    start: () => ({}),
    told: () => ({}),
    flags: (side) => [`--${side}tls-verify=false`],
  },
  {
    title: 'over TLS with a private authority',
    start: tls,
    told: () => ({ certDir: certDir() }),
    flags: (side) => [`--${side}cert-dir`, certDir()],
  },
  {
    title: 'over TLS with a password',
    start: () => ({ ...tls(), htpasswd: USER }),
    told: () => ({ certDir: certDir(), credentials: USER }),
    flags: (side) => [`--${side}cert-dir`, certDir(), `--${side}creds`, `${USER.username}:${USER.password}`],
  },
];

describe.each(VARIANTS)('docker-registry $title', ({ start, told, flags }) => {
  let registry: RealRegistry;
  beforeAll(async () => {
    registry = await startRealRegistry(start());
    await skopeo('copy', ...flags('dest-'), `oci:${folder}/layout:1`, `docker://${registry.host}/team/app:1`);
  });
  afterAll(() => registry.close());

  it('gives us what skopeo pushed, byte for byte', async () => {
    const source = openRegistrySource(parseRegistryImage(`${registry.host}/team/app:1`), optionsFor(told()));
    try {
      const inspected = await skopeo(
        'inspect',
        '--raw',
        ...flags(''),
        `docker://${registry.host}/team/app:1`,
      );
      expect(Buffer.from((await source.getManifest()).bytes).toString()).toBe(inspected);
      const { config, layers } = await readManifest(source);
      expect(layers).toHaveLength(2);
      for (const blob of [config, ...layers])
        expect(await hash(await source.getBlob(blob))).toBe(blob.digest);
    } finally {
      await source.close();
    }
  });

  it('takes from us what skopeo then reads', async () => {
    const name = `${registry.host}/copied/by/us`;
    const source = openRegistrySource(parseRegistryImage(`${registry.host}/team/app:1`), optionsFor(told()));
    const destination = openRegistryDestination(parseRegistryImage(`${name}:2`), optionsFor(told()));
    try {
      const { config, layers } = await readManifest(source);
      for (const blob of [config, ...layers]) {
        expect(await destination.hasBlob(blob)).toBe(false);
        await destination.putBlob(blob, await source.getBlob(blob));
        expect(await destination.hasBlob(blob)).toBe(true);
      }
      const raw = await source.getManifest();
      const digest = await hash(raw.bytes);
      await destination.putManifest(raw, digest, 'reference');
      await destination.commit();
      const inspected = await skopeo(
        'inspect',
        '--format',
        '{{.Digest}}',
        ...flags(''),
        `docker://${name}:2`,
      );
      expect(inspected.trim()).toBe(digest);
      await skopeo(
        'copy',
        ...flags('src-'),
        `docker://${name}:2`,
        `dir:${await mkdtemp(join(folder, 'back-'))}`,
      );
    } finally {
      await source.close();
      await destination.close();
    }
  });

  it('says what is not there', async () => {
    // It does not tell an unknown repository from an unknown tag.
    for (const name of ['team/app:2', 'team/other:1']) {
      const source = openRegistrySource(parseRegistryImage(`${registry.host}/${name}`), optionsFor(told()));
      await expect(source.getManifest()).rejects.toThrow(
        `Cannot read the manifest of ${registry.host}/${name}: ${registry.host} has no such image ("manifest unknown")`,
      );
      await source.close();
    }
  });
});

describe('docker-registry', () => {
  it('with a password refuses us without it, and with another one', async () => {
    const registry = await startRealRegistry({ htpasswd: USER });
    try {
      for (const credentials of [undefined, { ...USER, password: 'wrong' }]) {
        const told = credentials === undefined ? {} : { credentials };
        const source = openRegistrySource(parseRegistryImage(`${registry.host}/app:1`), optionsFor(told));
        await expect(source.getManifest()).rejects.toMatchObject({ code: 'unauthorized' });
        await source.close();
      }
    } finally {
      await registry.close();
    }
  });

  it('goes on with a large blob whose connection was cut', async () => {
    const registry = await startRealRegistry();
    const line = await startCuttingLine(registry.host, { down: 10 * 1024 * 1024 });
    const retries: unknown[] = [];
    try {
      await skopeo(
        'copy',
        '--dest-tls-verify=false',
        `oci:${folder}/layout:1`,
        `docker://${registry.host}/app:1`,
      );
      const told = { report: (event: unknown) => void retries.push(event) };
      const source = openRegistrySource(parseRegistryImage(`${line.host}/app:1`), optionsFor(told));
      const large = (await readManifest(source)).layers[1];
      if (large === undefined) throw new Error('the image has no second layer');
      expect(await hash(await source.getBlob(large))).toBe(large.digest);
      expect(retries.length).toBeGreaterThan(0);
      await source.close();
    } finally {
      await line.close();
      await registry.close();
    }
  });

  it('takes a large blob in parts when what stands before it refuses it whole', async () => {
    const registry = await startRegistry();
    const proxy = await startNarrowProxy(registry.host, 1024 * 1024);
    cleanups.push(() => proxy.close());
    const bytes = randomBytes(3_000_000);
    const descriptor = { mediaType: '', digest: await hash(bytes), size: bytes.length };
    const destination = openDestination(`${proxy.host}/app:1`);
    await destination.putBlob(descriptor, Readable.from([bytes]));
    const source = openSource(`${registry.host}/app:1`);
    expect(await hash(await source.getBlob(descriptor))).toBe(descriptor.digest);
  });

  it('takes a small blob though its line is cut, and a large one when it is put again', async () => {
    const registry = await startRegistry();
    for (const [size, failures] of [
      [5_000_000, []],
      [LARGE_BYTES + 8_000_000, ['upload-broken']],
    ] as const) {
      const line = await startCuttingLine(registry.host, { up: size / 2, times: 1 });
      cleanups.push(() => line.close());
      const bytes = randomBytes(size);
      const descriptor = { mediaType: '', digest: await hash(bytes), size };
      const destination = openDestination(`${line.host}/app:1`);
      const put = (): Promise<void> => destination.putBlob(descriptor, Readable.from(split(bytes)));
      const first = await put().catch((error: unknown) => error);
      if (first !== undefined) await put();
      expect(isAtomicError(first) ? [first.code] : []).toEqual(failures);
      expect(await destination.hasBlob(descriptor)).toBe(true);
    }
  });

  it('mounts what another of its repositories has', async () => {
    const registry = await startRegistry();
    const bytes = randomBytes(1000);
    const descriptor = { mediaType: '', digest: await hash(bytes), size: bytes.length };
    await openDestination(`${registry.host}/base:1`).putBlob(descriptor, Readable.from([bytes]));
    expect(await openDestination(`${registry.host}/app:1`).hasBlob(descriptor)).toBe(false);
    const mountFrom = parseRegistryImage(`${registry.host}/base:1`);
    expect(await openDestination(`${registry.host}/app:1`, { mountFrom }).hasBlob(descriptor)).toBe(true);
    const source = openSource(`${registry.host}/app:1`);
    expect(await hash(await source.getBlob(descriptor))).toBe(descriptor.digest);
    expect(await hash(await source.getBlob(descriptor, 400))).toBe(await hash(bytes.subarray(400)));
  });
});

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function startRegistry(): Promise<RealRegistry> {
  const registry = await startRealRegistry();
  cleanups.push(() => registry.close());
  return registry;
}

function openSource(name: string): ImageSource {
  const source = openRegistrySource(parseRegistryImage(name), optionsFor({}));
  cleanups.push(() => source.close());
  return source;
}

function openDestination(name: string, told: Partial<RegistryDestinationOptions> = {}): ImageDestination {
  const destination = openRegistryDestination(parseRegistryImage(name), { ...optionsFor({}), ...told });
  cleanups.push(() => destination.close());
  return destination;
}

function* split(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536);
}
