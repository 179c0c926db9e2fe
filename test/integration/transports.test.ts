/** skopeo is the judge: what it writes we read, what we write it reads, with equal digests. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { parseManifest } from '../../src/image/manifest.ts';
import { openDirDestination, openDirSource } from '../../src/transport/dir.ts';
import { openDockerArchiveDestination } from '../../src/transport/docker-archive/destination.ts';
import { openDockerArchiveSource } from '../../src/transport/docker-archive/source.ts';
import { openOciArchiveDestination } from '../../src/transport/oci-archive/destination.ts';
import { openOciArchiveSource } from '../../src/transport/oci-archive/source.ts';
import { openOciLayoutDestination } from '../../src/transport/oci-layout/destination.ts';
import { openOciLayoutSource } from '../../src/transport/oci-layout/source.ts';
import type { ImageDestination, ImageSource } from '../../src/transport/transport.ts';
import {
  buildImage,
  buildIndex,
  sha256,
  writeDirTransport,
  writeOciLayout,
  type BuiltImage,
  type BuiltIndex,
} from '../fixtures/image-builder.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';
import { digestsOf, plainImage, readImage, storeImage } from '../transport/images.ts';

type Format = 'oci' | 'v2s2';

const folder = useTempFolder();

function image(format: Format, architecture = 'amd64'): BuiltImage {
  const noise = Buffer.from(Array.from({ length: 2_500_000 }, (_, i) => (i * i) % 253));
  return buildImage({
    format,
    platform: { os: 'linux', architecture },
    layers: [
      { entries: [{ path: 'big', content: noise }] },
      { entries: [{ path: 'etc/arch', content: architecture }] },
    ],
    config: { Cmd: ['/bin/sh'] },
  });
}

/** Copies with skopeo and keeps every digest. */
function skopeoCopy(from: string, to: string, ...options: string[]): void {
  execFileSync('skopeo', ['--insecure-policy', 'copy', '-q', ...options, from, to], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

function skopeoRaw(reference: string): Buffer {
  return execFileSync('skopeo', ['inspect', '--raw', reference], { stdio: ['ignore', 'pipe', 'pipe'] });
}

async function openedAndClosed<T>(
  opening: Promise<ImageSource>,
  use: (source: ImageSource) => Promise<T>,
): Promise<T> {
  const source = await opening;
  try {
    return await use(source);
  } finally {
    await source.close();
  }
}

describe('what skopeo writes is read:', () => {
  const built = image('oci');
  const copyTo = (reference: string): void => {
    writeOciLayout(join(folder(), 'start'), [{ image: built, tag: 'v1' }]);
    skopeoCopy(`oci:${folder()}/start:v1`, reference);
  };

  test('oci:', async () => {
    copyTo(`oci:${folder()}/out:v2`);
    const read = await openedAndClosed(openOciLayoutSource(join(folder(), 'out'), 'v2'), readImage);
    expect(read).toEqual(digestsOf(built));
  });

  test('oci: without a tag', async () => {
    copyTo(`oci:${folder()}/out`);
    const read = await openedAndClosed(openOciLayoutSource(join(folder(), 'out')), readImage);
    expect(read).toEqual(digestsOf(built));
  });

  test('dir:', async () => {
    copyTo(`dir:${folder()}/out`);
    const read = await openedAndClosed(openDirSource(join(folder(), 'out')), readImage);
    expect(read).toEqual(digestsOf(built));
  });

  test('oci-archive:, plain and with gzip', async () => {
    const file = join(folder(), 'out.tar');
    copyTo(`oci-archive:${file}:v2`);
    expect(await openedAndClosed(openOciArchiveSource(file, 'v2'), readImage)).toEqual(digestsOf(built));
    writeFileSync(file, gzipSync(readFileSync(file)));
    expect(await openedAndClosed(openOciArchiveSource(file, 'v2'), readImage)).toEqual(digestsOf(built));
  });

  test('docker-archive:, whose layers are plain and linked', async () => {
    const file = join(folder(), 'out.tar');
    copyTo(`docker-archive:${file}:example.org/app:3`);
    const source = await openDockerArchiveSource(file, 'example.org/app:3');
    expect(source.imageName).toBe('example.org/app:3');
    const { blobs, manifest } = await readImage(source);
    expect(blobs.slice(1)).toEqual(built.diffIds);
    // skopeo makes a manifest for such a file as well, and the two have to point at the same content.
    const theirs = parseManifest({ bytes: skopeoRaw(`docker-archive:${file}`), mediaType: '' }, 'skopeo');
    expect(parseManifest(await source.getManifest(manifest), 'ours')).toMatchObject({
      config: { digest: theirs.kind === 'manifest' ? theirs.config.digest : '' },
      layers: theirs.kind === 'manifest' ? theirs.layers.map(({ digest, size }) => ({ digest, size })) : [],
    });
    await source.close();
  });

  test('every manifest of an index, from oci: and dir:', async () => {
    const images = [image('oci', 'amd64'), image('oci', 'arm64')];
    const index = buildIndex(images);
    writeOciLayout(join(folder(), 'start'), [{ image: index, tag: 'multi' }]);
    for (const transport of ['oci', 'dir']) {
      skopeoCopy(`oci:${folder()}/start:multi`, `${transport}:${folder()}/${transport}`, '--all');
    }
    for (const opening of [
      openOciLayoutSource(join(folder(), 'oci')),
      openDirSource(join(folder(), 'dir')),
    ]) {
      await openedAndClosed(opening, async (source) => {
        expect(sha256((await source.getManifest()).bytes)).toBe(index.digest);
        for (const one of images) expect(await readImage(source, one.digest)).toEqual(digestsOf(one));
      });
    }
  });
});

// skopeo looks for tags of a layout among OCI manifests only.
describe.each<[string, (path: string) => Promise<ImageDestination>, string, Format[]]>([
  ['oci:', (path) => openOciLayoutDestination(path), '', ['oci', 'v2s2']],
  ['oci: with a tag', (path) => openOciLayoutDestination(path, 'v1'), ':v1', ['oci']],
  ['dir:', (path) => openDirDestination(path), '', ['oci', 'v2s2']],
  ['oci-archive:', (path) => openOciArchiveDestination(path), '', ['oci', 'v2s2']],
  ['oci-archive: with a tag', (path) => openOciArchiveDestination(path, 'v1'), ':v1', ['oci']],
])('what we write to %s is read by skopeo', (_, open, suffix, formats) => {
  const nameOf = (transport: string): string => `${transport}:${folder()}/ours${suffix}`;

  async function write(built: BuiltImage | BuiltIndex): Promise<string> {
    const destination = await open(join(folder(), 'ours'));
    if (built.kind === 'image') await storeImage(destination, built, 'reference');
    else {
      for (const one of built.images) await storeImage(destination, one, 'entry');
      await destination.putManifest({ bytes: built.manifest, mediaType: '' }, built.digest, 'reference');
    }
    await destination.commit();
    await destination.close();
    return nameOf(destination.name.split(':')[0] ?? '');
  }

  test.each(formats)('an image in the format %s, byte for byte', async (format) => {
    const built = image(format);
    const name = await write(built);
    expect(sha256(skopeoRaw(name))).toBe(built.digest);
    skopeoCopy(name, `dir:${folder()}/theirs`, '--preserve-digests');
    const read = await openedAndClosed(openDirSource(join(folder(), 'theirs')), readImage);
    expect(read).toEqual(digestsOf(built));
  });

  test('an index with all its images', async () => {
    const built = buildIndex([image('oci', 'amd64'), image('oci', 'arm64')]);
    const name = await write(built);
    expect(sha256(skopeoRaw(name))).toBe(built.digest);
    skopeoCopy(name, `dir:${folder()}/theirs`, '--all', '--preserve-digests');
    await openedAndClosed(openDirSource(join(folder(), 'theirs')), async (source) => {
      expect(sha256((await source.getManifest()).bytes)).toBe(built.digest);
      for (const one of built.images) expect(await readImage(source, one.digest)).toEqual(digestsOf(one));
    });
  });
});

test('a layout that skopeo and we write in turn keeps both images', async () => {
  const [ours, theirs] = [image('oci', 'amd64'), image('oci', 'arm64')];
  const layout = join(folder(), 'shared');
  writeOciLayout(join(folder(), 'start'), [{ image: theirs, tag: 'x' }]);
  const store = async (tag: string): Promise<void> => {
    const destination = await openOciLayoutDestination(layout, tag);
    await storeImage(destination, ours, 'reference');
    await destination.commit();
    await destination.close();
  };
  await store('ours');
  skopeoCopy(`oci:${folder()}/start:x`, `oci:${layout}:theirs`);
  await store('again');
  for (const [tag, built] of [
    ['ours', ours],
    ['theirs', theirs],
    ['again', ours],
  ] as const) {
    expect(await openedAndClosed(openOciLayoutSource(layout, tag), readImage)).toEqual(digestsOf(built));
    expect(sha256(skopeoRaw(`oci:${layout}:${tag}`))).toBe(built.digest);
  }
});

describe('docker-archive:', () => {
  const file = (): string => join(folder(), 'saved.tar');
  const blobs = (built: BuiltImage): string[] => [built.configDigest, ...built.diffIds];

  async function save(built: BuiltImage, name: string, ...additional: string[]): Promise<void> {
    const destination = await openDockerArchiveDestination(file(), name, additional);
    await storeImage(destination, built, 'reference');
    await destination.commit();
    await destination.close();
  }

  /** Config and layers of what skopeo unpacks, which compresses nothing on its way to a folder. */
  async function readBySkopeo(name: string): Promise<string[]> {
    const target = join(folder(), name.replace(/\W/g, '-'));
    skopeoCopy(`docker-archive:${file()}:${name}`, `dir:${target}`);
    return (await openedAndClosed(openDirSource(target), readImage)).blobs;
  }

  test('skopeo reads what we write, several images in one file', async () => {
    const [one, two] = [plainImage('base', 'one'), plainImage('base', 'two', 'base')];
    await save(one, 'example.org/one:1', 'second:2');
    await save(two, 'two');
    for (const name of ['example.org/one:1', 'second:2'])
      expect(await readBySkopeo(name)).toEqual(blobs(one));
    expect(await readBySkopeo('two:latest')).toEqual(blobs(two));
    const tags = JSON.parse(
      execFileSync('skopeo', ['list-tags', `docker-archive:${file()}`], { encoding: 'utf8' }),
    ) as { Tags: string[] };
    expect(tags.Tags).toEqual(['example.org/one:1', 'second:2', 'two:latest']);
  });

  test('an image is added to what skopeo wrote, whose own stays', async () => {
    const [theirs, ours] = [plainImage('base', 'theirs'), plainImage('base', 'ours')];
    writeDirTransport(join(folder(), 'start'), theirs);
    skopeoCopy(`dir:${folder()}/start`, `docker-archive:${file()}:theirs:1`);
    await save(ours, 'ours:1');
    expect(await readBySkopeo('theirs:1')).toEqual(blobs(theirs));
    expect(await readBySkopeo('ours:1')).toEqual(blobs(ours));
  });
});

test('an oci-archive that skopeo wrote keeps its image when another is added', async () => {
  const [theirs, ours] = [image('oci', 'amd64'), image('oci', 'arm64')];
  const file = join(folder(), 'shared.tar');
  writeOciLayout(join(folder(), 'start'), [{ image: theirs, tag: 'x' }]);
  skopeoCopy(`oci:${folder()}/start:x`, `oci-archive:${file}:theirs`);
  const destination = await openOciArchiveDestination(file, 'ours');
  await storeImage(destination, ours, 'reference');
  await destination.commit();
  await destination.close();
  for (const [tag, built] of [
    ['ours', ours],
    ['theirs', theirs],
  ] as const) {
    expect(sha256(skopeoRaw(`oci-archive:${file}:${tag}`))).toBe(built.digest);
    expect(await openedAndClosed(openOciArchiveSource(file, tag), readImage)).toEqual(digestsOf(built));
  }
});
