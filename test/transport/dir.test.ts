import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { hexOf } from '../../src/image/digest.ts';
import { openDirDestination, openDirSource } from '../../src/transport/dir.ts';
import { buildIndex, describe as describeBytes, writeDirTransport } from '../fixtures/image-builder.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';
import { digestsOf, messageOfFailure, readImage, smallImage, storeImage } from './images.ts';

const folder = useTempFolder();
const path = (): string => join(folder(), 'image');

describe('reading', () => {
  test('gives the image', async () => {
    const image = smallImage();
    writeDirTransport(path(), image);
    const source = await openDirSource(path());
    expect(source.name).toBe(`dir:${path()}`);
    expect(await readImage(source)).toEqual(digestsOf(image));
  });

  test('gives an index, and its manifests by digest', async () => {
    const images = [smallImage('1'), smallImage('2')];
    const index = buildIndex(images, 'v2s2');
    writeDirTransport(path(), index);
    const source = await openDirSource(path());
    expect(Buffer.from((await source.getManifest()).bytes)).toEqual(index.manifest);
    for (const image of images) expect(await readImage(source, image.digest)).toEqual(digestsOf(image));
  });

  test('gives the signatures of each manifest, and no link for one', async () => {
    const image = smallImage();
    writeDirTransport(path(), image);
    const names = ['signature-1', 'signature-2', `${hexOf(image.digest)}.signature-1`, 'signature-4'];
    for (const name of names) writeFileSync(join(path(), name), name);
    const source = await openDirSource(path());
    expect((await source.getSignatures?.())?.map(String)).toEqual(names.slice(0, 2));
    expect((await source.getSignatures?.(image.digest))?.map(String)).toEqual(names.slice(2, 3));
    symlinkSync('/etc/hostname', join(path(), 'signature-3'));
    expect(
      await messageOfFailure(source.getSignatures?.() ?? Promise.resolve(), 'archive-invalid'),
    ).toContain('signature-3 is a symbolic link');
  });

  test('says what is not there', async () => {
    expect(await messageOfFailure(openDirSource(path()), 'image-not-found')).toBe(
      `${path()} holds no image: it has no manifest.json`,
    );
    const image = smallImage();
    writeDirTransport(path(), image);
    rmSync(join(path(), hexOf(image.configDigest)));
    const source = await openDirSource(path());
    expect(await messageOfFailure(source.getManifest(image.digest), 'manifest-unknown')).toContain(path());
    const config = describeBytes(image.config, '');
    expect(await messageOfFailure(source.getBlob(config), 'archive-invalid')).toContain(config.digest);
  });

  test('refuses a blob that is a symlink, and a version from the future', async () => {
    const image = smallImage();
    writeDirTransport(path(), image);
    const blob = join(path(), hexOf(image.configDigest));
    renameSync(blob, join(folder(), 'elsewhere'));
    symlinkSync('../elsewhere', blob);
    const source = await openDirSource(path());
    const config = describeBytes(image.config, '');
    expect(await messageOfFailure(source.getBlob(config), 'archive-invalid')).toMatch(/symbolic link/);
    writeFileSync(join(path(), 'version'), 'Directory Transport Version: 2.0\n');
    expect(await messageOfFailure(openDirSource(path()), 'archive-invalid')).toContain('"version"');
  });
});

