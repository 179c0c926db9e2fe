/** An image in the repo, damaged in every way: told by its parts and paths, as `ostree fsck` tells of the whole repo. */
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  copyFileSync,
  lstatSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import type { ImageStore, StoredImage } from '../../src/store/image-store.ts';
import { blobRef, imageRef } from '../../src/store/names.ts';
import { verifyImage, type VerifiedPart } from '../../src/store/verify-image.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';
import { exec, imageOf, importAll, makeStore } from './layers-setup.ts';

const folder = useTempFolder();
const signal = new AbortController().signal;
const NAME = 'docker.io/hello:latest';

const IMAGE = imageOf([
  [
    { path: 'bin', type: 'dir' },
    { path: 'bin/tool', content: 'tool', mode: 0o4755 },
    {
      path: 'bin/ping',
      content: 'ping',
      mode: 0o755,
      // cap_net_raw+ep: version 2, effective.
      // Several: in another order than they are sorted in, ostree would not know the file again.
      xattrs: {
        'security.capability': Buffer.from('0100000200200000000000000000000000000000', 'hex'),
        'user.note': 'n',
        'user.other': 'o',
      },
    },
    { path: 'lib', type: 'symlink', target: 'usr/lib' },
    { path: 'etc/empty', content: '' },
    { path: 'private', type: 'dir', mode: 0o700 },
  ],
  [{ path: 'usr/lib/b', content: 'b'.repeat(300_000) }],
]);

let store: ImageStore;
let image: StoredImage;
beforeEach(async () => {
  store = await makeStore(folder());
  await importAll(store, IMAGE);
  image = await store.commitImage({
    name: NAME,
    source: `docker://${NAME}`,
    digest: IMAGE.digest,
    manifestBytes: IMAGE.manifest,
    configDigest: IMAGE.configDigest,
    configBytes: IMAGE.config,
  });
});

function layerDigest(index: number): StoredImage['digest'] {
  const layer = IMAGE.layers[index];
  if (layer === undefined) throw new Error(`the image has no layer ${index}`);
  return layer.descriptor.digest;
}

const ostree = (...args: string[]): string =>
  execFileSync('ostree', [`--repo=${store.repository.path}`, ...args], { encoding: 'utf8', stdio: 'pipe' });
const verify = (): Promise<VerifiedPart[]> => verifyImage(exec, store.repository, image, signal);
/** What is wrong, a line each. */
const faults = async (): Promise<string[]> =>
  (await verify()).flatMap(({ kind, state, faults: list }, i) => [
    ...(state === 'intact' ? [] : [`${kind} ${i}: ${state}`]),
    ...list.map(({ path, kind: object, found }) => `${path} ${object} ${found}`),
  ]);
/** The object of a path in a layer. */
function objectOf(layer: number, path: string, kind: 'file' | 'dirmeta' | 'dirtree'): string {
  const ref = blobRef(layerDigest(layer));
  const [line = ''] = ostree('ls', '-C', '-d', ref, path).split('\n');
  const checksums = line.match(/[0-9a-f]{64}/g) ?? [];
  // A folder's line has its tree's checksum, then its metadata's.
  return store.repository.objectPath(checksums[kind === 'dirmeta' ? 1 : 0] ?? '', kind);
}

