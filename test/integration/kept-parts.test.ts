/**
 * What images have beside an ordinary manifest, carried by the built program through each transport: indexes with
 * entries of unknown kinds, annotations, foreign layers, signatures. skopeo is the judge.
 */
import { createServer } from 'node:http';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runProgram, runWell, skopeo, type Ran } from '../fixtures/built-program.ts';
import {
  buildImage,
  describe as describeBytes,
  sha256,
  writeDirTransport,
  type BuiltImage,
  type BuiltIndex,
} from '../fixtures/image-builder.ts';
import { startRealRegistry, type RealRegistry } from '../registry/real-registry.ts';

let folder: string;
let registry: RealRegistry;
let places = 0;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'atomic-ts-parts-'));
  registry = await startRealRegistry({ foreignLayers: true });
});
afterAll(async () => {
  await registry?.close();
  rmSync(folder, { recursive: true, force: true });
});

const options = (): { environment: Record<string, string> } => ({
  environment: { HOME: folder, ATOMIC_OSTREE_CHECKOUT_PATH: join(folder, 'checkouts') },
});
const copy = (...args: readonly string[]): Promise<{ digest: string }> =>
  runWell(['--json', 'copy', ...args], options()).then(
    (printed) => JSON.parse(printed) as { digest: string },
  );
const tryCopy = (...args: readonly string[]): Promise<Ran> => runProgram(['copy', ...args], options());

function newPlace(transport: 'docker' | 'dir' | 'oci' | 'oci-archive' | 'docker-archive' | 'ostree'): string {
  const name = `image${++places}`;
  if (transport === 'docker') return `docker://${registry.host}/${name}:v1`;
  if (transport === 'dir') return `dir:${folder}/${name}`;
  if (transport === 'oci') return `oci:${folder}/${name}:v1`;
  if (transport === 'ostree') return `ostree:example.org/${name}:v1@${folder}/repo`;
  return `${transport}:${folder}/${name}.tar${transport === 'oci-archive' ? ':v1' : `:example.org/${name}:v1`}`;
}

const pathOf = (place: string): string => place.slice('dir:'.length);
const fileIn = (place: string, name: string): Buffer => readFileSync(join(pathOf(place), name));
const filesIn = (place: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(pathOf(place))
      .filter((name) => name !== 'version')
      .map((name) => [name, sha256(fileIn(place, name))]),
  );

function imageFor(architecture: string): BuiltImage {
  return buildImage({
    platform: { os: 'linux', architecture },
    layers: [
      { entries: [{ path: 'base', content: 'in both' }] },
      { entries: [{ path: 'arch', content: architecture }], compression: 'zstd' },
    ],
    annotations: { 'org.example.of': architecture },
  });
}

/** A manifest of our own making, with blobs of any kind. */
function artifact(
  fields: Readonly<Record<string, unknown>>,
  config: { bytes: Buffer; mediaType: string },
  layers: readonly { bytes: Buffer; mediaType: string; annotations?: Record<string, string> }[],
): BuiltImage {
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const described = layers.map(({ bytes, mediaType: type, annotations }) => ({
    ...describeBytes(bytes, type),
    ...(annotations && { annotations }),
  }));
  const configDescriptor = describeBytes(config.bytes, config.mediaType);
  const manifest = Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType, config: configDescriptor, layers: described, ...fields }),
  );
  const descriptor = describeBytes(manifest, mediaType);
  const blobs = new Map([[configDescriptor.digest, config.bytes] as const]);
  for (const { bytes } of layers) blobs.set(sha256(bytes), bytes);
  return {
    kind: 'image',
    manifest,
    mediaType,
    digest: descriptor.digest,
    descriptor,
    config: config.bytes,
    configDigest: configDescriptor.digest,
    layers: [],
    blobs,
    diffIds: [],
  };
}

const statement = { bytes: Buffer.from('{"_type":"statement"}'), mediaType: 'application/vnd.in-toto+json' };
const empty = { bytes: Buffer.from('{}'), mediaType: 'application/vnd.oci.empty.v1+json' };

