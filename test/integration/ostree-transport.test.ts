/**
 * `ostree:` as source and destination. That the archive of any layer that we take comes back byte for byte is asked of
 * every layer that the other tests of layers import: see layers-setup.ts.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { build } from 'esbuild';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Digest } from '../../src/image/digest.ts';
import { parseManifest, type ImageManifest } from '../../src/image/manifest.ts';
import { moveLimits } from '../../src/limits.ts';
import { ImageStore } from '../../src/store/image-store.ts';
import { blobRef, imageRef, METADATA } from '../../src/store/names.ts';
import { createOstreeDestination } from '../../src/store/ostree-transport/destination.ts';
import { openLayerTar } from '../../src/store/ostree-transport/layer-tar.ts';
import { openOstreeSource } from '../../src/store/ostree-transport/source.ts';
import { createTar } from '../../src/stream/tar/create.ts';
import type { ImageDestination } from '../../src/transport/transport.ts';
import {
  buildImage,
  buildIndex,
  sha256,
  writeOciLayout,
  type BuiltImage,
  type BuiltLayer,
  type TarEntry,
} from '../fixtures/image-builder.ts';
import type { ImageSource } from '../../src/transport/transport.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';
import { assembleAsGo, disassembleAsGo } from '../fixtures/tar-split.ts';
import { failureOf } from '../stream/collect.ts';
import { exec, importAll, makeStore } from './layers-setup.ts';

const folder = useTempFolder();
let store: ImageStore;
beforeEach(async () => {
  store = await makeStore(folder());
});

const ENTRIES: readonly TarEntry[] = [
  { path: 'bin', type: 'dir', mode: 0o750, uid: 7 },
  { path: 'bin/sh', content: 'the shell', mode: 0o4755, mtime: 1_600_000_000 },
  { path: 'bin/bash', type: 'hardlink', target: 'bin/sh' },
  { path: 'dev/null', type: 'char', major: 1, minor: 3 },
  { path: 'etc/.wh.gone', content: '' },
  { path: 'etc/empty', content: '' },
  { path: `${'long/'.repeat(30)}name`, content: 'l', longNames: 'gnu' },
  { path: Buffer.from([0x6e, 0xe9]), content: 'not UTF-8' },
  { path: 'lib', type: 'symlink', target: 'bin' },
  { path: 'with-xattr', content: 'x', xattrs: { 'user.a': '1' } },
];

const ostree = (...args: string[]): string =>
  execFileSync('ostree', [`--repo=${store.repository.path}`, ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 256 * 1024 * 1024,
    env: { ...process.env, LC_ALL: 'C.UTF-8' },
  });

const small = (content = 'x'): BuiltImage =>
  buildImage({ layers: [{ entries: ENTRIES }, { entries: [{ path: 'top', content }] }] });

async function put(image: BuiltImage, destination: ImageDestination): Promise<void> {
  const bytes = (blob: Uint8Array): Readable => Readable.from([blob], { objectMode: false });
  for (const { descriptor, blob, diffId } of image.layers) {
    if (!(await destination.hasBlob(descriptor))) await destination.putBlob(descriptor, bytes(blob), diffId);
  }
  const { config } = parsed(image);
  if (!(await destination.hasBlob(config))) await destination.putBlob(config, bytes(image.config));
  await destination.putManifest(
    { bytes: image.manifest, mediaType: image.mediaType },
    image.digest,
    'reference',
  );
}

function firstLayer({ layers: [layer] }: BuiltImage): BuiltLayer {
  if (layer === undefined) throw new Error('no layer');
  return layer;
}

function parsed(image: BuiltImage): ImageManifest {
  const manifest = parseManifest({ bytes: image.manifest, mediaType: image.mediaType }, 'it');
  if (manifest.kind !== 'manifest') throw new Error('an index');
  return manifest;
}

function destinationOf(into = store): ImageDestination {
  return createOstreeDestination(into, {
    name: 'x',
    shown: 'ostree:x',
    source: 'docker://docker.io/x',
    beforeVisible: () => Promise.resolve(),
    sync: () => Promise.resolve(),
    release: () => Promise.resolve(),
  });
}

const sourceOf = (from = store): ReturnType<typeof openOstreeSource> =>
  openOstreeSource(from, 'x', 'ostree:x', () => Promise.resolve());

async function pulled(image: BuiltImage, into = store): Promise<void> {
  await importAll(into, image);
  await into.commitImage({
    name: 'x:latest',
    source: 'docker://docker.io/x',
    digest: image.digest,
    manifestBytes: image.manifest,
    configDigest: image.configDigest,
    configBytes: image.config,
  });
}

/** All that a source gives of an image; of its layers, digests and sizes. */
async function readFrom(from: ImageStore, image: BuiltImage): Promise<unknown> {
  const source = await sourceOf(from);
  const manifest = parsed(image);
  const layers = (await source.layersForCopy?.(manifest)) ?? [];
  const tars: unknown[] = [];
  for (const layer of layers) {
    const tar = await buffer(await source.getBlob(layer));
    tars.push([layer.digest, layer.size, sha256(tar)]);
  }
  const config = await buffer(await source.getBlob(manifest.config));
  const { bytes } = await source.getManifest();
  await source.close();
  return { manifest: Buffer.from(bytes), config, tars };
}

