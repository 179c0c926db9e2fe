/**
 * Each transport as the source of a copy to each other, by the program itself, against a real registry and a real
 * Docker engine. What comes out is the image that went in: its config byte for byte, its layers' tars byte for byte
 * (DiffIDs), and its manifest wherever nothing forces a change. skopeo is the judge of all that it can read.
 */
import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Descriptor } from '../../src/image/descriptor.ts';
import {
  buildImage,
  sha256,
  writeDirTransport,
  type BuiltImage,
  type TarEntry,
} from '../fixtures/image-builder.ts';
import { startRealDocker, type RealDocker } from '../registry/real-docker.ts';
import { startRealRegistry, type RealRegistry } from '../registry/real-registry.ts';

const PROGRAM = join(import.meta.dirname, '../../dist/atomic-ts.js');
const TRANSPORTS = [
  'docker',
  'dir',
  'oci',
  'oci-archive',
  'docker-archive',
  'docker-daemon',
  'ostree',
] as const;
type Transport = (typeof TRANSPORTS)[number];

/** Transports that hold layers as they are in a registry; the others have plain tars, or trees. */
const STORED: ReadonlySet<Transport> = new Set(['docker', 'dir', 'oci', 'oci-archive']);
const OCI: ReadonlySet<Transport> = new Set(['oci', 'oci-archive']);

/** What decides about a manifest: wherever an image comes from, with the same of these it points at the same. */
function kindOf(from: Transport, to: Transport): string {
  const takesDocker = to === 'docker-archive' || to === 'docker-daemon';
  const format = OCI.has(to) || (OCI.has(from) && !takesDocker) ? 'oci' : 'v2s2';
  const layers = !STORED.has(to) ? 'plain' : STORED.has(from) ? 'stored' : to === 'dir' ? 'plain' : 'packed';
  return `${to}, ${format}, ${layers}`;
}

interface ImageContent {
  /** The digest of the manifest, and what it points at. */
  readonly manifest: string;
  readonly descriptors: readonly Descriptor[];
  readonly config: string;
  readonly diffIds: readonly string[];
}

let folder: string;
let registry: RealRegistry;
let docker: RealDocker;
let image: BuiltImage;
let places = 0;
/** What manifests of each kind point at, and what was found for each pair. */
const kinds = new Map<string, readonly Descriptor[]>();
const found = new Map<string, ImageContent>();

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'atomic-ts-pairs.'));
  [registry, docker] = await Promise.all([startRealRegistry(), startRealDocker()]);
  image = buildImage({ format: 'v2s2', layers: layers(), config: { Cmd: ['/bin/sh'], Labels: { a: 'b' } } });
  writeDirTransport(join(folder, 'start'), image);
});

afterAll(async () => {
  await Promise.all([registry?.close(), docker?.close()]);
  rmSync(folder, { recursive: true, force: true });
});

/** What tars may hold: links, modes, owners, long names, attributes, a whiteout, two layers that are one. */
function layers(): { entries: TarEntry[] }[] {
  const long = 'd'.repeat(90);
  return [
    {
      entries: [
        { path: 'bin', type: 'dir' },
        { path: 'bin/sh', content: '#!/bin/false\n', mode: 0o4755 },
        { path: 'bin/ash', type: 'hardlink', target: 'bin/sh' },
        { path: 'sh', type: 'symlink', target: 'bin/sh' },
        { path: `${long}/${long}/${long}`, content: 'deep' },
        { path: 'owned', content: 'by another', uid: 1000, gid: 100 },
      ],
    },
    {
      entries: [
        { path: '.wh.owned', content: '' },
        { path: 'big', content: Buffer.alloc(300_000, 'abc') },
      ],
    },
    { entries: [{ path: 'again', content: 'same' }] },
    { entries: [{ path: 'again', content: 'same' }] },
  ];
}

/** A new name in a transport. */
function newPlace(transport: Transport): string {
  const name = `image${++places}`;
  switch (transport) {
    case 'docker':
      return `docker://${registry.host}/${name}:v1`;
    case 'dir':
      return `dir:${folder}/${name}`;
    case 'oci':
      return `oci:${folder}/${name}:v1`;
    case 'oci-archive':
      return `oci-archive:${folder}/${name}.tar:v1`;
    case 'docker-archive':
      return `docker-archive:${folder}/${name}.tar:example.org/${name}:v1`;
    case 'docker-daemon':
      return `docker-daemon:example.org/${name}:v1`;
    case 'ostree':
      return `ostree:example.org/${name}:v1@${folder}/repo`;
  }
}