function wholeIndex(): BuiltIndex {
  const images = [imageFor('amd64'), imageFor('arm64')];
  const attestation = artifact(
    {},
    {
      bytes: Buffer.from(
        '{"architecture":"unknown","os":"unknown","rootfs":{"type":"layers","diff_ids":[]}}',
      ),
      mediaType: 'application/vnd.oci.image.config.v1+json',
    },
    [{ ...statement, annotations: { 'in-toto.io/predicate-type': 'https://slsa.dev/provenance/v0.2' } }],
  );
  const unknown = artifact(
    { artifactType: 'application/vnd.example.thing', annotations: { 'org.example.what': 'thing' } },
    empty,
    [
      {
        bytes: Buffer.from('\0 any bytes'),
        mediaType: 'application/vnd.example.part+bin',
        annotations: { 'org.example.part': '1' },
      },
    ],
  );
  const mediaType = 'application/vnd.oci.image.index.v1+json';
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType,
      manifests: [
        ...images.map(({ descriptor }, i) => ({ ...descriptor, annotations: { nth: `${i}` } })),
        {
          ...attestation.descriptor,
          annotations: {
            'vnd.docker.reference.digest': images[0]?.digest,
            'vnd.docker.reference.type': 'attestation-manifest',
          },
          platform: { architecture: 'unknown', os: 'unknown' },
        },
        { ...unknown.descriptor, artifactType: 'application/vnd.example.thing', annotations: { a: 'b' } },
      ],
      annotations: { 'org.example.index': 'whole' },
    }),
  );
  const descriptor = describeBytes(manifest, mediaType);
  return {
    kind: 'index',
    manifest,
    mediaType,
    digest: descriptor.digest,
    descriptor,
    images: [...images, attestation, unknown],
  };
}

describe('an index of two platforms, an attestation and an artifact', () => {
  const index = wholeIndex();
  let start: string;
  beforeAll(() => {
    start = newPlace('dir');
    writeDirTransport(pathOf(start), index);
  });

  test('goes whole through all that keep indexes, and comes out as it was', async () => {
    let from = start;
    for (const transport of ['docker', 'dir', 'oci', 'oci-archive', 'docker'] as const) {
      const to = newPlace(transport);
      expect(await copy('--all', '--preserve-digests', from, to)).toMatchObject({ digest: index.digest });
      const raw = await skopeo(
        'inspect',
        '--raw',
        ...(transport === 'docker' ? ['--tls-verify=false'] : []),
        to,
      );
      expect([transport, raw]).toEqual([transport, index.manifest.toString()]);
      from = to;
    }
    const end = newPlace('dir');
    await copy('--all', from, end);
    expect(filesIn(end)).toEqual(filesIn(start));
  });

  test('gives the image for a platform', async () => {
    for (const [i, architecture] of ['amd64', 'arm64'].entries()) {
      const to = newPlace('dir');
      await copy('--override-arch', architecture, start, to);
      expect(fileIn(to, 'manifest.json')).toEqual(index.images[i]?.manifest);
    }
  });

  test('is copied alone where that is asked for', async () => {
    const to = newPlace('dir');
    expect(await copy('--multi-arch', 'index-only', start, to)).toMatchObject({ digest: index.digest });
    expect(readdirSync(pathOf(to)).sort()).toEqual(['manifest.json', 'version']);
    expect(fileIn(to, 'manifest.json')).toEqual(index.manifest);
  });

  test.each(['docker-archive', 'ostree'] as const)(
    'is refused by %s, which has no indexes',
    async (transport) => {
      const { status, stderr } = await tryCopy('--all', start, newPlace(transport));
      expect(status).toBe(1);
      expect(stderr).toMatch(/index/);
    },
  );
});

test('annotations of a zstd:chunked layer are carried along', async () => {
  const image = imageFor('amd64');
  const [base, chunked] = image.layers;
  const annotations = {
    'io.github.containers.zstd-chunked.manifest-checksum': image.digest,
    'io.github.containers.zstd-chunked.manifest-position': '1:2:3:1',
  };
  const manifest = Buffer.from(
    JSON.stringify({
      ...(JSON.parse(image.manifest.toString()) as object),
      layers: [base?.descriptor, { ...chunked?.descriptor, annotations }],
    }),
  );
  let from = newPlace('dir');
  writeDirTransport(pathOf(from), { ...image, manifest });
  for (const transport of ['docker', 'oci', 'oci-archive', 'dir'] as const) {
    const to = newPlace(transport);
    await copy(from, to);
    from = to;
  }
  const found = JSON.parse(fileIn(from, 'manifest.json').toString()) as {
    layers: { annotations?: object }[];
  };
  expect(found.layers.map((layer) => layer.annotations)).toEqual([undefined, annotations]);
});

