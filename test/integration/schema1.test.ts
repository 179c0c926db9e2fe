/** Images of schema 1, as skopeo writes them and Debian's docker-registry serves them. */
import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { copyImage } from '../../src/copy/copy.ts';
import { importLayers } from '../../src/copy/import.ts';
import { readImage, resolveManifest } from '../../src/copy/resolve.ts';
import { acceptSchema1 } from '../../src/copy/schema1-source.ts';
import type { Digest } from '../../src/image/digest.ts';
import { parseRegistryImage } from '../../src/image/reference.ts';
import { checkoutLayers } from '../../src/store/checkout.ts';
import { openDirDestination, openDirSource } from '../../src/transport/dir.ts';
import { openRegistrySource } from '../../src/transport/registry/index.ts';
import type { ImageSource } from '../../src/transport/transport.ts';
import { copyOptions } from '../copy/fakes.ts';
import { buildImage, writeDirTransport } from '../fixtures/image-builder.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';
import { startRealRegistry, type RealRegistry } from '../registry/real-registry.ts';
import { failureOf } from '../stream/collect.ts';
import { checkOut, exec, importAll, makeStore } from './layers-setup.ts';
import { describeTree } from './tree.ts';

const PLATFORM = { os: 'linux', architecture: 'amd64' };
const folder = useTempFolder();
const dir = (name: string): string => `dir:${join(folder(), name)}`;
const manifestIn = (name: string): string => readFileSync(join(folder(), name, 'manifest.json'), 'utf8');

async function skopeo(...args: string[]): Promise<string> {
  return (await promisify(execFile)('skopeo', ['--insecure-policy', ...args])).stdout;
}

const SHARED = { entries: [{ path: 'shared', content: 'twice' }] };
const created = '2020-01-01T00:00:00.123456789Z';
/** With a layer that comes twice, and steps of its build that changed no file. */
const IMAGE = buildImage({
  layers: [SHARED, { entries: [{ path: 'a', content: 'a' }] }, SHARED],
  config: { Cmd: ['sh', '-c', 'a && b <c >d'], Env: ['PATH=/bin'], Labels: { version: '1' }, User: '1' },
  configFields: {
    created,
    author: 'somebody <x@example.org>',
    history: [
      { created, created_by: 'ADD shared && true' },
      { created, created_by: 'ENV PATH', empty_layer: true },
      { created, created_by: 'ADD a', comment: 'a step' },
      { created, created_by: 'ADD shared' },
      { created, created_by: 'CMD sh', empty_layer: true },
    ],
  },
});

interface Config {
  readonly history: readonly object[];
}

let registry: RealRegistry;
beforeAll(async () => {
  registry = await startRealRegistry({ schema1: true });
});
afterAll(() => registry.close());

/** Pushes the image in schema 1, signed as skopeo and registries do. */
async function pushOld(): Promise<string> {
  writeDirTransport(join(folder(), 'original'), IMAGE);
  const name = `${registry.host}/old:1`;
  const options = ['--format', 'v2s1', '--dest-tls-verify=false'];
  await skopeo('copy', ...options, dir('original'), `docker://${name}`);
  return name;
}

function openOld(name: string): ImageSource {
  const source = openRegistrySource(parseRegistryImage(name), {
    plainHttp: true,
    userAgent: 'test/1',
    report: () => undefined,
    environment: { REGISTRY_AUTH_FILE: '/nonexistent/auth.json' },
  });
  return acceptSchema1(source, { tempFolder: spoolFolder(), signal: AbortSignal.timeout(60_000) });
}

function spoolFolder(): string {
  const path = join(folder(), 'spool');
  mkdirSync(path, { recursive: true });
  return path;
}

async function copyToDir(source: ImageSource, name: string, expected?: Digest): Promise<void> {
  const destination = await openDirDestination(join(folder(), name));
  try {
    const signal = AbortSignal.timeout(60_000);
    await copyImage(source, destination, copyOptions({ platform: PLATFORM, expected, signal }));
  } finally {
    await destination.close();
    await source.close();
  }
}

test('a registry’s image of schema 1 is copied as the very one that skopeo makes of it', async () => {
  const name = await pushOld();
  const digest = (
    JSON.parse(await skopeo('inspect', '--tls-verify=false', `docker://${name}`)) as { Digest: Digest }
  ).Digest;
  const fromRegistry = [`--src-tls-verify=false`, `docker://${name}`];
  await skopeo('copy', '--format', 'v2s2', ...fromRegistry, dir('theirs'));
  await copyToDir(openOld(name), 'ours');
  expect(manifestIn('ours')).toBe(manifestIn('theirs'));
  // By its digest, which is that of what was signed.
  await copyToDir(openOld(`${name.replace(/:1$/, '')}@${digest}`), 'pinned', digest);
  expect(manifestIn('pinned')).toBe(manifestIn('theirs'));
  const [ours, original] = await Promise.all(
    ['ours', 'original'].map(
      async (each) => JSON.parse(await skopeo('inspect', '--config', dir(each))) as Config,
    ),
  );
  // Schema 1 has no place for the command of the newest step.
  expect({ ...ours, history: [] }).toEqual({ ...original, history: [] });
  expect(ours?.history.slice(0, -1)).toEqual(original?.history.slice(0, -1));
  expect(ours?.history.at(-1)).toMatchObject({ created, empty_layer: true });
  // And from a folder, where it is as the registry gave it.
  await skopeo('copy', ...fromRegistry, dir('old'));
  const local = await openDirSource(join(folder(), 'old'));
  await copyToDir(
    acceptSchema1(local, { tempFolder: spoolFolder(), signal: AbortSignal.timeout(60_000) }),
    'local',
  );
  expect(manifestIn('local')).toBe(manifestIn('theirs'));
  expect(readdirSync(spoolFolder())).toEqual([]);
});

test('another digest than the one that was asked for is refused', async () => {
  const name = await pushOld();
  const old = openOld(name);
  // The registry has no such manifest; one that lies gives what it has.
  const lying: ImageSource = { ...old, getManifest: () => old.getManifest() };
  expect((await failureOf(resolveManifest(lying, PLATFORM, IMAGE.digest))).code).toBe('digest-mismatch');
  await old.close();
});

test('its tree is that of the image that it was made from', async () => {
  const source = openOld(await pushOld());
  const store = await makeStore(folder());
  const image = await readImage(source, await resolveManifest(source, PLATFORM, undefined), PLATFORM);
  expect(image.config.diffIds).toEqual(IMAGE.diffIds);
  const signal = AbortSignal.timeout(60_000);
  const outcome = await importLayers(source, image, store, () => undefined, signal);
  await source.close();
  expect(outcome.fetched).toBe(2);
  const scratch = spoolFolder();
  const layers = image.manifest.layers.map(({ digest }) => digest);
  await checkoutLayers(exec, store.repository, layers, join(folder(), 'tree'), { scratch });
  await importAll(store, IMAGE);
  const original = await checkOut(folder(), store, IMAGE, 'original-tree');
  expect(describeTree(join(folder(), 'tree'))).toEqual(describeTree(original));
});
