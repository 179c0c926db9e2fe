import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, symlinkSync, lstatSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { AtomicError } from '../../../src/errors.ts';
import { hexOf } from '../../../src/image/digest.ts';
import { parseManifest } from '../../../src/image/manifest.ts';
import { openDockerArchiveDestination } from '../../../src/transport/docker-archive/destination.ts';
import { listArchiveNames } from '../../../src/transport/docker-archive/list-names.ts';
import { openDockerArchiveSource } from '../../../src/transport/docker-archive/source.ts';
import {
  buildImage,
  buildIndex,
  sha256,
  writeDockerArchive,
  writeTar,
  type BuiltImage,
} from '../../fixtures/image-builder.ts';
import { useTempFolder } from '../../fixtures/temp-folder.ts';
import { messageOfFailure, plainImage, readImage, storeImage } from '../images.ts';

const folder = useTempFolder();
const path = (): string => join(folder(), 'x.tar');

async function save(image: BuiltImage, name?: string, ...additional: string[]): Promise<void> {
  const destination = await openDockerArchiveDestination(path(), name, additional);
  try {
    await storeImage(destination, image, 'reference');
    await destination.commit();
  } finally {
    await destination.close();
  }
}

async function blobsOf(name?: string): Promise<string[]> {
  const source = await openDockerArchiveSource(path(), name);
  try {
    return (await readImage(source)).blobs;
  } finally {
    await source.close();
  }
}

const blobs = (image: BuiltImage): string[] => [image.configDigest, ...image.diffIds];
const members = (): string[] =>
  execFileSync('tar', ['--list', '--file', path()], { encoding: 'utf8' }).trim().split('\n');
const readJson = (): unknown =>
  JSON.parse(execFileSync('tar', ['--extract', '--to-stdout', '--file', path(), 'manifest.json']).toString());

test('an image is written as docker load reads it, and read back', async () => {
  const image = plainImage('a', 'b');
  await save(image, 'small');
  expect(readJson()).toEqual([
    {
      Config: `${hexOf(image.configDigest)}.json`,
      RepoTags: ['small:latest'],
      Layers: image.diffIds.map((id) => `${hexOf(id)}.tar`),
    },
  ]);
  expect(await blobsOf('small')).toEqual(blobs(image));
  expect(readdirSync(folder())).toEqual(['x.tar']);
});

test('the same image gives the same bytes', async () => {
  await save(plainImage('a'), 'small:1');
  const first = readFileSync(path());
  writeFileSync(path(), '');
  await save(plainImage('a'), 'small:1');
  expect(readFileSync(path()).equals(first)).toBe(true);
});

test('names: none, several, and one with a port', async () => {
  await save(plainImage('a'));
  expect(readJson()).toMatchObject([{ RepoTags: null }]);
  await save(plainImage('b'), 'localhost:5000/b', 'c:2', 'c:2');
  expect(await listArchiveNames(path())).toEqual(['@0', 'localhost:5000/b:latest', 'c:2']);
});

test('a name by digest, and what is no name, are refused before anything is written', async () => {
  const { digest } = plainImage('a');
  expect(
    await messageOfFailure(openDockerArchiveDestination(path(), `x@${digest}`), 'reference-invalid'),
  ).toContain('by a digest');
  await messageOfFailure(openDockerArchiveDestination(path(), undefined, ['UPPER']), 'reference-invalid');
  expect(readdirSync(folder())).toEqual([]);
});

test('a layer that comes twice is one member', async () => {
  const image = plainImage('a', 'b', 'a');
  await save(image, 'twice:1');
  expect(members().filter((name) => name.endsWith('.tar'))).toHaveLength(2);
  expect(await blobsOf()).toEqual(blobs(image));
});