describe('a foreign layer', () => {
  test('stays where it is for docker: and oci:, and is fetched for dir:, as skopeo does it', async () => {
    const [base] = imageFor('amd64').layers;
    if (base === undefined) throw new Error('no layer');
    const server = createServer((_request, response) => response.end(base.blob)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/layer`;
    try {
      const plain = buildImage({
        format: 'v2s2',
        layers: [
          { entries: [{ path: 'base', content: 'in both' }] },
          { entries: [{ path: 'o', content: 'own' }] },
        ],
      });
      const parsed = JSON.parse(plain.manifest.toString()) as { layers: object[] };
      const mediaType = 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip';
      parsed.layers[0] = { ...parsed.layers[0], mediaType, urls: [url] };
      const manifest = Buffer.from(JSON.stringify(parsed));
      const foreign = plain.layers[0]?.descriptor.digest ?? '';
      const blobs = new Map([...plain.blobs].filter(([digest]) => digest !== foreign));
      const whole = newPlace('dir');
      writeDirTransport(pathOf(whole), { ...plain, manifest, blobs });
      const there = newPlace('docker');
      await copy(whole, there);
      expect(await skopeo('inspect', '--raw', '--tls-verify=false', there)).toBe(manifest.toString());
      const layout = newPlace('oci');
      await copy(there, layout);
      expect(await skopeo('inspect', '--raw', layout)).toContain(url);
      const [ours, theirs] = [newPlace('dir'), newPlace('dir')];
      await copy(there, ours);
      await skopeo('copy', '-q', '--src-tls-verify=false', there, theirs);
      expect(filesIn(ours)).toEqual(filesIn(theirs));
    } finally {
      server.close();
    }
  });
});

describe('--preserve-digests', () => {
  test('lets through what is not changed, and leaves nothing of what would be', async () => {
    const image = buildImage({ layers: [{ entries: [{ path: 'a', content: 'x' }] }] });
    const start = newPlace('dir');
    writeDirTransport(pathOf(start), image);
    for (const transport of ['docker', 'oci', 'oci-archive', 'dir', 'ostree'] as const) {
      const to = newPlace(transport);
      expect((await copy('--preserve-digests', start, to)).digest).toBe(image.digest);
    }
    for (const to of [newPlace('docker-archive'), newPlace('dir')]) {
      const format = to.startsWith('dir:') ? ['--format', 'v2s2'] : [];
      const { status, stderr } = await tryCopy('--preserve-digests', ...format, start, to);
      expect([status, stderr]).toEqual([1, expect.stringMatching(/--preserve-digests/)]);
      await expect(skopeo('inspect', '--raw', to)).rejects.toThrow('no such file');
    }
  });
});

describe('signatures', () => {
  const image = buildImage({
    format: 'v2s2',
    layers: [{ entries: [{ path: 'a', content: 'x' }], compression: 'none' }],
  });
  const signatures = ['first signature', '\0second'];
  let start: string;
  beforeAll(() => {
    start = newPlace('dir');
    writeDirTransport(pathOf(start), image);
    for (const [i, text] of signatures.entries())
      writeFileSync(join(pathOf(start), `signature-${i + 1}`), text);
  });

  test('go from dir: to dir:, to ostree: and back', async () => {
    const [repo, back, again] = [newPlace('ostree'), newPlace('dir'), newPlace('dir')];
    await copy(start, repo);
    await copy(repo, back);
    await copy(start, again);
    for (const place of [back, again])
      expect(signatures.map((_, i) => fileIn(place, `signature-${i + 1}`).toString())).toEqual(signatures);
  });

  test.each(['docker', 'oci', 'oci-archive', 'docker-archive'] as const)(
    'are not dropped unseen by %s',
    async (transport) => {
      const to = newPlace(transport);
      const { status, stderr } = await tryCopy(start, to);
      expect([status, stderr]).toEqual([1, expect.stringMatching(/signatures[^]*--remove-signatures/)]);
      await copy('--remove-signatures', start, to);
    },
  );
});

test('an image of another repo is pulled with plain layers, and is known again', async () => {
  const start = newPlace('dir');
  writeDirTransport(pathOf(start), imageFor('amd64'));
  const there = newPlace('ostree');
  await copy(start, there);
  const pull = async (): Promise<{ changed: boolean; digest: string }> =>
    JSON.parse(await runWell(['--json', 'pull', there], options())) as { changed: boolean; digest: string };
  const { changed, digest } = await pull();
  expect([changed, digest]).toEqual([true, expect.not.stringContaining(imageFor('amd64').digest)]);
  expect(await pull()).toMatchObject({ changed: false, digest });
  // A copy makes the same manifest of it as a pull, so that its origin has nothing newer.
  expect(await copy(there, 'ostree:app:1')).toMatchObject({ digest });
  expect(await runWell(['images', 'list'], options())).toMatch(/app +1 /);
  expect((await runProgram(['images', 'verify', 'app:1'], options())).status).toBe(0);
});
