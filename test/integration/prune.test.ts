/** Collecting garbage in a real ostree repo: what has to stay, what has to go, and a collection that was cut off. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { hexOf } from '../../src/image/digest.ts';
import { collectGarbage, listOstreeStaging } from '../../src/store/collect-garbage.ts';
import type { ImageStore } from '../../src/store/image-store.ts';
import { indexPath } from '../../src/store/layer-index.ts';
import { blobRef, imageRef } from '../../src/store/names.ts';
import { readReferredBlobs } from '../../src/store/referred-blobs.ts';
import { buildImage, type BuiltImage } from '../fixtures/image-builder.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';
import { checkOut, exec, importAll, importBlob, makeStore } from './layers-setup.ts';

const folder = useTempFolder();
let store: ImageStore;
let repo: string;
beforeEach(async () => {
  store = await makeStore(folder());
  repo = store.repository.path;
});

const ostree = (...args: string[]): string =>
  execFileSync('ostree', [`--repo=${repo}`, ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });

const shared = { entries: [{ path: 'shared', content: 'in both' }] };
const imageOf = (name: string): BuiltImage =>
  buildImage({
    layers: [shared, { entries: [{ path: name, content: name }] }],
    config: { Labels: { name } },
  });

async function commit(image: BuiltImage, name: string): Promise<void> {
  await importAll(store, image);
  await store.commitImage({
    name,
    source: `docker://${name}`,
    digest: image.digest,
    manifestBytes: image.manifest,
    configDigest: image.configDigest,
    configBytes: image.config,
  });
}

const removeRef = (ref: string): void => rmSync(store.repository.refPath(ref));
const blobs = (image: BuiltImage): string[] =>
  [...image.layers.map(({ descriptor }) => descriptor.digest), image.configDigest].map(blobRef);

describe('readReferredBlobs', () => {
  test('gives the layers and configs of all images', async () => {
    const [one, two] = [imageOf('one'), imageOf('two')];
    await commit(one, 'docker.io/one');
    await commit(two, 'docker.io/two');
    expect(await readReferredBlobs(store.repository)).toEqual(new Set([...blobs(one), ...blobs(two)]));
  });

  test('gives those of a manifest of schema 1, and of one that hides its digests in escapes', async () => {
    const hex = 'ab'.repeat(32);
    for (const [name, manifest] of Object.entries({
      old: `{"schemaVersion":1,"fsLayers":[{"blobSum":"sha256:${hex}"}]}`,
      sly: `{"schemaVersion":2,"layers":[{"digest":"sha256\\u003a${hex}"}]}`,
    })) {
      const ref = imageRef(name);
      mkdirSync(join(folder(), 'empty'), { recursive: true });
      ostree(
        'commit',
        '--no-bindings',
        `--branch=${ref}`,
        `--tree=dir=${folder()}/empty`,
        '--subject=x',
        `--add-metadata-string=docker.manifest=${manifest}`,
      );
      expect(await readReferredBlobs(store.repository)).toEqual(new Set([`ociimage/${hex}`]));
      removeRef(ref);
    }
  });

  test.each([
    ['a commit that is missing', 'a'.repeat(64)],
    ['no commit', 'garbage'],
  ])('fails for an image whose ref names %s', async (_what, content) => {
    await commit(imageOf('one'), 'docker.io/one');
    writeFileSync(store.repository.refPath(imageRef('bad')), `${content}\n`);
    await expect(readReferredBlobs(store.repository)).rejects.toMatchObject({
      code: 'store-invalid',
      message: expect.stringMatching(/^Cannot tell which layers the image bad:latest needs: /),
      hint: expect.stringContaining('images delete bad:latest'),
    });
  });

  test('fails for a folder in an image’s place, and for a manifest without layers', async () => {
    mkdirSync(store.repository.refPath(imageRef('bad')), { recursive: true });
    await expect(readReferredBlobs(store.repository)).rejects.toMatchObject({ code: 'store-invalid' });
    rmSync(store.repository.refPath(imageRef('bad')), { recursive: true });
    mkdirSync(join(folder(), 'empty'));
    ostree(
      'commit',
      `--branch=${imageRef('bad')}`,
      `--tree=dir=${folder()}/empty`,
      '--subject=x',
      '--add-metadata-string=docker.manifest=[]',
    );
    await expect(readReferredBlobs(store.repository)).rejects.toThrow('has no list of layers');
  });
});

describe('collectGarbage', () => {
  test('removes the objects and the index of what has no ref, and leaves what another image shares', async () => {
    const [one, two] = [imageOf('one'), imageOf('two')];
    await commit(one, 'docker.io/one');
    const before = ostree('refs');
    const objects = countObjects();
    await commit(two, 'docker.io/two');
    writeFileSync(`${indexPath(repo, two.layers[1]?.descriptor.digest ?? one.digest)}.77.tmp`, 'half');
    for (const ref of [imageRef('docker.io/two'), ...blobs(two).slice(1)]) removeRef(ref);
    await collectGarbage(exec, repo);
    expect(ostree('refs')).toBe(before);
    expect(readdirSync(join(repo, 'extensions/atomic-ts/layers-1')).sort()).toEqual(
      one.layers.map(({ descriptor }) => hexOf(descriptor.digest)).sort(),
    );
    // The import's first commit, which nothing names, was collected as well.
    expect(countObjects()).toBeLessThanOrEqual(objects);
    ostree('fsck', '--quiet');
    expect(readFileSync(join(await checkOut(folder(), store, one), 'one'), 'utf8')).toBe('one');
  });

  test('takes a layer that is not published yet for garbage: that is what the store’s lock is for', async () => {
    const image = imageOf('one');
    const [layer] = image.layers;
    if (layer === undefined) throw new Error('the image has no layer');
    const pending = await importBlob(store, layer);
    await collectGarbage(exec, repo);
    await expect(pending.publish()).rejects.toThrow('ENOENT');
  });

  test('may be killed at any of its removals: a second one ends it, and the same image can come again', async () => {
    const image = imageOf('one');
    let killed = 0;
    for (let number = 1; ; number++) {
      await commit(image, 'docker.io/one');
      for (const ref of [imageRef('docker.io/one'), ...blobs(image)]) removeRef(ref);
      const inject = `--inject=unlink,unlinkat:signal=KILL:when=${number}`;
      const strace = ['-f', '-qq', '-e', 'trace=unlink,unlinkat', inject, '-o', '/dev/null'];
      const { signal, status } = spawnSync('strace', [
        ...strace,
        'ostree',
        `--repo=${repo}`,
        'prune',
        '--refs-only',
      ]);
      const struck = signal === 'SIGKILL' || status === 137;
      if (struck) killed++;
      if (number % 3 === 0) await commit(image, 'docker.io/one');
      await collectGarbage(exec, repo);
      ostree('fsck', '--quiet');
      expect(countObjects() > 0).toBe(number % 3 === 0);
      if (!struck) break;
    }
    expect(killed).toBeGreaterThan(8);
  });

  test('of no repo is nothing', async () => {
    await collectGarbage(exec, join(folder(), 'none'));
    expect(existsSync(join(folder(), 'none'))).toBe(false);
    expect(await listOstreeStaging(join(folder(), 'none'))).toEqual([]);
  });
});

function countObjects(): number {
  return readdirSync(join(repo, 'objects'), { recursive: true, withFileTypes: true }).filter(
    (entry) => !entry.isDirectory(),
  ).length;
}