describe('an image', () => {
  test('that is whole has its parts with all their objects, xattrs and links included', async () => {
    const parts = await verify();
    expect(parts.map(({ kind, state }) => `${kind} ${state}`)).toEqual([
      'manifest intact',
      'config intact',
      'layer intact',
      'layer intact',
    ]);
    expect(parts.map(({ digest }) => digest).slice(2)).toEqual(
      IMAGE.layers.map(({ descriptor }) => descriptor.digest),
    );
    expect(parts.every(({ objects }) => objects >= 3)).toBe(true);
    ostree('fsck', '--quiet');
  });

  test('says which file was written to, emptied, or has another mode or owner', async () => {
    appendFileSync(objectOf(1, '/usr/lib/b', 'file'), 'x');
    chmodSync(objectOf(0, '/bin/tool', 'file'), 0o755);
    const ping = objectOf(0, '/bin/ping', 'file');
    execFileSync('setfattr', ['-x', 'security.capability', ping]);
    chownSync(objectOf(0, '/etc/empty', 'file'), 1, 1);
    expect((await faults()).sort()).toEqual([
      '/bin/ping file damaged',
      '/bin/tool file damaged',
      '/etc/empty file damaged',
      '/usr/lib/b file damaged',
      'layer 2: damaged',
      'layer 3: damaged',
    ]);
    expect(() => ostree('fsck', '--quiet')).toThrow('Corrupted file object');
  });

  test('says which object is gone, of files, folders and their modes', async () => {
    rmSync(objectOf(0, '/lib', 'file'));
    rmSync(objectOf(1, '/usr/lib', 'dirtree'));
    rmSync(objectOf(0, '/private', 'dirmeta'));
    expect((await faults()).sort()).toEqual([
      '/lib file missing',
      '/private dirmeta missing',
      '/usr/lib dirtree missing',
      'layer 2: damaged',
      'layer 3: damaged',
    ]);
  });

  test('looks on behind a folder whose object is damaged, as far as that can be read', async () => {
    const tree = objectOf(0, '/bin', 'dirtree');
    copyFileSync(tree, `${tree}.copy`);
    rmSync(tree);
    // The name of the first file, by a bit.
    const bytes = readFileSync(`${tree}.copy`);
    bytes[0] = (bytes[0] ?? 0) ^ 1;
    writeFileSync(tree, bytes);
    rmSync(objectOf(0, '/etc/empty', 'file'));
    const found = await faults();
    expect(found).toContain('/bin dirtree damaged');
    expect(found).toContain('/etc/empty file missing');
    writeFileSync(tree, 'no object');
    expect(await faults()).toContain('/bin dirtree damaged');
  });

  test('takes a link in an object’s place for what it is', async () => {
    const path = objectOf(1, '/usr/lib/b', 'file');
    copyFileSync(path, join(folder(), 'elsewhere'));
    rmSync(path);
    symlinkSync(join(folder(), 'elsewhere'), path);
    const tree = objectOf(0, '/bin', 'dirtree');
    copyFileSync(tree, join(folder(), 'tree'));
    rmSync(tree);
    symlinkSync(join(folder(), 'tree'), tree);
    expect(lstatSync(tree).isSymbolicLink()).toBe(true);
    expect((await faults()).sort()).toEqual([
      '/bin dirtree missing',
      '/usr/lib/b file damaged',
      'layer 2: damaged',
      'layer 3: damaged',
    ]);
  });

  test('lacks a layer or its config when it has no ref for it', async () => {
    ostree('refs', '--delete', blobRef(layerDigest(1)));
    ostree('refs', '--delete', blobRef(IMAGE.configDigest));
    expect(await faults()).toEqual(['config 1: missing', 'layer 3: missing']);
  });

  test('has to have the manifest and the config that its digests say', async () => {
    const named = { ...image, digest: IMAGE.configDigest };
    const [manifest] = await verifyImage(exec, store.repository, named, signal);
    expect(manifest?.state).toBe('damaged');
    // Another commit under the config's ref.
    const commit = readFileSync(store.repository.refPath(imageRef(NAME)), 'utf8');
    writeFileSync(store.repository.refPath(blobRef(IMAGE.configDigest)), commit);
    expect(await faults()).toEqual(['config 1: damaged']);
  });

  test('is not judged in a repo that keeps its files in another way', async () => {
    const config = join(store.repository.path, 'config');
    writeFileSync(config, readFileSync(config, 'utf8').replace('mode=bare', 'mode=archive-z2'));
    await expect(verify()).rejects.toMatchObject({ code: 'unsupported' });
  });

  test('ends at a signal', async () => {
    const ended = verifyImage(exec, store.repository, image, AbortSignal.abort(new Error('enough')));
    // Small as it is, it may be through before it looks.
    await expect(ended.catch((error: Error) => error.message)).resolves.toSatisfy(
      (found: unknown) => Array.isArray(found) || found === 'enough',
    );
  });
});

describe('a small file of a commit', () => {
  test('is read without a program, and by ostree where the repo keeps it in another way', async () => {
    const commit = ostree('rev-parse', blobRef(IMAGE.configDigest)).trim();
    expect(await store.repository.readFile(commit, '/content')).toBe(IMAGE.config.toString());
    const archive = join(folder(), 'archive');
    execFileSync('ostree', [`--repo=${archive}`, 'init', '--mode=archive']);
    execFileSync('ostree', [`--repo=${archive}`, 'pull-local', store.repository.path, commit]);
    const { Repository } = await import('../../src/store/repository.ts');
    expect(await new Repository(archive, exec).readFile(commit, '/content')).toBe(IMAGE.config.toString());
    await expect(store.repository.readFile(commit, '/nothing')).rejects.toMatchObject({
      code: 'command-failed',
    });
  });
});
