/** The real registry with a token server: who may do what is decided by the scopes that its tokens hold. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { parseRegistryImage } from '../../src/image/reference.ts';
import { openRegistryDestination, openRegistrySource } from '../../src/transport/registry/index.ts';
import type { RegistryDestinationOptions } from '../../src/transport/registry/index.ts';
import type { ImageDestination, ImageSource } from '../../src/transport/transport.ts';
import { buildImage, type BuiltImage } from '../fixtures/image-builder.ts';
import { makeCertificates, type TestCertificates } from '../registry/certificates.ts';
import { startRealRegistry, type RealRegistry } from '../registry/real-registry.ts';
import { startTokenServer, type Grants, type TokenServer } from '../registry/token-server.ts';

const run = promisify(execFile);
const USER = { username: 'maria', password: 'pass:word' };

/** Maria owns `maria/…`, everybody reads `public/…`, and nobody sees `secret/…`. */
const grants: Grants = (user, repository) => {
  if (user !== undefined && repository.startsWith(`${user}/`)) return ['pull', 'push', 'delete', '*'];
  return repository.startsWith('public/') ? (user === undefined ? ['pull'] : ['pull', 'push']) : [];
};

let certificates: TestCertificates;
let tokens: TokenServer;
let registry: RealRegistry;
beforeAll(async () => {
  certificates = await makeCertificates();
  const { key } = certificates.server;
  tokens = await startTokenServer({ key, users: { [USER.username]: USER.password }, grants });
  const rootcertbundle = join(certificates.folder, 'server.crt');
  registry = await startRealRegistry({ token: { ...tokens.auth, rootcertbundle } });
});
afterAll(async () => {
  await registry.close();
  await tokens.close();
  await certificates.remove();
});

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

type Told = Partial<RegistryDestinationOptions>;

function optionsFor(told: Told): RegistryDestinationOptions {
  return {
    plainHttp: true,
    userAgent: 'test/1',
    report: () => undefined,
    environment: { REGISTRY_AUTH_FILE: '/nonexistent/auth.json' },
    ...told,
  };
}

function openSource(name: string, told: Told = {}): ImageSource {
  const source = openRegistrySource(parseRegistryImage(`${registry.host}/${name}`), optionsFor(told));
  cleanups.push(() => source.close());
  return source;
}

function openDestination(name: string, told: Told = { credentials: USER }): ImageDestination {
  const image = parseRegistryImage(`${registry.host}/${name}`);
  const destination = openRegistryDestination(image, optionsFor(told));
  cleanups.push(() => destination.close());
  return destination;
}

/** An image like no other. */
function makeImage(): BuiltImage {
  return buildImage({ layers: [{ entries: [{ path: 'own', content: randomBytes(100_000) }] }] });
}

/** @returns how many blobs had to be sent */
async function push(image: BuiltImage, destination: ImageDestination): Promise<number> {
  let sent = 0;
  for (const [digest, bytes] of image.blobs) {
    const descriptor = { mediaType: '', digest, size: bytes.length };
    if (await destination.hasBlob(descriptor)) continue;
    await destination.putBlob(descriptor, Readable.from([bytes]));
    sent += 1;
  }
  const manifest = { bytes: image.manifest, mediaType: image.mediaType };
  await destination.putManifest(manifest, image.digest, 'reference');
  return sent;
}

describe('docker-registry with a token server', () => {
  it('takes an image from who may push, and skopeo reads it', async () => {
    const image = makeImage();
    expect(await push(image, openDestination('maria/app:1'))).toBe(image.blobs.size);
    const folder = await mkdtemp(join(tmpdir(), 'atomic-token-test-'));
    cleanups.push(() => rm(folder, { recursive: true, force: true }));
    const name = `docker://${registry.host}/maria/app:1`;
    const creds = ['--src-creds', `${USER.username}:${USER.password}`, '--src-tls-verify=false'];
    await run('skopeo', ['--insecure-policy', 'copy', ...creds, name, `dir:${folder}`]);
    const { stdout } = await run('skopeo', ['manifest-digest', join(folder, 'manifest.json')]);
    expect(stdout.trim()).toBe(image.digest);
  });

  it('gives an image to anybody who may pull, with one token', async () => {
    const image = makeImage();
    await push(image, openDestination('public/app:1'));
    const before = tokens.asked.length;
    const source = openSource('public/app:1');
    expect(Buffer.from((await source.getManifest()).bytes)).toEqual(Buffer.from(image.manifest));
    for (const [digest, bytes] of image.blobs) {
      const stream = await source.getBlob({ mediaType: '', digest, size: bytes.length });
      expect(Buffer.concat((await stream.toArray()) as Buffer[])).toEqual(Buffer.from(bytes));
    }
    expect(tokens.asked.slice(before)).toEqual([['repository:public/app:pull']]);
  });

  it('refuses whoever may not', async () => {
    const image = makeImage();
    await push(image, openDestination('maria/private:1'));
    for (const told of [{}, { credentials: { ...USER, password: 'wrong' } }]) {
      await expect(openSource('maria/private:1', told).getManifest()).rejects.toMatchObject({
        code: 'unauthorized',
      });
    }
    for (const destination of [openDestination('secret/app:1'), openDestination('public/app:2', {})]) {
      await expect(push(image, destination)).rejects.toMatchObject({ code: 'unauthorized' });
    }
  });

  it('mounts what may be read, with one token for both repositories', async () => {
    const image = makeImage();
    await push(image, openDestination('public/base:1'));
    const mountFrom = parseRegistryImage(`${registry.host}/public/base:1`);
    expect(await push(image, openDestination('maria/mounted:1', { credentials: USER, mountFrom }))).toBe(0);
    expect(tokens.asked).toContainEqual([
      'repository:maria/mounted:pull,push',
      'repository:public/base:pull',
    ]);
    expect(await openSource('maria/mounted:1', { credentials: USER }).getManifest()).toMatchObject({
      mediaType: image.mediaType,
    });
  });

  it('is sent what cannot be mounted', async () => {
    const image = makeImage();
    const mountFrom = parseRegistryImage(`${registry.host}/secret/base:1`);
    const destination = openDestination('maria/alone:1', { credentials: USER, mountFrom });
    expect(await push(image, destination)).toBe(image.blobs.size);
  });
});
