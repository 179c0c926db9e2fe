import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { hexOf } from '../../../src/image/digest.ts';
import { openOciArchiveDestination } from '../../../src/transport/oci-archive/destination.ts';
import { openOciArchiveSource } from '../../../src/transport/oci-archive/source.ts';
import { buildIndex, layoutFiles, writeOciArchive, writeTar } from '../../fixtures/image-builder.ts';
import type { BuiltImage, BuiltIndex } from '../../fixtures/image-builder.ts';
import { useTempFolder } from '../../fixtures/temp-folder.ts';
import { digestsOf, messageOfFailure, readImage, smallImage, storeImage } from '../images.ts';

const folder = useTempFolder();
const path = (): string => join(folder(), 'x.tar');

async function save(image: BuiltImage | BuiltIndex, tag?: string): Promise<void> {
  const destination = await openOciArchiveDestination(path(), tag);
  try {
    if (image.kind === 'image') await storeImage(destination, image, 'reference');
    else {
      for (const one of image.images) await storeImage(destination, one, 'entry');
      await destination.putManifest({ bytes: image.manifest, mediaType: '' }, image.digest, 'reference');
    }
    await destination.commit();
  } finally {
    await destination.close();
  }
}

async function digestsIn(tag?: string): Promise<ReturnType<typeof digestsOf>> {
  const source = await openOciArchiveSource(path(), tag);
  try {
    return await readImage(source);
  } finally {
    await source.close();
  }
}

const members = (): string[] =>
  execFileSync('tar', ['--list', '--file', path()], { encoding: 'utf8' }).trim().split('\n');

test('an image is written and read back, and nothing else is left', async () => {
  const image = smallImage();
  await save(image, 'v1');
  expect(await digestsIn('v1')).toEqual(digestsOf(image));
  expect(members().slice(0, 2)).toEqual(['oci-layout', 'index.json']);
  expect(readdirSync(folder())).toEqual(['x.tar']);
});

test('the same image gives the same bytes', async () => {
  await save(smallImage());
  const first = readFileSync(path());
  writeFileSync(path(), '');
  await save(smallImage());
  expect(readFileSync(path()).equals(first)).toBe(true);
  await save(smallImage());
  expect(readFileSync(path()).equals(first)).toBe(true);
});

describe('an archive that is there', () => {
  test('keeps its other images, and loses the blobs that nothing needs any more', async () => {
    const [one, two, three] = [smallImage('1'), smallImage('2'), smallImage('3')];
    const index = buildIndex([smallImage('4'), smallImage('5')]);
    writeOciArchive(
      path(),
      [
        { image: one, tag: 'moving' },
        { image: index, tag: 'index' },
      ],
      { gzip: true },
    );
    await save(two, 'two');
    await save(three, 'moving');
    expect(await digestsIn('two')).toEqual(digestsOf(two));
    expect(await digestsIn('moving')).toEqual(digestsOf(three));
    const source = await openOciArchiveSource(path(), 'index');
    for (const image of index.images) expect(await readImage(source, image.digest)).toEqual(digestsOf(image));
    await source.close();
    const needed = layoutFiles([{ image: two }, { image: three }, { image: index }]);
    expect(members().sort()).toEqual([...needed.keys()].sort());
  });

  test('without a tag loses its image without one to the next, which is all that can be asked for then', async () => {
    const [one, two, three] = [smallImage('1'), smallImage('2'), smallImage('3')];
    await save(one);
    await save(two);
    expect(await digestsIn()).toEqual(digestsOf(two));
    expect(members().sort()).toEqual([...layoutFiles([{ image: two }]).keys()].sort());
    await save(three, 'v3');
    expect(await digestsIn('v3')).toEqual(digestsOf(three));
    expect(members().sort()).toEqual([...layoutFiles([{ image: two }, { image: three }]).keys()].sort());
  });

  test('need not be given the blobs that it has', async () => {
    const image = smallImage();
    await save(image, 'a');
    const destination = await openOciArchiveDestination(path(), 'b');
    for (const { descriptor } of image.layers) {
      expect(await destination.hasBlob(descriptor)).toBe(true);
      expect(await destination.hasBlob({ ...descriptor, size: descriptor.size + 1 })).toBe(false);
    }
    await destination.close();
    await save(image, 'b');
    for (const tag of ['a', 'b']) expect(await digestsIn(tag)).toEqual(digestsOf(image));
  });

  test('is left alone when it is something else', async () => {
    writeFileSync(path(), writeTar([{ path: 'letter', content: 'x' }]));
    const before = readFileSync(path());
    expect(await messageOfFailure(openOciArchiveDestination(path(), 'v1'), 'archive-invalid')).toBe(
      `${path()} is no OCI image layout: it has no oci-layout`,
    );
    expect(readFileSync(path()).equals(before)).toBe(true);
    expect(readdirSync(folder())).toEqual(['x.tar']);
  });

  test('whose blobs are not what their names say is not passed on', async () => {
    const [one, two] = [smallImage('1'), smallImage('2')];
    const files = layoutFiles([{ image: one, tag: 'one' }]);
    const name = `blobs/sha256/${hexOf(one.configDigest)}`;
    files.set(name, Buffer.from('{}'));
    const entries = [...files].map(([path, content]) => ({ path, content }));
    writeFileSync(path(), writeTar(entries));
    expect(await messageOfFailure(save(two, 'two'), 'archive-invalid')).toContain(
      `is damaged: the member ${name}`,
    );
    expect(readdirSync(folder())).toEqual(['x.tar']);
  });
});

test('without a commit nothing is there', async () => {
  const destination = await openOciArchiveDestination(path());
  await storeImage(destination, smallImage(), 'reference');
  await destination.close();
  expect(readdirSync(folder())).toEqual([]);
});
