/** Images in a real ostree repo: what others read there, and what we read of theirs. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { isAtomicError } from '../../src/errors.ts';
import { hexOf } from '../../src/image/digest.ts';
import type { ImageStore, StoredImage } from '../../src/store/image-store.ts';
import { imageRef } from '../../src/store/names.ts';
import { parseCommitMetadata } from '../fixtures/commit-metadata.ts';
import { Repository } from '../../src/store/repository.ts';
import { buildImage, sha256, type BuiltImage, type ImageSpec } from '../fixtures/image-builder.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';
import { exec, importAll, makeStore } from './layers-setup.ts';

const folder = useTempFolder();
let store: ImageStore;
beforeEach(async () => {
  store = await makeStore(folder());
});

const ostree = (...args: string[]): string =>
  execFileSync('ostree', [`--repo=${store.repository.path}`, ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 64 * 1024 * 1024,
    env: { ...process.env, LC_ALL: 'C.UTF-8' },
  });

async function commit(image: BuiltImage, name = 'docker.io/busybox'): Promise<StoredImage> {
  await importAll(store, image);
  return store.commitImage({
    name,
    source: `docker://${name}`,
    digest: image.digest,
    manifestBytes: image.manifest,
    configDigest: image.configDigest,
    configBytes: image.config,
  });
}

const small = (content = 'x', more: Partial<ImageSpec> = {}): BuiltImage =>
  buildImage({ layers: [{ entries: [{ path: 'x', content }] }], config: { Labels: { content } }, ...more });

describe('parseCommitMetadata', () => {
  /** A commit with this metadata, as ostree writes it. */
  function commitWith(metadata: readonly (readonly [string, string])[]): {
    object: Buffer;
    checksum: string;
  } {
    mkdirSync(join(folder(), 'empty'), { recursive: true });
    const checksum = ostree(
      'commit',
      '--orphan',
      '--no-bindings',
      `--tree=dir=${join(folder(), 'empty')}`,
      '--subject=some subject',
      '--body=some body',
      ...metadata.map(([key, value]) => `--add-metadata-string=${key}=${value}`),
    ).trim();
    const path = join(store.repository.path, 'objects', checksum.slice(0, 2), `${checksum.slice(2)}.commit`);
    return { object: execFileSync('cat', [path], { maxBuffer: 64 * 1024 * 1024 }), checksum };
  }

  test('reads what ostree writes, at every size where the numbers in it grow wider', () => {
    for (const size of [
      0, 1, 2, 7, 8, 9, 60, 100, 180, 200, 210, 230, 240, 250, 255, 256, 300, 65_000, 65_300, 65_536, 100_000,
    ]) {
      const value = 'v'.repeat(size);
      const metadata = new Map([
        ['docker.manifest', value],
        ['k', 'w'],
        ['other', ''],
      ]);
      expect(parseCommitMetadata(commitWith([...metadata]).object, 'x')).toEqual(metadata);
    }
  });

  test('reads what ostree itself says is there', () => {
    const key = fc.stringMatching(/^[a-z.]{1,30}$/);
    const value = fc.string({ unit: 'grapheme', maxLength: 400 }).filter((text) => !text.includes('\0'));
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.tuple(key, value), { selector: ([name]) => name, maxLength: 12 }),
        (metadata) => {
          const { object, checksum } = commitWith(metadata);
          expect(parseCommitMetadata(object, 'x')).toEqual(new Map(metadata));
          // GVariant text escapes much; what is plain is the same.
          const plain = metadata.filter(([, text]) => /^[a-z ]*$/i.test(text)).slice(0, 2);
          const shown = plain.map(([name]) =>
            ostree('show', `--print-metadata-key=${name}`, checksum).trim(),
          );
          expect(shown).toEqual(plain.map(([, text]) => `'${text}'`));
        },
      ),
      { numRuns: 25 },
    );
  });

  test('leaves out what is no string', () => {
    mkdirSync(join(folder(), 'empty'), { recursive: true });
    const checksum = ostree(
      'commit',
      '--branch=typed',
      `--tree=dir=${join(folder(), 'empty')}`,
      '--subject=x',
      '--add-metadata=number=uint32 7',
      '--add-metadata=list=["s"]',
      "--add-metadata=boxed=<'s'>",
      '--add-metadata-string=text=s',
    ).trim();
    const path = join(store.repository.path, 'objects', checksum.slice(0, 2), `${checksum.slice(2)}.commit`);
    // ostree adds the name of the branch, a list of strings.
    expect(parseCommitMetadata(execFileSync('cat', [path]), 'x')).toEqual(new Map([['text', 's']]));
  });
});

