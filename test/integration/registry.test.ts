import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { digestFromHex, type Digest } from '../../src/image/digest.ts';
import { parseManifest, type ImageManifest } from '../../src/image/manifest.ts';
import { parseRegistryImage } from '../../src/image/reference.ts';
import { openRegistryDestination, openRegistrySource } from '../../src/transport/registry/index.ts';
import type { RegistryOptions } from '../../src/transport/registry/index.ts';
import type { ImageSource } from '../../src/transport/transport.ts';
import { makeCertificates, type TestCertificates } from '../registry/certificates.ts';
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
    const line = await startCuttingLine(registry.host, 10 * 1024 * 1024);
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
});

/** A port that leads to `target` and cuts every connection once it gave so many bytes. */
async function startCuttingLine(
  target: string,
  bytes: number,
): Promise<{ host: string; close(): Promise<void> }> {
  const [host = '', port = ''] = target.split(':');
  const server = createServer((near) => {
    const far = createConnection({ host, port: Number(port) });
    let given = 0;
    near.pipe(far);
    far.pipe(near);
    far.on('data', (chunk: Buffer) => {
      given += chunk.length;
      if (given > bytes) near.resetAndDestroy();
    });
    for (const [end, other] of [
      [near, far],
      [far, near],
    ] as const) {
      end.on('error', () => undefined);
      end.on('close', () => other.destroy());
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the line has no port');
  return {
    host: `127.0.0.1:${address.port}`,
    async close() {
      server.close();
      await once(server, 'close');
    },
  };
}
