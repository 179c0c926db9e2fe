import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { hexOf } from '../../../src/image/digest.ts';
import { openOciArchiveSource } from '../../../src/transport/oci-archive/source.ts';
import { layoutFiles, writeOciArchive, writeTar } from '../../fixtures/image-builder.ts';
import { useTempFolder } from '../../fixtures/temp-folder.ts';
import { digestsOf, messageOfFailure, readImage, smallImage } from '../images.ts';

const folder = useTempFolder();
const path = (): string => join(folder(), 'x.tar');

test.each([false, true])('images are read by their tags (gzip: %s)', async (gzip) => {
  const [one, two] = [smallImage('1'), smallImage('2')];
  writeOciArchive(
    path(),
    [
      { image: one, tag: 'a' },
      { image: two, tag: 'b' },
    ],
    { gzip, first: [{ path: 'blobs', type: 'dir' }] },
  );
  const source = await openOciArchiveSource(path(), 'b');
  expect(source.name).toBe(`oci-archive:${path()}:b`);
  expect(await readImage(source)).toEqual(digestsOf(two));
  expect(await readImage(source, one.digest)).toEqual(digestsOf(one));
  await source.close();
});

test('without a tag the tags that exist are told', async () => {
  const images = ['1', '2'].map((tag) => ({ image: smallImage(tag), tag }));
  writeOciArchive(path(), images);
  expect(await messageOfFailure(openOciArchiveSource(path()), 'image-not-found')).toBe(
    `${path()} holds 2 images: it has 1, 2`,
  );
});

test('a tar that is no layout is refused', async () => {
  writeFileSync(path(), writeTar([{ path: 'index.json', content: '{}' }]));
  expect(await messageOfFailure(openOciArchiveSource(path()), 'archive-invalid')).toBe(
    `${path()} is no OCI image layout: it has no oci-layout`,
  );
});

test('a blob that is a link is refused, wherever it points', async () => {
  const image = smallImage();
  const name = `blobs/sha256/${hexOf(image.digest)}`;
  const files = [...layoutFiles([{ image }])].filter(([file]) => file !== name);
  writeFileSync(
    path(),
    writeTar([
      ...files.map(([path, content]) => ({ path, content })),
      { path: name, type: 'symlink', target: '/etc/passwd' },
    ]),
  );
  const source = await openOciArchiveSource(path());
  expect(await messageOfFailure(source.getManifest(), 'archive-invalid')).toBe(
    `${path()} has ${name}, but not as a regular file`,
  );
  await source.close();
});