describe('an image that was committed', () => {
  test('is found with what was given, by its name and by the beginning of its id', async () => {
    const image = small();
    const stored = await commit(image);
    expect(stored).toMatchObject({
      name: 'docker.io/busybox:latest',
      digest: image.digest,
      source: 'docker://docker.io/busybox',
      manifest: { layers: image.layers.map(({ descriptor }) => descriptor) },
    });
    expect(await store.find('docker.io/busybox')).toEqual(stored);
    expect(await store.find('docker.io/busybox:latest')).toEqual(stored);
    expect(await store.find(hexOf(image.digest).slice(0, 12))).toEqual(stored);
    expect(await store.find('docker.io/busybox:other')).toBeUndefined();
    expect(await store.find(hexOf(image.digest).slice(0, 6))).toBeUndefined();
    expect((await store.readConfig(stored)).labels).toEqual({ content: 'x' });
    expect(Math.abs(stored.created.getTime() - Date.now())).toBeLessThan(3_600_000);
  });

  test('has the refs, the metadata and the files that atomic and skopeo look for', async () => {
    const image = small();
    const { commit: checksum } = await commit(image);
    const config = `ociimage/${hexOf(image.configDigest)}`;
    const ref = 'ociimage/docker.io_2Fbusybox_3Alatest';
    expect(ostree('refs').trim().split('\n').sort()).toEqual(
      [ref, config, ...image.layers.map(({ descriptor }) => `ociimage/${hexOf(descriptor.digest)}`)].sort(),
    );
    expect(ostree('rev-parse', ref).trim()).toBe(checksum);
    const key = (name: string, of = ref): string => ostree('show', `--print-metadata-key=${name}`, of).trim();
    expect(key('docker.digest')).toBe(`'${image.digest}'`);
    expect(key('signatures')).toBe("'0'");
    expect(JSON.parse(key('docker.manifest').slice(1, -1))).toEqual(JSON.parse(image.manifest.toString()));
    expect(key('docker.size', config)).toBe(`'${image.config.length}'`);
    expect(ostree('cat', ref, '/manifest.json')).toBe(image.manifest.toString());
    expect(ostree('cat', config, '/content')).toBe(image.config.toString());
    expect(ostree('ls', ref)).toContain('-00644 0 0');
    ostree('fsck', '-q');
  });

  test('may have a manifest that is too large for an argument, and a config of MiBs', async () => {
    for (const size of [126_000, 127_500, 400_000]) {
      const image = small('x', {
        annotations: { large: 'ä"\\'.repeat(size / 7) },
        configFields: { large: 'ü'.repeat(size) },
      });
      const stored = await commit(image, `large:${size}`);
      expect(stored.manifest.annotations['large']).toHaveLength(
        3 * Math.ceil(size / 7) - (size % 7 === 0 ? 0 : 3),
      );
      expect((await store.readConfig(stored)).labels).toEqual({ content: 'x' });
    }
  });

  test('replaces an earlier one of its name, and stands beside others', async () => {
    await commit(small('old'));
    const first = await commit(small('new'));
    const second = await commit(small('other'), 'other:1');
    expect((await store.list()).map(({ name, digest }) => `${name} ${digest}`).sort()).toEqual(
      [`docker.io/busybox:latest ${first.digest}`, `other:1 ${second.digest}`].sort(),
    );
  });

  test('is not guessed when its id could be another’s', async () => {
    const stored = await commit(small('a'), 'a');
    await commit(small('a'), 'b');
    const failed = store.find(hexOf(stored.digest).slice(0, 20));
    await expect(failed).rejects.toMatchObject({ code: 'reference-invalid' });
    await expect(failed).rejects.toThrow("is the beginning of 2 images' ids");
  });

  test('keeps a digest in its name', async () => {
    const image = small();
    const name = `docker.io/busybox@${image.digest}`;
    await commit(image, name);
    expect((await store.list()).map((stored) => stored.name)).toEqual([name]);
  });

  test('without its config says to pull it again', async () => {
    const stored = await commit(small());
    ostree('refs', '--delete', `ociimage/${hexOf(stored.manifest.config.digest)}`);
    await expect(store.readConfig(stored)).rejects.toMatchObject({
      code: 'store-invalid',
      hint: 'Pull the image again.',
    });
  });
});