const contentOf = ({ manifest, config, layers }: BuiltImage): unknown => ({
  manifest,
  config,
  tars: layers.map(({ diffId, tar }) => [diffId, tar.length, diffId]),
});

/** The archive of a layer, imported and made again. */
async function thereAndBack(tar: Buffer): Promise<boolean> {
  const image = buildImage({ layers: [{ tar }] });
  await pulled(image);
  const source = await sourceOf();
  const [layer] = (await source.layersForCopy?.(parsed(image))) ?? [];
  const back = await buffer(await source.getBlob(layer ?? firstLayer(image).descriptor));
  return back.equals(tar);
}

/** A file that is in the repo, to be written to. */
function objectOf(digest: Digest, path: string, at = store): string {
  const [, checksum = ''] = /([0-9a-f]{64}) \//.exec(ostree('ls', '-C', blobRef(digest), path)) ?? [];
  return at.repository.objectPath(checksum, 'file');
}

describe('tars of other writers', () => {
  function makeTree(): string {
    const tree = join(folder(), 'tree');
    mkdirSync(join(tree, 'd/sub'), { recursive: true });
    for (const size of [0, 1, 511, 512, 513, 300_000])
      writeFileSync(join(tree, 'd', `f${size}`), Buffer.alloc(size, 'abc'));
    writeFileSync(join(tree, 'd/sub', 'ü'), 'umlaut');
    execFileSync('ln', ['-s', 'd/sub', join(tree, 'link')]);
    execFileSync('ln', [join(tree, 'd/f1'), join(tree, 'hard')]);
    execFileSync('mkfifo', [join(tree, 'fifo')]);
    return tree;
  }

  test.each(['v7', 'ustar', 'oldgnu', 'gnu', 'pax'])('GNU tar, format %s', async (format) => {
    if (format !== 'v7' && format !== 'ustar') {
      mkdirSync(join(makeTree(), 'n'.repeat(150)));
      writeFileSync(join(folder(), 'tree', 'n'.repeat(150), 'm'.repeat(150)), 'long');
    } else rmSync(join(makeTree(), 'fifo'));
    const tar = execFileSync('tar', ['-C', join(folder(), 'tree'), `--format=${format}`, '-c', '.'], {
      maxBuffer: 64 * 1024 * 1024,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    expect(await thereAndBack(tar)).toBe(true);
  });

  test.each(['USTAR', 'GNU', 'PAX'])('Python, format %s', async (format) => {
    const script = `import sys, tarfile
with tarfile.open(fileobj=sys.stdout.buffer, mode='w|', format=tarfile.${format}_FORMAT) as t: t.add(sys.argv[1], arcname='.')`;
    const tar = execFileSync('python3', ['-c', script, makeTree()], { maxBuffer: 64 * 1024 * 1024 });
    expect(await thereAndBack(tar)).toBe(true);
  });

  test('Go’s, by way of umoci', async () => {
    const [layout, bundle] = [join(folder(), 'layout'), join(folder(), 'bundle')];
    const umoci = (...args: string[]): void => void execFileSync('umoci', args, { stdio: 'pipe' });
    umoci('init', '--layout', layout);
    umoci('new', '--image', `${layout}:v1`);
    umoci('unpack', '--image', `${layout}:v1`, bundle);
    execFileSync('cp', ['-a', `${makeTree()}/.`, join(bundle, 'rootfs')]);
    umoci('repack', '--image', `${layout}:v1`, bundle);
    const blobs = readdirSync(join(layout, 'blobs/sha256')).map((name) =>
      readFileSync(join(layout, 'blobs/sha256', name)),
    );
    const layers = blobs.filter((blob) => blob[0] === 0x1f);
    expect(layers).toHaveLength(1);
    const tar = execFileSync('gunzip', { input: layers[0], maxBuffer: 64 * 1024 * 1024 });
    expect(await thereAndBack(tar)).toBe(true);
  });
});

describe('the commit of a layer', () => {
  test('is whole to ostree: fsck, show, ls, prune', async () => {
    const image = small();
    await pulled(image);
    const ref = blobRef(firstLayer(image).descriptor.digest);
    ostree('prune', '--refs-only');
    expect(ostree('fsck')).toContain('no errors found');
    expect(ostree('ls', ref, '/bin/sh')).toContain('-04755 0 0      9 /bin/sh');
    expect(ostree('show', '--print-metadata-key=docker.uncompressed_digest', ref).trim()).toBe(
      `'${image.diffIds[0]}'`,
    );
    const output = ostree('show', '--print-metadata-key=tarsplit.output', ref).trim().slice(1, -1);
    // By the rules of Go: what skopeo would have given.
    const tar = assembleAsGo(output, (name) =>
      readFileSync(objectOf(firstLayer(image).descriptor.digest, `/${stored(name)}`)),
    );
    expect(tar.equals(firstLayer(image).tar)).toBe(true);
  });

  function stored(name: Buffer): string {
    const text = name.toString('latin1');
    return text === 'n\xe9' ? '.atomic-ts-name.n\xe9' : text;
  }

  test('may be larger than an argument, and than what ostree warns of', async () => {
    const noise = Array.from({ length: 3_000 }, (_, i) => Buffer.from(`${(i * 7919) % 100_003}`.repeat(20)));
    const xattrs = (i: number): TarEntry => ({
      path: `f${i}`,
      content: '',
      pax: {
        comment: Buffer.concat([noise[i % 3_000] ?? Buffer.alloc(0), randomBytes(12_000, i)]).toString('hex'),
      },
    });
    const image = buildImage({ layers: [{ entries: Array.from({ length: 1_000 }, (_, i) => xattrs(i)) }] });
    await importAll(store, image);
    const ref = blobRef(firstLayer(image).descriptor.digest);
    const commit = await store.repository.readRef(ref);
    const path = store.repository.objectPath(commit?.checksum ?? '', 'commit');
    expect(statSync(path).size).toBeGreaterThan(11_000_000);
    expect(statSync(path).mode & 0o777).toBe(0o644);
    expect(ostree('fsck')).toContain('no errors found');
  });

  /** Bytes that do not compress, the same each time. */
  function randomBytes(length: number, seed: number): Buffer {
    const bytes = Buffer.alloc(length);
    for (let i = 0, x = seed + 1; i < length; i++) {
      x = (Math.imul(x, 1_103_515_245) + 12_345) >>> 0;
      bytes[i] = x >>> 23;
    }
    return bytes;
  }

  test('leaves nothing beside the index, and a failed import leaves nothing at all', async () => {
    const image = small();
    await pulled(image);
    const beside = join(store.repository.path, 'extensions/atomic-ts/layers-1');
    expect(readdirSync(beside)).toHaveLength(2);
    const [layer] = buildImage({ layers: [{ entries: [{ path: 'y', content: 'y' }] }] }).layers;
    const failed = store.importLayer({
      descriptor: layer?.descriptor ?? parsed(image).config,
      diffId: image.configDigest,
      bytes: Readable.from([layer?.blob], { objectMode: false }),
      what: 'the layer',
      onProgress: () => undefined,
    });
    expect((await failureOf(failed)).code).toBe('digest-mismatch');
    expect(readdirSync(beside)).toHaveLength(2);
  });

  test('has no record where that would be too large, and the layer can be used all the same', async () => {
    const restore = moveLimits({ 'tar-split-size': 100 });
    try {
      const image = buildImage({ layers: [{ entries: ENTRIES }] });
      const { descriptor, diffId, blob } = firstLayer(image);
      const bytes = Readable.from([blob], { objectMode: false });
      const what = { what: 'the layer', onProgress: () => undefined };
      await (await store.importLayer({ descriptor, diffId, bytes, ...what })).publish();
      expect(ostree('fsck')).toContain('no errors found');
      await pulled(image);
      const source = await sourceOf();
      const [plain] = (await source.layersForCopy?.(parsed(image))) ?? [];
      const error = await failureOf(source.getBlob(plain ?? descriptor));
      expect([error.code, error.hint]).toEqual(['unsupported', expect.stringContaining('tar-split-size')]);
    } finally {
      restore();
    }
  });
});

describe('ostree: as a source', () => {
  test('gives the manifest, the config and the layers, uncompressed', async () => {
    const image = small();
    await pulled(image);
    expect(await readFrom(store, image)).toEqual(contentOf(image));
  });

  test('gives no manifest but the one that its repo has the digest of', async () => {
    const [image, other] = [small(), small('y')];
    const { repository } = store;
    const tar = createTar([{ path: 'manifest.json', content: image.manifest }]);
    await repository.commitFiles(imageRef('x:latest'), tar, [[METADATA.digest, other.digest]]);
    const source = await sourceOf();
    expect(await failureOf(source.getManifest())).toMatchObject({
      code: 'store-invalid',
      message: `ostree:x has another manifest than its repo says: ${other.digest} is not its digest`,
    });
  });

  test('can be taken for another with one thing changed, as readers of indexes and of single layers do', async () => {
    const image = small();
    await pulled(image);
    const rest: ImageSource = { ...(await sourceOf()), name: 'another' };
    const layers = (await rest.layersForCopy?.(parsed(image))) ?? [];
    expect(layers.map(({ digest }) => digest)).toEqual(image.diffIds);
    expect(await buffer(await rest.getBlob(parsed(image).config))).toEqual(image.config);
    await rest.close();
  });

  test('does not pretend to have what it does not', async () => {
    const image = small();
    await pulled(image);
    const source = await sourceOf();
    const layer = firstLayer(image);
    const codes = await Promise.all([
      failureOf(source.getBlob(layer.descriptor)),
      failureOf(source.getBlob({ ...layer.descriptor, digest: image.digest })),
      failureOf(source.getManifest(image.configDigest)),
      failureOf(openOstreeSource(store, 'y', 'ostree:y', () => Promise.resolve())),
    ]);
    expect(codes.map(({ code }) => code)).toEqual([
      'unsupported',
      'store-invalid',
      'manifest-unknown',
      'image-not-found',
    ]);
  });

  test.each([
    ['written to', (path: string): void => appendFileSync(path, 'more')],
    ['changed', (path: string): void => writeFileSync(path, 'the shall')],
    ['gone', (path: string): void => rmSync(path)],
    [
      'a link',
      (path: string): void => {
        rmSync(path);
        execFileSync('ln', ['-s', '/etc/hostname', path]);
      },
    ],
  ])('a file that is %s is an error before the end of the archive', async (_what, damage) => {
    const image = small();
    await pulled(image);
    damage(objectOf(firstLayer(image).descriptor.digest, '/bin/sh'));
    const source = await sourceOf();
    const [plain] = (await source.layersForCopy?.(parsed(image))) ?? [];
    if (plain === undefined) throw new Error('no layer');
    const error = await failureOf(source.getBlob(plain).then((bytes) => buffer(bytes)));
    expect([error.code, error.message]).toEqual(['store-invalid', expect.stringContaining('bin/sh')]);
  });

  test('a file that its layer has twice is an error that says so, unless both are alike', async () => {
    const twice = (first: string): BuiltImage =>
      buildImage({
        layers: [
          {
            entries: [
              { path: 'f', content: first },
              { path: 'f', content: 'two' },
            ],
          },
        ],
      });
    const outcomes = [];
    for (const first of ['one', 'longer', 'two']) {
      const image = twice(first);
      await importAll(store, image);
      const commit = await store.repository.readRef(blobRef(firstLayer(image).descriptor.digest));
      if (commit === undefined) throw new Error('no commit');
      const read = openLayerTar(store.repository, commit, 'the layer').then((bytes) => buffer(bytes));
      outcomes.push(
        await read.then(
          (tar) => tar.equals(firstLayer(image).tar),
          ({ code }) => code as unknown,
        ),
      );
    }
    expect(outcomes).toEqual(['unsupported', 'unsupported', true]);
  });

  test.each(['archive', 'bare-user'])('reads a repo in mode %s', async (mode) => {
    const image = small();
    await pulled(image);
    const other = join(folder(), 'other');
    execFileSync('ostree', [`--repo=${other}`, 'init', `--mode=${mode}`]);
    execFileSync('ostree', [`--repo=${other}`, 'pull-local', store.repository.path]);
    expect(await readFrom(new ImageStore(other, exec), image)).toEqual(contentOf(image));
  });
});

describe('ostree: as a destination', () => {
  test('leaves what a pull leaves', async () => {
    const image = small();
    const other = join(folder(), 'other');
    mkdirSync(other);
    const pulledInto = await makeStore(other);
    await pulled(image, pulledInto);
    const destination = destinationOf();
    await put(image, destination);
    expect(await store.repository.listRefs()).toEqual([]);
    await destination.commit();
    await destination.close();
    const refs = (await pulledInto.repository.listRefs()).sort();
    expect((await store.repository.listRefs()).sort()).toEqual(refs);
    for (const ref of refs) {
      const [ours, theirs] = [await store.repository.readRef(ref), await pulledInto.repository.readRef(ref)];
      expect([ours?.metadata, ours?.root]).toEqual([theirs?.metadata, theirs?.root]);
    }
    expect(ostree('fsck')).toContain('no errors found');
    expect(await readFrom(store, image)).toEqual(contentOf(image));
  });

  test('that is closed before its end has left nothing', async () => {
    const destination = destinationOf();
    await put(small(), destination);
    await destination.close();
    expect(await store.repository.listRefs()).toEqual([]);
    expect(readdirSync(join(store.repository.path, 'extensions/atomic-ts/layers-1'))).toEqual([]);
  });

  test('keeps signatures, and gives them back', async () => {
    const destination = destinationOf();
    await put(small(), destination);
    const signatures = [Buffer.from([0, 255, 1]), Buffer.from('second')];
    await destination.putSignatures?.(signatures, small().digest, 'reference');
    await destination.commit();
    await destination.close();
    const source = await sourceOf();
    expect((await source.getSignatures?.())?.map((one) => Buffer.from(one))).toEqual(signatures);
    expect(ostree('show', `--print-metadata-key=${METADATA.signatures}`, imageRef('x')).trim()).toBe("'2'");
    expect(ostree('ls', imageRef('x'))).toMatch(/manifest\.json[^]*signature-1[^]*signature-2/);
  });

  test('takes no layer that is there with another DiffID than the config names', async () => {
    const image = small();
    await pulled(image);
    const lying = buildImage({
      layers: [{ entries: ENTRIES }],
      configFields: { rootfs: { type: 'layers', diff_ids: [image.diffIds[1]] } },
    });
    const destination = destinationOf();
    await put(lying, destination);
    expect((await failureOf(destination.commit())).code).toBe('digest-mismatch');
    await destination.close();
  });

  test('takes no index', async () => {
    const destination = destinationOf();
    const index = buildIndex([small()]);
    const manifest = { bytes: index.manifest, mediaType: index.mediaType };
    expect((await failureOf(destination.putManifest(manifest, index.digest, 'entry'))).code).toBe(
      'unsupported',
    );
    await destination.putManifest(manifest, index.digest, 'reference');
    expect((await failureOf(destination.commit())).code).toBe('unsupported');
    await destination.close();
  });

  test('works for an ordinary user, in a repo of its own', async () => {
    const script = join(folder(), 'ordinary-user.cjs');
    await build({
      entryPoints: [join(import.meta.dirname, 'ordinary-user.ts')],
      bundle: true,
      platform: 'node',
      format: 'cjs',
      logLevel: 'error',
      outfile: script,
    });
    const image = small();
    writeOciLayout(join(folder(), 'layout'), [{ image, tag: 'v1' }]);
    chmodSync(folder(), 0o755);
    const home = join(folder(), 'home');
    mkdirSync(home);
    chownSync(home, 65_534, 65_534);
    const { stderr, status } = spawnSync(process.execPath, [script, join(folder(), 'layout'), home], {
      uid: 65_534,
      gid: 65_534,
      cwd: home,
      env: { PATH: process.env['PATH'], HOME: home },
    });
    expect([status, stderr.toString()]).toEqual([0, '']);
    const tars = image.layers.map(({ diffId }) =>
      readFileSync(join(home, 'dir', diffId.slice('sha256:'.length))),
    );
    expect(tars.map((tar, i) => tar.equals(image.layers[i]?.tar ?? Buffer.alloc(0)))).toEqual([true, true]);
    expect(readFileSync(join(home, 'repo/config'), 'utf8')).toContain('mode=bare-user');
  });
});

describe('a repo that skopeo wrote', () => {
  /** Its way, from containers/image ostree/ostree_dest.go: a tree on the disk, cleaned of devices, and the split. */
  function commitAsSkopeo(image: BuiltImage, mode: 'bare' | 'bare-user'): ImageStore {
    const path = join(folder(), 'skopeo');
    const run = (...args: string[]): void =>
      void execFileSync('ostree', [`--repo=${path}`, ...args], { stdio: 'pipe' });
    run('init', `--mode=${mode}`);
    for (const { descriptor, diffId, tar, blob } of image.layers) {
      const root = join(folder(), descriptor.digest);
      mkdirSync(root);
      execFileSync('tar', ['-C', root, '--delay-directory-restore', '-xf', '-'], { input: tar });
      fixFiles(root, mode === 'bare-user');
      commit(run, blobRef(descriptor.digest), root, {
        'docker.size': String(blob.length),
        'docker.uncompressed_size': String(tar.length),
        'docker.uncompressed_digest': diffId,
        'tarsplit.output': disassembleAsGo(tar),
      });
    }
    const [config, manifest] = [join(folder(), 'config'), join(folder(), 'manifest')];
    mkdirSync(config);
    writeFileSync(join(config, 'content'), image.config);
    commit(run, blobRef(image.configDigest), config, { 'docker.size': String(image.config.length) });
    mkdirSync(manifest);
    writeFileSync(join(manifest, 'manifest.json'), image.manifest);
    writeFileSync(join(manifest, 'signature-1'), 'signed');
    commit(run, imageRef('x'), manifest, {
      'docker.manifest': image.manifest.toString(),
      signatures: '1',
      'docker.digest': image.digest,
    });
    return new ImageStore(path, exec);
  }

  function commit(
    run: (...args: string[]) => void,
    branch: string,
    tree: string,
    metadata: Readonly<Record<string, string>>,
  ): void {
    const strings = Object.entries(metadata).map(([key, value]) => `--add-metadata-string=${key}=${value}`);
    run('commit', `--branch=${branch}`, `--tree=dir=${tree}`, '--subject=', '--parent=none', ...strings);
  }

  function fixFiles(directory: string, isUser: boolean): void {
    for (const name of readdirSync(directory)) {
      const path = join(directory, name);
      const stats = lstatSync(path);
      if (stats.isFIFO() || stats.isCharacterDevice()) rmSync(path);
      else if (stats.isDirectory()) {
        if (isUser) chmodSync(path, stats.mode | 0o700);
        fixFiles(path, isUser);
      } else if (isUser && stats.isFile()) chmodSync(path, stats.mode | 0o600);
    }
  }

  const image = (): BuiltImage =>
    buildImage({
      format: 'v2s2',
      layers: [
        {
          entries: [
            { path: './', type: 'dir' },
            { path: './usr/', type: 'dir', mode: 0o555 },
            { path: './usr/a&b <c>', content: 'escaped', mode: 0o400 },
            { path: './usr/pipe', type: 'fifo' },
            { path: './usr/hard', type: 'hardlink', target: './usr/a&b <c>' },
            { path: './usr/link', type: 'symlink', target: 'a&b <c>' },
            { path: `./usr/${'long'.repeat(40)}`, content: 'long', longNames: 'gnu' },
            { path: './usr/empty', content: '' },
          ],
        },
        {
          entries: [
            { path: 'usr/.wh.link', content: '' },
            { path: 'usr/new', content: 'n'.repeat(700) },
          ],
        },
      ],
    });

  test.each(['bare', 'bare-user'] as const)('in mode %s gives back all of an image', async (mode) => {
    const made = image();
    const theirs = commitAsSkopeo(made, mode);
    expect(await readFrom(theirs, made)).toEqual(contentOf(made));
    const signatures = await (await sourceOf(theirs)).getSignatures?.();
    expect(signatures?.map(String)).toEqual(['signed']);
  });

  test('is written to as well: its layers are taken for there', async () => {
    const made = image();
    const theirs = commitAsSkopeo(made, 'bare');
    const destination = destinationOf(theirs);
    expect(await Promise.all(made.layers.map(({ descriptor }) => destination.hasBlob(descriptor)))).toEqual([
      true,
      true,
    ]);
    await put(made, destination);
    await destination.commit();
    await destination.close();
    expect(await readFrom(theirs, made)).toEqual(contentOf(made));
    expect(existsSync(join(theirs.repository.path, 'extensions/atomic-ts'))).toBe(false);
  });
});