describe('an archive that is there', () => {
  test('keeps its other images, and shared layers are neither asked for nor written twice', async () => {
    const [one, two] = [plainImage('base', 'one'), plainImage('base', 'two')];
    await save(one, 'one:1');
    const destination = await openDockerArchiveDestination(path(), 'two:1');
    const base = parseManifest({ bytes: two.manifest, mediaType: '' }, 'x');
    if (base.kind === 'index' || base.layers[0] === undefined) throw new Error('no layer');
    expect(await destination.hasBlob(base.layers[0])).toBe(true);
    await destination.close();
    await save(two, 'two:1');
    expect(await blobsOf('one:1')).toEqual(blobs(one));
    expect(await blobsOf('two:1')).toEqual(blobs(two));
    expect(members()).toHaveLength(3 + 2 + 1);
  });

  test('gives up a name that moves, and the image that has no other', async () => {
    const [one, two, three] = [plainImage('one'), plainImage('two'), plainImage('three')];
    await save(one, 'moving:1', 'staying:1');
    await save(two, 'docker.io/library/moving:1');
    expect(await listArchiveNames(path())).toEqual(['staying:1', 'docker.io/library/moving:1']);
    await save(three, 'moving:1');
    expect(await listArchiveNames(path())).toEqual(['staying:1', 'moving:1']);
    expect(members()).toHaveLength(2 * 2 + 1);
    expect(await blobsOf('staying:1')).toEqual(blobs(one));
    expect(await blobsOf('moving:1')).toEqual(blobs(three));
  });

  test('lists an image under all its names when it comes again', async () => {
    await save(plainImage('one'), 'a:1');
    await save(plainImage('one'), 'b:1');
    expect(readJson()).toMatchObject([{ RepoTags: ['a:1', 'b:1'] }]);
  });

  test.each(['legacy', 'oci'] as const)('may be what docker save wrote (%s)', async (layout) => {
    const compressed = buildImage({ format: 'v2s2', layers: [{ entries: [{ path: 'z' }] }] });
    const [old, added] = [plainImage('same', 'other', 'same'), plainImage('same', 'new')];
    writeDockerArchive(path(), [{ image: old, names: ['old:1'] }], { layout, gzip: true });
    await save(added, 'new:1');
    expect(await blobsOf('old:1')).toEqual(blobs(old));
    expect(await blobsOf('new:1')).toEqual(blobs(added));
    writeDockerArchive(path(), [{ image: compressed, names: ['old:1'] }], { layout, storedLayers: true });
    await save(added, 'new:1');
    expect(await blobsOf('old:1')).toEqual([
      compressed.configDigest,
      compressed.layers[0]?.descriptor.digest,
    ]);
    expect(await blobsOf('new:1')).toEqual(blobs(added));
  });

  test('is replaced through a link to it', async () => {
    const link = join(folder(), 'link.tar');
    await save(plainImage('a'), 'a:1');
    symlinkSync('x.tar', link);
    const destination = await openDockerArchiveDestination(link, 'b:1');
    await storeImage(destination, plainImage('b'), 'reference');
    await destination.commit();
    await destination.close();
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    expect(await listArchiveNames(path())).toEqual(['a:1', 'b:1']);
  });

  test('is not taken for one when it is something else, and stays', async () => {
    writeFileSync(path(), 'a letter'.repeat(100));
    const before = readFileSync(path());
    await messageOfFailure(openDockerArchiveDestination(path(), 'a:1'), 'archive-invalid');
    writeFileSync(join(folder(), 'other.tar'), writeTar([{ path: 'letter', content: 'x' }]));
    expect(
      await messageOfFailure(openDockerArchiveDestination(join(folder(), 'other.tar')), 'archive-invalid'),
    ).toContain('has no manifest.json');
    expect(readFileSync(path()).equals(before)).toBe(true);
    expect(readdirSync(folder()).sort()).toEqual(['other.tar', 'x.tar']);
  });

  test('whose layer is not what its config says is not passed on', async () => {
    const lie = sha256(Buffer.from('something else'));
    const image = buildImage({
      format: 'v2s2',
      layers: [{ entries: [{ path: 'a' }] }],
      configFields: { rootfs: { type: 'layers', diff_ids: [lie] } },
    });
    writeDockerArchive(path(), [{ image, names: ['lie:1'] }]);
    const before = readFileSync(path());
    expect(await messageOfFailure(save(plainImage('b'), 'b:1'), 'archive-invalid')).toContain(
      `${path()} is damaged: the member`,
    );
    expect(readFileSync(path()).equals(before)).toBe(true);
    expect(readdirSync(folder())).toEqual(['x.tar']);
  });
});

describe('nothing half-written is left:', () => {
  test('when a layer breaks off, whose error is passed on', async () => {
    const image = plainImage('a');
    const destination = await openDockerArchiveDestination(path(), 'a:1');
    const broken = Readable.from(
      (async function* () {
        yield Buffer.alloc(100);
        throw new AtomicError('digest-mismatch', 'not what it should be');
      })(),
    );
    const layer = image.layers[0]?.descriptor;
    if (layer === undefined) throw new Error('no layer');
    expect(await messageOfFailure(destination.putBlob(layer, broken), 'digest-mismatch')).toBe(
      'not what it should be',
    );
    expect(existsSync(path())).toBe(false);
    await destination.close();
    expect(readdirSync(folder())).toEqual([]);
  });

  test('without a commit the archive stays as it was', async () => {
    await save(plainImage('a'), 'a:1');
    const before = readFileSync(path());
    const destination = await openDockerArchiveDestination(path(), 'a:1');
    await storeImage(destination, plainImage('b'), 'reference');
    await destination.close();
    expect(readFileSync(path()).equals(before)).toBe(true);
    expect(readdirSync(folder())).toEqual(['x.tar']);
  });
});

test('what docker load would refuse is refused: an index, and layers that are not those of the config', async () => {
  const index = buildIndex([plainImage('a')]);
  const destination = await openDockerArchiveDestination(path());
  expect(
    await messageOfFailure(
      destination.putManifest({ bytes: index.manifest, mediaType: '' }, index.digest, 'reference'),
      'unsupported',
    ),
  ).toContain('can hold single images');
  await destination.close();
  const compressed = buildImage({ format: 'v2s2', layers: [{ entries: [{ path: 'a' }] }] });
  expect(await messageOfFailure(save(compressed), 'config-invalid')).toContain('does not name the layers');
  expect(readdirSync(folder())).toEqual([]);
});

test('a compressed archive with images is found to be one', async () => {
  await save(plainImage('a'), 'a:1');
  writeFileSync(path(), gzipSync(readFileSync(path())));
  await save(plainImage('b'), 'b:1');
  expect(await listArchiveNames(path())).toEqual(['a:1', 'b:1']);
});

test('a blob can be read from its middle', async () => {
  await save(plainImage('a'), 'a:1');
  const source = await openDockerArchiveSource(path());
  const manifest = parseManifest(await source.getManifest(), 'x');
  if (manifest.kind === 'index') throw new Error('an index');
  const read = async (from?: number): Promise<string> =>
    (await (await source.getBlob(manifest.config, from)).toArray()).join('');
  expect(source.seekable).toBe(true);
  expect(await read(10)).toBe((await read()).slice(10));
  await source.close();
});