describe('images of others', () => {
  /** An image ref as skopeo wrote it. */
  function commitForeign(name: string, manifest: string, more: readonly string[] = []): void {
    mkdirSync(join(folder(), 'empty'), { recursive: true });
    ostree(
      'commit',
      `--branch=${imageRef(name)}`,
      `--tree=dir=${join(folder(), 'empty')}`,
      '--subject=',
      `--add-metadata-string=docker.manifest=${manifest}`,
      '--add-metadata-string=signatures=0',
      ...more,
    );
  }

  test('are listed; what cannot be read is told, or an error when nobody is there to be told', async () => {
    const image = small();
    const digest = `--add-metadata-string=docker.digest=${image.digest}`;
    commitForeign('good', image.manifest.toString(), [digest]);
    commitForeign('schema1', '{"schemaVersion": 1, "fsLayers": []}', [digest]);
    commitForeign('no-digest', image.manifest.toString());
    const told: string[] = [];
    const listed = await store.list((error) => told.push(error.code));
    expect(listed.map(({ name }) => name)).toEqual(['good:latest']);
    expect(told).toEqual(['unsupported']);
    expect(listed[0]?.source).toBeUndefined();
    await expect(store.list()).rejects.toMatchObject({ code: 'unsupported' });
    expect(await store.find('no-digest')).toBeUndefined();
  });
});

describe('a repository', () => {
  test('is made once, in the mode that keeps owners', async () => {
    const repository = new Repository(join(folder(), 'deep/new'), exec);
    expect(await repository.exists()).toBe(false);
    expect(await repository.listRefs()).toEqual([]);
    expect(await repository.resolveRef('ociimage/x')).toBeUndefined();
    await repository.ensure();
    const { ino } = statSync(join(repository.path, 'config'));
    await repository.ensure();
    expect(statSync(join(repository.path, 'config')).ino).toBe(ino);
    expect(execFileSync('grep', ['mode=', join(repository.path, 'config')], { encoding: 'utf8' })).toBe(
      'mode=bare\n',
    );
  });

  test('knows no ref for a name that can be none', async () => {
    for (const ref of ['ociimage/none', 'ociimage/none/below', `ociimage/${'n'.repeat(300)}`])
      expect(await store.repository.resolveRef(ref)).toBeUndefined();
    await commit(small());
    expect(await store.repository.resolveRef(`${imageRef('docker.io/busybox')}/below`)).toBeUndefined();
  });

  test('says what is wrong with a ref and with a commit', async () => {
    const stored = await commit(small());
    const ref = join(store.repository.path, 'refs/heads/ociimage/damaged');
    writeFileSync(ref, 'no checksum\n');
    await expect(store.repository.resolveRef('ociimage/damaged')).rejects.toMatchObject({
      code: 'store-invalid',
    });
    rmSync(ref);
    const [head, tail] = [stored.commit.slice(0, 2), stored.commit.slice(2)];
    const object = join(store.repository.path, 'objects', head, `${tail}.commit`);
    truncateSync(object, 40);
    const damaged: unknown = await store.find('docker.io/busybox').catch((error: unknown) => error);
    expect(isAtomicError(damaged, 'store-invalid')).toBe(true);
    rmSync(object);
    await expect(store.find('docker.io/busybox')).rejects.toThrow('is missing');
  });

  test('names its refs as ostree does', async () => {
    await commit(small());
    expect((await store.repository.listRefs()).sort()).toEqual(ostree('refs').trim().split('\n').sort());
    expect(readdirSync(join(store.repository.path, 'refs/heads'))).toEqual(['ociimage']);
    expect(
      sha256(Buffer.from(await store.repository.readFile(imageRef('docker.io/busybox'), '/manifest.json'))),
    ).toBe(small().digest);
  });
});
