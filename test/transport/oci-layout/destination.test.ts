import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { AtomicError } from '../../../src/errors.ts';
import { hexOf } from '../../../src/image/digest.ts';
import { openOciLayoutDestination } from '../../../src/transport/oci-layout/destination.ts';
import { openOciLayoutSource } from '../../../src/transport/oci-layout/source.ts';
import type { ImageDestination } from '../../../src/transport/transport.ts';
import { buildIndex, describe as describeBytes, type BuiltImage } from '../../fixtures/image-builder.ts';
import { useTempFolder } from '../../fixtures/temp-folder.ts';
import { digestsOf, messageOfFailure, readImage, smallImage, storeImage } from '../images.ts';

const folder = useTempFolder();
const layout = (): string => join(folder(), 'new/layout');

async function copyTo(destination: ImageDestination, image: BuiltImage): Promise<void> {
  await storeImage(destination, image, 'reference');
  await destination.commit();
  await destination.close();
}

test('an image that was stored is read back', async () => {
  const image = smallImage();
  const destination = await openOciLayoutDestination(layout(), 'v1');
  expect(destination.name).toBe(`oci:${layout()}:v1`);
  await copyTo(destination, image);
  expect(await readImage(await openOciLayoutSource(layout(), 'v1'))).toEqual(digestsOf(image));
  expect(readdirSync(layout()).sort()).toEqual(['blobs', 'index.json', 'oci-layout']);
});

test('a second image joins the first, and a tag moves to the image that is stored last', async () => {
  const [one, two, three] = [smallImage('1'), smallImage('2'), smallImage('3')];
  await copyTo(await openOciLayoutDestination(layout(), 'a'), one);
  await copyTo(await openOciLayoutDestination(layout(), 'b'), two);
  await copyTo(await openOciLayoutDestination(layout(), 'b'), three);
  expect(await readImage(await openOciLayoutSource(layout(), 'a'))).toEqual(digestsOf(one));
  expect(await readImage(await openOciLayoutSource(layout(), 'b'))).toEqual(digestsOf(three));
});

test.each(['with space', 'ünicode', '@0', 'a__b', 'a/', 'x-'])(
  'a tag that skopeo cannot be asked for is refused: %s',
  async (tag) => {
    await messageOfFailure(openOciLayoutDestination(layout(), tag), 'reference-invalid');
    expect(existsSync(layout())).toBe(false);
  },
);

test.each(['v1', '1.0_x-Y', 'a--b', 'example.org:5000/name:v1', 'n@sha256:00', 'UPPER/Case'])(
  'a tag that skopeo takes is taken: %s',
  async (tag) => {
    const image = smallImage();
    await copyTo(await openOciLayoutDestination(layout(), tag), image);
    expect(await readImage(await openOciLayoutSource(layout(), tag))).toEqual(digestsOf(image));
  },
);

test('an index is what the tag stands for, its entries are only stored', async () => {
  const images = [smallImage('1'), smallImage('2')];
  const index = buildIndex(images);
  const destination = await openOciLayoutDestination(layout(), 'multi');
  for (const image of images) await storeImage(destination, image, 'entry');
  await destination.putManifest({ bytes: index.manifest, mediaType: '' }, index.digest, 'reference');
  await destination.commit();
  await destination.close();
  const source = await openOciLayoutSource(layout());
  expect(await source.getManifest()).toEqual({ bytes: index.manifest, mediaType: index.mediaType });
  for (const image of images) expect(await readImage(source, image.digest)).toEqual(digestsOf(image));
});

test('a blob is there once it was stored, and not when its size differs', async () => {
  const image = smallImage();
  const config = describeBytes(image.config, '');
  const destination = await openOciLayoutDestination(layout());
  expect(await destination.hasBlob(config)).toBe(false);
  await destination.putBlob(config, Readable.from([image.config]));
  expect(await destination.hasBlob(config)).toBe(true);
  expect(await destination.hasBlob({ ...config, size: config.size + 1 })).toBe(false);
  await destination.close();
});

describe('nothing half-written is left:', () => {
  test('a stream that fails keeps the blob from its name, and its error is passed on', async () => {
    const image = smallImage();
    const config = describeBytes(image.config, '');
    const destination = await openOciLayoutDestination(layout());
    const broken = Readable.from(
      (async function* () {
        yield image.config.subarray(0, 10);
        throw new AtomicError('digest-mismatch', 'not what it should be');
      })(),
    );
    expect(await messageOfFailure(destination.putBlob(config, broken), 'digest-mismatch')).toBe(
      'not what it should be',
    );
    expect(await destination.hasBlob(config)).toBe(false);
    await destination.close();
    expect(existsSync(join(layout(), 'blobs/sha256', hexOf(config.digest)))).toBe(false);
    expect(existsSync(layout())).toBe(false);
  });

  test('without a commit index.json stays as it was', async () => {
    const [one, two] = [smallImage('1'), smallImage('2')];
    await copyTo(await openOciLayoutDestination(layout(), 'a'), one);
    const before = readFileSync(join(layout(), 'index.json'));
    const destination = await openOciLayoutDestination(layout(), 'a');
    await storeImage(destination, two, 'reference');
    await destination.close();
    expect(readFileSync(join(layout(), 'index.json'))).toEqual(before);
    expect(await readImage(await openOciLayoutSource(layout(), 'a'))).toEqual(digestsOf(one));
  });

  test('a first copy that was interrupted can be done again', async () => {
    const image = smallImage();
    const destination = await openOciLayoutDestination(layout());
    await storeImage(destination, image, 'reference');
    await copyTo(await openOciLayoutDestination(layout()), image);
    expect(await readImage(await openOciLayoutSource(layout()))).toEqual(digestsOf(image));
    await destination.close();
  });
});

test('a folder with other files is left alone', async () => {
  mkdirSync(layout(), { recursive: true });
  writeFileSync(join(layout(), 'letter.txt'), 'x');
  expect(await messageOfFailure(openOciLayoutDestination(layout()), 'archive-invalid')).toBe(
    `${layout()} is no OCI image layout and holds "letter.txt"`,
  );
  expect(readdirSync(layout())).toEqual(['letter.txt']);
});