async function copy(from: string, to: string): Promise<void> {
  await promisify(execFile)(process.execPath, [PROGRAM, '--json', 'copy', from, to], { env: environment() });
}

async function inspect(place: string): Promise<Record<string, unknown>> {
  const args = [PROGRAM, 'inspect', place];
  const { stdout } = await promisify(execFile)(process.execPath, args, { env: environment() });
  return JSON.parse(stdout) as Record<string, unknown>;
}

function inspectBySkopeo(place: string): Record<string, unknown> {
  const engine = place.startsWith('docker-daemon:') ? ['--daemon-host', docker.host] : [];
  const args = ['inspect', '--tls-verify=false', ...engine, place];
  return JSON.parse(execFileSync('skopeo', args, { encoding: 'utf8' })) as Record<string, unknown>;
}

function environment(): NodeJS.ProcessEnv {
  const checkouts = join(folder, 'checkouts');
  return {
    PATH: process.env['PATH'],
    HOME: folder,
    TMPDIR: process.env['TMPDIR'],
    DOCKER_HOST: docker.host,
    ATOMIC_OSTREE_CHECKOUT_PATH: checkouts,
  };
}

/** skopeo copies it without any change that it is not forced to. */
function judge(from: string, transport: Transport): ImageContent {
  const target = join(folder, `judged${++places}`);
  mkdirSync(target);
  const options = [
    '--src-tls-verify=false',
    ...(transport === 'docker-daemon' ? ['--src-daemon-host', docker.host] : []),
  ];
  execFileSync('skopeo', ['--insecure-policy', 'copy', '-q', ...options, from, `dir:${target}`], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return readDir(target);
}

function readDir(path: string): ImageContent {
  const read = (digest: string): Buffer => readFileSync(join(path, digest.replace('sha256:', '')));
  const bytes = readFileSync(join(path, 'manifest.json'));
  const manifest = JSON.parse(bytes.toString()) as { config: Descriptor; layers: Descriptor[] };
  const plain = (blob: Buffer): Buffer => (blob[0] === 0x1f ? gunzipSync(blob) : blob);
  return {
    manifest: sha256(bytes),
    descriptors: [manifest.config, ...manifest.layers],
    config: sha256(read(manifest.config.digest)),
    diffIds: manifest.layers.map(({ digest }) => sha256(plain(read(digest)))),
  };
}

/** What stands at a place, told by skopeo, or where it cannot read by a copy of our own. */
async function look(place: string, transport: Transport): Promise<ImageContent> {
  if (transport !== 'ostree') return judge(place, transport);
  const target = newPlace('dir');
  await copy(place, target);
  return readDir(target.slice('dir:'.length));
}

describe.each(TRANSPORTS)('from %s', (from) => {
  let source: string;
  let atSource: ImageContent;

  beforeAll(async () => {
    source = newPlace(from);
    await copy(`dir:${folder}/start`, source);
    atSource = await look(source, from);
  });

  test('what was put there is the image', () => {
    expect(atSource).toMatchObject({ config: image.configDigest, diffIds: image.diffIds });
  });

  test('inspect tells of it what skopeo tells', async () => {
    const ours = await inspect(source);
    // skopeo cannot read ostree:, where the image is the one that went in.
    const theirs = from === 'ostree' ? await inspect(`dir:${folder}/start`) : inspectBySkopeo(source);
    for (const key of ['Created', 'DockerVersion', 'Labels', 'Architecture', 'Os', 'Layers', 'Env'])
      expect([key, ours[key]]).toEqual([key, theirs[key]]);
  });

  test.each(TRANSPORTS)('to %s', async (to) => {
    const target = newPlace(to);
    await copy(source, target);
    const content = await look(target, to);
    found.set(`${from} ${to}`, content);
    expect(content).toMatchObject({ config: image.configDigest, diffIds: image.diffIds });
    const expected = kinds.get(kindOf(from, to)) ?? content.descriptors;
    kinds.set(kindOf(from, to), expected);
    expect(content.descriptors).toEqual(expected);
  });
});

test('where nothing forces a change, the manifest is the one that went in, byte for byte', () => {
  const pairs = ['docker docker', 'docker dir', 'dir docker', 'dir dir'];
  expect(pairs.map((pair) => found.get(pair)?.manifest)).toEqual(pairs.map(() => image.digest));
  expect(found.get('oci oci-archive')?.manifest).toBe(found.get('oci oci')?.manifest);
  expect(found.get('oci-archive oci')?.manifest).toBe(found.get('oci oci')?.manifest);
});
