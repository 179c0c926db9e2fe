import { mkdirSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { hexOf } from '../../../src/image/digest.ts';
import { parseManifest } from '../../../src/image/manifest.ts';
import { limitOf } from '../../../src/limits.ts';
import { openOciLayoutSource } from '../../../src/transport/oci-layout/source.ts';
import {
  buildImage,
  buildIndex,
  describe as describeBytes,
  writeOciLayout,
} from '../../fixtures/image-builder.ts';
import { useTempFolder } from '../../fixtures/temp-folder.ts';
import { digestsOf, messageOfFailure, readImage, smallImage } from '../images.ts';

const folder = useTempFolder();
const blobPath = (digest: Parameters<typeof hexOf>[0]): string =>
  join(folder(), 'blobs/sha256', hexOf(digest));

test('an image is read by its tag', async () => {
  const [one, two] = [smallImage('one'), smallImage('two', 'v2s2')];
  writeOciLayout(folder(), [
    { image: one, tag: '1' },
    { image: two, tag: 'registry.example/two:latest' },
  ]);
  const first = await openOciLayoutSource(folder(), '1');
  const second = await openOciLayoutSource(folder(), 'registry.example/two:latest');
  expect(first.name).toBe(`oci:${folder()}:1`);
  expect(await readImage(first)).toEqual(digestsOf(one));
  expect(await readImage(second)).toEqual(digestsOf(two));
  expect((await second.getManifest()).mediaType).toBe(two.mediaType);
});

test('a tag that points at an index gives the index, and its manifests by digest', async () => {
  const images = ['amd64', 'arm64'].map((architecture) =>
    buildImage({ layers: [{ entries: [{ path: architecture }] }], platform: { os: 'linux', architecture } }),
  );
  const index = buildIndex(images);
  writeOciLayout(folder(), [{ image: index, tag: 'multi' }]);
  const source = await openOciLayoutSource(folder());
  const raw = await source.getManifest();
  expect(Buffer.from(raw.bytes)).toEqual(index.manifest);
  expect(parseManifest(raw, 'index').kind).toBe('index');
  for (const image of images) expect(await readImage(source, image.digest)).toEqual(digestsOf(image));
});

test('a blob is given as it is stored, even when it is not what its name says', async () => {
  const image = smallImage();
  writeOciLayout(folder(), [{ image }]);
  writeFileSync(blobPath(image.configDigest), 'changed');
  const source = await openOciLayoutSource(folder());
  const stream = await source.getBlob(describeBytes(image.config, ''));
  expect((await buffer(stream)).toString()).toBe('changed');
});

test('a tag gives no manifest but the one that index.json names', async () => {
  const [image, other] = [smallImage('one'), smallImage('two')];
  writeOciLayout(folder(), [{ image }]);
  writeFileSync(blobPath(image.digest), other.manifest);
  const source = await openOciLayoutSource(folder());
  expect(await messageOfFailure(source.getManifest(), 'digest-mismatch')).toBe(
    `the manifest of oci:${folder()} does not have the digest it should: expected ${image.digest}, got ${other.digest}`,
  );
});

describe('what is not there is said:', () => {
  test('the folder', async () => {
    const path = join(folder(), 'none');
    expect(await messageOfFailure(openOciLayoutSource(path), 'image-not-found')).toBe(
      `There is no folder ${path}`,
    );
  });

  test('the tag', async () => {
    writeOciLayout(folder(), [{ image: smallImage(), tag: 'v1' }]);
    expect(await messageOfFailure(openOciLayoutSource(folder(), 'v2'), 'image-not-found')).toBe(
      `${folder()} has no image with the tag "v2": it has v1`,
    );
  });

  test.each(['oci-layout', 'index.json'])('%s', async (file) => {
    writeOciLayout(folder(), [{ image: smallImage() }]);
    rmSync(join(folder(), file));
    expect(await messageOfFailure(openOciLayoutSource(folder()), 'archive-invalid')).toBe(
      `${folder()} is no OCI image layout: it has no ${file}`,
    );
  });

  test('a manifest and a blob', async () => {
    const image = smallImage();
    writeOciLayout(folder(), [{ image }]);
    const source = await openOciLayoutSource(folder());
    rmSync(blobPath(image.digest));
    rmSync(blobPath(image.configDigest));
    expect(await messageOfFailure(source.getManifest(), 'manifest-unknown')).toContain(image.digest);
    const config = describeBytes(image.config, '');
    expect(await messageOfFailure(source.getBlob(config), 'archive-invalid')).toContain(config.digest);
  });
});

describe('a hostile layout is refused:', () => {
  test('a blob that is a symlink', async () => {
    const image = smallImage();
    writeOciLayout(folder(), [{ image }]);
    const path = blobPath(image.configDigest);
    renameSync(path, join(folder(), 'elsewhere'));
    symlinkSync(join(folder(), 'elsewhere'), path);
    const source = await openOciLayoutSource(folder());
    expect(await messageOfFailure(source.getBlob(describeBytes(image.config, '')), 'archive-invalid')).toBe(
      `${path} is a symbolic link, not a file`,
    );
  });

  test('a blob that is a folder', async () => {
    const image = smallImage();
    writeOciLayout(folder(), [{ image }]);
    rmSync(blobPath(image.configDigest));
    mkdirSync(blobPath(image.configDigest));
    const source = await openOciLayoutSource(folder());
    expect(
      await messageOfFailure(source.getBlob(describeBytes(image.config, '')), 'archive-invalid'),
    ).toMatch(/is not a regular file$/);
  });

  test('an index.json that is a symlink', async () => {
    writeOciLayout(folder(), [{ image: smallImage() }]);
    renameSync(join(folder(), 'index.json'), join(folder(), 'real'));
    symlinkSync('real', join(folder(), 'index.json'));
    expect(await messageOfFailure(openOciLayoutSource(folder()), 'archive-invalid')).toMatch(/symbolic link/);
  });

  test('an index.json and a manifest that are too long', async () => {
    const image = smallImage();
    writeOciLayout(folder(), [{ image }]);
    const source = await openOciLayoutSource(folder());
    truncateSync(blobPath(image.digest), limitOf('manifest-size') + 1);
    expect(await messageOfFailure(source.getManifest(), 'limit-exceeded')).toContain(hexOf(image.digest));
    truncateSync(join(folder(), 'index.json'), limitOf('manifest-size') + 1);
    expect(await messageOfFailure(openOciLayoutSource(folder()), 'limit-exceeded')).toContain('index.json');
  });
});