describe('writing', () => {
  test('stores what reading gives back, with the version that others expect', async () => {
    const image = smallImage();
    const destination = await openDirDestination(path());
    await storeImage(destination, image, 'reference');
    await destination.commit();
    await destination.close();
    expect(await readImage(await openDirSource(path()))).toEqual(digestsOf(image));
    expect(readFileSync(join(path(), 'version'), 'utf8')).toBe('Directory Transport Version: 1.1\n');
    expect(readdirSync(path()).sort()).toEqual(
      [...image.blobs.keys()].map(hexOf).concat('manifest.json', 'version').sort(),
    );
  });

  test('stores an index with its manifests', async () => {
    const images = [smallImage('1'), smallImage('2')];
    const index = buildIndex(images);
    const destination = await openDirDestination(path());
    for (const image of images) await storeImage(destination, image, 'entry');
    await destination.putManifest({ bytes: index.manifest, mediaType: '' }, index.digest, 'reference');
    await destination.commit();
    await destination.close();
    const source = await openDirSource(path());
    expect(Buffer.from((await source.getManifest()).bytes)).toEqual(index.manifest);
    for (const image of images) expect(await readImage(source, image.digest)).toEqual(digestsOf(image));
  });

  test('keeps signatures, which are there with their manifest and not before', async () => {
    const image = smallImage();
    const destination = await openDirDestination(path());
    await destination.putSignatures?.([Buffer.from('of an entry')], image.digest, 'entry');
    await destination.putSignatures?.([Buffer.from('1'), Buffer.from('2')], image.digest, 'reference');
    expect(readdirSync(path()).filter((name) => name.startsWith('signature'))).toEqual([]);
    await storeImage(destination, image, 'reference');
    await destination.commit();
    await destination.close();
    const source = await openDirSource(path());
    expect((await source.getSignatures?.())?.map(String)).toEqual(['1', '2']);
    expect((await source.getSignatures?.(image.digest))?.map(String)).toEqual(['of an entry']);
  });

  test('replaces the image that was there, with its signatures, and keeps shared blobs and foreign files', async () => {
    const [old, next] = [smallImage('1'), smallImage('2')];
    writeDirTransport(path(), old);
    writeFileSync(join(path(), 'signature-1'), 'of the old image');
    writeFileSync(join(path(), 'README'), 'mine');
    const shared = old.layers[0]?.descriptor;
    if (shared === undefined) throw new Error('no layer');
    const destination = await openDirDestination(path());
    expect(await destination.hasBlob(shared)).toBe(true);
    await storeImage(destination, next, 'reference');
    await destination.commit();
    await destination.close();
    expect(await readImage(await openDirSource(path()))).toEqual(digestsOf(next));
    expect(readdirSync(path()).sort()).toEqual(
      [...next.blobs.keys(), shared.digest].map(hexOf).concat('README', 'manifest.json', 'version').sort(),
    );
  });

  test('leaves folders alone that are called like a blob or a signature', async () => {
    const names = ['a'.repeat(64), 'signature-1'];
    for (const name of names) mkdirSync(join(path(), name), { recursive: true });
    const destination = await openDirDestination(path());
    await storeImage(destination, smallImage(), 'reference');
    await destination.commit();
    await destination.close();
    expect(readdirSync(path())).toEqual(expect.arrayContaining([...names, 'manifest.json']));
  });

  test('changes nothing that is read before the commit', async () => {
    const [old, next] = [smallImage('1'), smallImage('2')];
    writeDirTransport(path(), old);
    const destination = await openDirDestination(path());
    await storeImage(destination, next, 'reference');
    await destination.close();
    expect(await readImage(await openDirSource(path()))).toEqual(digestsOf(old));
  });

  test('leaves nothing of a blob whose stream fails', async () => {
    const destination = await openDirDestination(path());
    const config = describeBytes(Buffer.from('x'), '');
    const broken = new Readable({
      read() {
        this.destroy(new Error('connection lost'));
      },
    });
    await expect(destination.putBlob(config, broken)).rejects.toThrow('connection lost');
    expect(await destination.hasBlob(config)).toBe(false);
    await destination.close();
    expect(readdirSync(folder())).toEqual([]);
  });

  test('leaves a folder with other files alone', async () => {
    mkdirSync(path());
    writeFileSync(join(path(), 'letter.txt'), 'x');
    expect(await messageOfFailure(openDirDestination(path()), 'archive-invalid')).toBe(
      `${path()} is no image folder and holds "letter.txt"`,
    );
  });
});
