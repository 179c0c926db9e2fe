/** One layer's way into the repo: what becomes of it when it is damaged, and what others find there when it is not. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { beforeEach, describe, expect, test } from 'vitest';
import { AtomicError, type ErrorCode } from '../../src/errors.ts';
import { hexOf } from '../../src/image/digest.ts';
import { importLayers } from '../../src/copy/import.ts';
import type { ResolvedImage } from '../../src/copy/resolve.ts';
import { parseImageConfig } from '../../src/image/config.ts';
import { parseManifest } from '../../src/image/manifest.ts';
import { indexFolder } from '../../src/store/layer-index.ts';
import { blobRef } from '../../src/store/names.ts';
import type { ImageStore } from '../../src/store/image-store.ts';
import type { ImageSource } from '../../src/transport/transport.ts';
import {
  buildImage,
  describe as describeBlob,
  sha256,
  writeTar,
  type BuiltImage,
  type BuiltLayer,
  type TarEntry,
} from '../fixtures/image-builder.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';
import { checkOut, imageOf, importAll, importBlob, makeStore, unpackByUs } from './layers-setup.ts';
import { describeTree } from './tree.ts';

const folder = useTempFolder();
let store: ImageStore;
beforeEach(async () => {
  store = await makeStore(folder());
});

const ostree = (...args: string[]): string =>
  execFileSync('ostree', [`--repo=${store.repository.path}`, ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, LC_ALL: 'C.UTF-8' },
  });

const ENTRIES: readonly TarEntry[] = [
  { path: 'etc', type: 'dir' },
  { path: 'etc/motd', content: 'hello\n'.repeat(5000) },
  { path: 'bin/sh', mode: 0o755, content: Buffer.alloc(300_000, 'binary') },
];

function layerOf(entries: readonly TarEntry[] = ENTRIES): BuiltLayer {
  const [layer] = buildImage({ layers: [{ entries }] }).layers;
  if (layer === undefined) throw new Error('no layer');
  return layer;
}

/** A layer of any bytes, whose descriptor and DiffID fit them unless told otherwise. */
function layerOfBytes(blob: Buffer, tar: Buffer = blob): BuiltLayer {
  return {
    descriptor: describeBlob(blob, 'application/vnd.oci.image.layer.v1.tar+gzip'),
    diffId: sha256(tar),
    tar,
    blob,
  };
}

/** Programs that this process started and that still run. */
function children(): string[] {
  const output = execFileSync('ps', ['-o', 'comm=', '--ppid', String(process.pid)], { encoding: 'utf8' });
  return output.split('\n').filter((name) => /ostree|zstd/.test(name));
}

/** Nothing of a failed import is to be seen. */
function expectNoTrace(): void {
  expect(ostree('refs', '--list')).toBe('');
  expect(readdirSync(indexFolder(store.repository.path))).toEqual([]);
  expect(
    readdirSync(join(store.repository.path, 'tmp')).filter(
      (name) => name !== 'cache' && !name.startsWith('staging-'),
    ),
  ).toEqual([]);
  expect(children()).toEqual([]);
  ostree('fsck', '-q');
}

const bytesOf = (blob: Buffer): Readable => Readable.from([blob], { objectMode: false });

/** A stream that gives half of a blob and then breaks. */
function breaking(blob: Buffer, error: Error): Readable {
  const stream = new PassThrough();
  stream.write(blob.subarray(0, blob.length / 2));
  setTimeout(() => stream.destroy(error), 50);
  return stream;
}

describe('a layer that is not what it should be leaves nothing behind', () => {
  const good = layerOf();
  const flipped = Buffer.from(good.blob);
  flipped[flipped.length - 9] = (flipped[flipped.length - 9] ?? 0) ^ 1;
  const damagedTar = Buffer.from(good.tar);
  damagedTar[512] = 0x7f;
  const plain = (tar: Buffer): BuiltLayer => layerOfBytes(tar);

  const BROKEN: Readonly<Record<string, readonly [ErrorCode, BuiltLayer, (() => Readable)?]>> = {
    'other bytes under its digest': ['size-mismatch', good, () => bytesOf(layerOf([{ path: 'other' }]).blob)],
    'other bytes of the same size': [
      'digest-mismatch',
      plain(good.tar),
      () => bytesOf(Buffer.concat([good.tar.subarray(0, -1), Buffer.from('x')])),
    ],
    'a byte too many': [
      'size-mismatch',
      plain(good.tar),
      () => bytesOf(Buffer.concat([good.tar, Buffer.from('x')])),
    ],
    'bytes too few': ['size-mismatch', plain(good.tar), () => bytesOf(good.tar.subarray(0, -512))],
    'gzip with a wrong checksum inside': ['stream-broken', layerOfBytes(flipped, good.tar)],
    'gzip that was cut off before it was pushed': [
      'stream-broken',
      layerOfBytes(good.blob.subarray(0, -20), good.tar),
    ],
    'garbage behind gzip': [
      'stream-broken',
      layerOfBytes(Buffer.concat([good.blob, Buffer.from('garbage')]), good.tar),
    ],
    'zeros behind gzip': [
      'stream-broken',
      layerOfBytes(Buffer.concat([good.blob, Buffer.alloc(9)]), good.tar),
    ],
    'many zeros behind gzip': [
      'stream-broken',
      layerOfBytes(Buffer.concat([good.blob, Buffer.alloc(500_000)]), good.tar),
    ],
    'another DiffID': ['digest-mismatch', { ...good, diffId: sha256(Buffer.from('x')) }],
    'no tar': ['layer-invalid', plain(Buffer.from('{"errors": [{"code": "UNKNOWN"}]}'.repeat(50)))],
    'a short text': ['layer-invalid', plain(Buffer.from('no'))],
    'a tar with a damaged header': ['layer-invalid', plain(damagedTar)],
    'a tar that was cut off before it was pushed': ['layer-invalid', plain(good.tar.subarray(0, 3000))],
    'a compression that nobody uses': ['compression-unsupported', plain(Buffer.from('BZh91AY&SY...'))],
    'broken zstd': ['stream-broken', plain(Buffer.from('28b52ffd0000000000', 'hex'))],
    'a name that is no UTF-8 and too long': ['unsupported', layerOf([{ path: Buffer.alloc(200, 0xe9) }])],
    'entries below a link of its own': [
      'layer-invalid',
      layerOf([{ path: 'd', type: 'symlink', target: 'e' }, { path: 'd/x' }]),
    ],
    'a connection that breaks': [
      'registry-unreachable',
      good,
      () => breaking(good.blob, new AtomicError('registry-unreachable', 'gone')),
    ],
  };

  test.each(Object.entries(BROKEN))('%s', async (_name, [code, layer, bytes]) => {
    const failed = importBlob(store, layer, bytes === undefined ? {} : { bytes: bytes() });
    await expect(failed).rejects.toBeInstanceOf(AtomicError);
    await expect(failed).rejects.toMatchObject({ code });
    expectNoTrace();
  });

  test('a stream that failed before anyone listened', async () => {
    const bytes = new PassThrough();
    bytes.destroy(new AtomicError('interrupted', 'stop'));
    await expect(importBlob(store, good, { bytes })).rejects.toMatchObject({ code: 'interrupted' });
    expectNoTrace();
  });

  test('a stream that was closed without a word, before and in the middle', async () => {
    const closed = new PassThrough();
    closed.destroy();
    await expect(importBlob(store, good, { bytes: closed })).rejects.toMatchObject({ code: 'stream-broken' });
    const closing = new PassThrough();
    closing.write(good.blob.subarray(0, 100));
    setTimeout(() => closing.destroy(), 30);
    await expect(importBlob(store, good, { bytes: closing })).rejects.toMatchObject({
      code: 'stream-broken',
    });
    expectNoTrace();
  });

  test('an import that is given up after it went well', async () => {
    const imported = await importBlob(store, good);
    await imported.discard();
    expect(await store.findLayer(imported.digest)).toBeUndefined();
    expectNoTrace();
  });

  test('an ostree that fails says why', async () => {
    const failed = store.importLayer({
      descriptor: good.descriptor,
      diffId: good.diffId,
      bytes: bytesOf(good.blob),
      what: 'x',
      onProgress: () => undefined,
    });
    await failed;
    writeFileSync(join(store.repository.path, 'config'), 'no config');
    await expect(importBlob(store, good)).rejects.toMatchObject({ code: 'command-failed' });
    expect(children()).toEqual([]);
  });

  test('afterwards the same layer goes in as if nothing had been', async () => {
    await expect(importBlob(store, { ...good, diffId: sha256(Buffer.from('x')) })).rejects.toThrow('digest');
    await (await importBlob(store, good)).publish();
    expect(ostree('ls', '-R', blobRef(good.descriptor.digest))).toContain('/etc/motd');
  });
});

describe('what others find in the repo', () => {
  test('a ref with the metadata of the contract, which shows only once it is published', async () => {
    const layer = layerOf();
    const imported = await importBlob(store, layer);
    expect(ostree('refs')).toBe('');
    await imported.publish();
    const ref = `ociimage/${hexOf(layer.descriptor.digest)}`;
    expect(ostree('refs').trim()).toBe(ref);
    const key = (name: string): string => ostree('show', `--print-metadata-key=${name}`, ref).trim();
    expect(key('docker.size')).toBe(`'${layer.blob.length}'`);
    expect(key('docker.uncompressed_size')).toBe(`'${layer.tar.length}'`);
    expect(key('docker.uncompressed_digest')).toBe(`'${layer.diffId}'`);
    expect(await store.findLayer(layer.descriptor.digest)).toEqual({ diffId: layer.diffId });
  });

  test('trees that ostree itself puts together, whiteouts included', async () => {
    const image = imageOf([
      [{ path: 'a/x', content: 'x' }, { path: 'a/y' }, { path: 'b/z' }],
      [
        { path: 'a/x', type: 'whiteout' },
        { path: 'b', type: 'opaque' },
        { path: 'b/new', content: 'new' },
      ],
    ]);
    await importAll(store, image);
    const tree = join(folder(), 'by-ostree');
    for (const { descriptor } of image.layers)
      ostree('checkout', '--union', '--whiteouts', blobRef(descriptor.digest), tree);
    expect(describeTree(tree)).toEqual(describeTree(await checkOut(folder(), store, image)));
    expect(readdirSync(join(tree, 'a'))).toEqual(['y']);
    expect(readdirSync(join(tree, 'b'))).toEqual(['new']);
  });
});

describe('layers that another tool brought', () => {
  /** As skopeo did: the layer's files unpacked, and committed with their whiteouts. */
  function commitAsSkopeo(layer: BuiltLayer): void {
    const tree = join(folder(), `unpacked-${hexOf(layer.descriptor.digest)}`);
    mkdirSync(tree);
    const tar = join(folder(), 'layer.tar');
    writeFileSync(tar, layer.tar);
    execFileSync('tar', ['-xpf', tar, '-C', tree]);
    ostree(
      'commit',
      `--branch=${blobRef(layer.descriptor.digest)}`,
      `--tree=dir=${tree}`,
      '--subject=',
      '--no-bindings',
      `--add-metadata-string=docker.size=${layer.blob.length}`,
      `--add-metadata-string=docker.uncompressed_size=${layer.tar.length}`,
      `--add-metadata-string=docker.uncompressed_digest=${layer.diffId}`,
      '--add-metadata-string=tarsplit.output=H4sIAAAAAAAA',
    );
  }

  const image = imageOf([
    [
      { path: './', type: 'dir', mode: 0o755 },
      { path: 'etc', type: 'dir', mode: 0o755 },
      { path: 'etc/a', content: 'a' },
      { path: 'etc/b', content: 'b', mode: 0o4755, uid: 3 },
      { path: 'naïve', content: 'ü' },
      { path: 'sub', type: 'dir' },
      { path: 'sub/x' },
      { path: 'file', content: 'file' },
      { path: 'link', type: 'symlink', target: '/' },
    ],
    [
      { path: 'etc', type: 'dir', mode: 0o700, uid: 1, gid: 2 },
      { path: 'etc/.wh.a' },
      { path: 'sub', type: 'dir' },
      { path: 'sub/.wh..wh..opq' },
      { path: 'sub/y' },
      { path: 'file', type: 'dir' },
      { path: 'file/z' },
      { path: 'link', type: 'dir' },
      { path: 'link/pwned' },
    ],
  ]);

  test('are checked out like our own', async () => {
    for (const layer of image.layers) commitAsSkopeo(layer);
    const foreign = describeTree(await checkOut(folder(), store, image, 'foreign'));
    const [first] = image.layers;
    expect(await store.findLayer(first?.descriptor.digest ?? sha256(Buffer.alloc(0)))).toEqual({
      diffId: first?.diffId,
    });
    const other = join(folder(), 'other');
    mkdirSync(other);
    expect(foreign).toEqual(describeTree(await unpackByUs(other, image)));
    expect(existsSync('/pwned')).toBe(false);
    expect(readdirSync(join(folder(), 'scratch'))).toEqual([]);
  });

  test('a second checkout uses the index that the first one made', async () => {
    for (const layer of image.layers) commitAsSkopeo(layer);
    const first = describeTree(await checkOut(folder(), store, image, 'first'));
    const indexes = readdirSync(indexFolder(store.repository.path)).sort();
    expect(indexes).toEqual(image.layers.map(({ descriptor }) => hexOf(descriptor.digest)).sort());
    expect(describeTree(await checkOut(folder(), store, image, 'second'))).toEqual(first);
  });

  test('a layer of ours whose index was lost is read from its tree', async () => {
    await importAll(store, image);
    const first = describeTree(await checkOut(folder(), store, image, 'first'));
    for (const name of readdirSync(indexFolder(store.repository.path)))
      writeFileSync(join(indexFolder(store.repository.path), name), 'damaged\0');
    await expect(checkOut(folder(), store, image, 'second')).rejects.toMatchObject({ code: 'store-invalid' });
    execFileSync('rm', ['-r', indexFolder(store.repository.path)]);
    expect(describeTree(await checkOut(folder(), store, image, 'third'))).toEqual(first);
  });

  test('a layer that is not there is an error that says to pull again', async () => {
    const failed = checkOut(folder(), store, image);
    await expect(failed).rejects.toMatchObject({ code: 'store-invalid', hint: 'Pull the image again.' });
  });
});

/** A built image as a source; blobs come when `gate` lets them. */
function sourceOf(image: BuiltImage): ImageSource & { readonly asked: string[] } {
  const asked: string[] = [];
  return {
    name: 'test:image',
    asked,
    getManifest: () => Promise.resolve({ bytes: image.manifest, mediaType: image.mediaType }),
    getBlob: ({ digest }) => {
      asked.push(digest);
      return Promise.resolve(bytesOf(image.blobs.get(digest) ?? Buffer.alloc(0)));
    },
    close: () => Promise.resolve(),
  };
}

function resolved(image: BuiltImage): ResolvedImage {
  const raw = { bytes: image.manifest, mediaType: image.mediaType };
  const manifest = parseManifest(raw, 'x');
  if (manifest.kind !== 'manifest') throw new Error('an index');
  return {
    raw,
    digest: image.digest,
    manifest,
    configBytes: image.config,
    config: parseImageConfig(image.config, 'x'),
  };
}

describe('importLayers into the real repo', () => {
  test('thirty layers, each once, and none of them again', async () => {
    const layers = Array.from({ length: 30 }, (_, i) => [{ path: `file${i}`, content: String(i) }]);
    const image = imageOf([...layers, layers[0] ?? []]);
    const source = sourceOf(image);
    const { signal } = new AbortController();
    const outcome = await importLayers(source, resolved(image), store, () => undefined, signal);
    expect(outcome.fetched).toBe(30);
    // One that met another one's end in libostree's tmp folder (store-race) is asked for again.
    expect([...new Set(source.asked)]).toEqual(
      image.layers.slice(0, 30).map(({ descriptor }) => descriptor.digest),
    );
    expect(ostree('refs').trim().split('\n')).toHaveLength(30);
    const again = await importLayers(source, resolved(image), store, () => undefined, signal);
    expect(again).toMatchObject({ fetched: 0, fetchedBytes: 0 });
    expect(Object.keys(describeTree(await checkOut(folder(), store, image)))).toHaveLength(31);
    expect(children()).toEqual([]);
  });

  test('a broken layer keeps those above it from being seen', async () => {
    const image = imageOf([[{ path: 'a' }], [{ path: 'b' }], [{ path: 'c' }], [{ path: 'd' }]]);
    const broken = image.layers[1]?.descriptor.digest ?? image.digest;
    const lying = { ...image, blobs: new Map([...image.blobs, [broken, gzipSync('other')]]) };
    const { signal } = new AbortController();
    await expect(
      importLayers(sourceOf(lying), resolved(image), store, () => undefined, signal),
    ).rejects.toBeInstanceOf(AtomicError);
    const first = image.layers[0]?.descriptor.digest ?? image.digest;
    expect(['', blobRef(first)]).toContain(ostree('refs').trim());
    expect(readdirSync(indexFolder(store.repository.path)).filter((name) => name.endsWith('.tmp'))).toEqual(
      [],
    );
    expect(children()).toEqual([]);
    ostree('fsck', '-q');
  });

  test('an abort ends the programs that work on it', async () => {
    const image = imageOf([ENTRIES, [{ path: 'b' }]]);
    const endless: ImageSource = {
      ...sourceOf(image),
      getBlob: () => {
        const stream = new PassThrough();
        stream.write(image.layers[0]?.blob.subarray(0, 20));
        return Promise.resolve(stream);
      },
    };
    const controller = new AbortController();
    const failed = importLayers(endless, resolved(image), store, () => undefined, controller.signal);
    setTimeout(() => controller.abort(new AtomicError('interrupted', 'stop')), 100);
    await expect(failed).rejects.toMatchObject({ code: 'interrupted' });
    expectNoTrace();
  });
});

describe('memory', () => {
  test('does not grow with the size of a layer', async () => {
    const script = join(folder(), 'import.cjs');
    await build({
      entryPoints: [join(import.meta.dirname, 'import-memory.ts')],
      bundle: true,
      platform: 'node',
      format: 'cjs',
      logLevel: 'error',
      outfile: script,
    });
    const peak = (megabytes: number): number => {
      const output = execFileSync(process.execPath, [script, store.repository.path, String(megabytes)], {
        encoding: 'utf8',
      });
      return Number(output);
    };
    const [small, large] = [peak(30), peak(300)];
    expect(small).toBeGreaterThan(20);
    expect(large - small).toBeLessThan(40);
    expect(ostree('refs').trim().split('\n')).toHaveLength(2);
  });
});

describe('the tar that the filter writes', () => {
  /** Whatever the filter changes, in one tar. */
  const odd: readonly TarEntry[] = [
    { path: '/abs/file', content: 'abs' },
    { path: 'long/'.repeat(40) + 'x', content: 'long', uid: 3_000_000 },
    {
      path: 'a',
      content: 'a',
      xattrs: { 'user.x': Buffer.from([0, 1, 255]) },
      pax: { 'LIBARCHIVE.xattr.user.y': 'ZA' },
    },
    { path: 'b', type: 'hardlink', target: 'a' },
    { path: 'c', type: 'hardlink', target: 'b', headerSize: 99 },
    { path: 'l', type: 'symlink', target: 'x/'.repeat(100), longNames: 'gnu' },
    { path: 'null', type: 'char', major: 1, minor: 3 },
    { path: 'd/.wh.e', content: 'content of a whiteout' },
    { path: 'contiguous', type: 'contiguous', content: 'c' },
    { path: 'ünï', type: 'dir', mode: 0o711 },
  ];

  async function filtered(): Promise<string> {
    const { filterTar } = await import('../stream/collect.ts');
    const file = join(folder(), 'filtered.tar');
    writeFileSync(file, (await filterTar(writeTar(odd))).output);
    return file;
  }

  const EXPECTED = [
    'abs/file 3',
    `${'long/'.repeat(40)}x 4`,
    'a 1',
    'b -> a',
    'c -> a',
    `l -> ${'x/'.repeat(100)}`,
    'd/.wh.e 0',
    'contiguous 1',
    'ünï/',
  ];

  test('is what python reads', async () => {
    const program = [
      'import sys, tarfile',
      'for m in tarfile.open(sys.argv[1], encoding="utf-8"):',
      '    print(m.name + ("/" if m.isdir() else " -> " + m.linkname if m.linkname else " %d" % m.size))',
    ].join('\n');
    const output = execFileSync('python3', ['-c', program, await filtered()], {
      encoding: 'utf8',
      env: { ...process.env, PYTHONIOENCODING: 'utf-8' },
    });
    expect(output.trimEnd().split('\n')).toEqual(EXPECTED);
  });

  test('is what GNU tar unpacks', async () => {
    const tree = join(folder(), 'tree');
    mkdirSync(tree);
    execFileSync('tar', ['--xattrs', '--xattrs-include=*', '-xpf', await filtered(), '-C', tree]);
    const lines = describeTree(tree);
    expect(lines['a']).toContain('user.x=0x0001ff');
    expect(lines['a']).not.toContain('user.y');
    expect(lines['ünï']).toMatch(/^dir 0711/);
    expect(lines['d/.wh.e']).toMatch(/^file 0000 0:0 0 /);
    expect(lines[`${'long/'.repeat(40)}x`]).toMatch(/^file 0644 3000000:0 4 /);
    expect(lines['null']).toBeUndefined();
    expect(readFileSync(join(tree, 'abs/file'), 'utf8')).toBe('abs');
  });

  test('sparse files of GNU tar come out whole', async () => {
    const source = join(folder(), 'source');
    mkdirSync(source);
    const content = Buffer.alloc(200_000);
    for (let at = 0; at < 190_000; at += 9000) content.write('data', at);
    writeFileSync(join(source, 'sparse'), content);
    execFileSync('sh', ['-c', `cd ${source} && fallocate -d sparse 2>/dev/null || true`]);
    for (const format of [
      '--format=gnu',
      '--format=pax --sparse-version=1.0',
      '--format=pax --sparse-version=0.1',
    ]) {
      const tar = execFileSync('sh', ['-c', `tar -C ${source} -cS ${format} .`], { maxBuffer: 1e8 });
      const layer = layerOfBytes(tar);
      await (await importBlob(store, layer)).publish();
      const out = execFileSync(
        'ostree',
        [`--repo=${store.repository.path}`, 'cat', blobRef(layer.descriptor.digest), '/sparse'],
        {
          maxBuffer: 1e8,
        },
      );
      expect({ format, sparse: tar.length < content.length, same: out.equals(content) }).toEqual({
        format,
        sparse: true,
        same: true,
      });
    }
  });

  test('tars of GNU tar in all its formats import alike', async () => {
    const source = join(folder(), 'source');
    mkdirSync(join(source, 'dir', 'd'.repeat(90)), { recursive: true });
    writeFileSync(join(source, 'dir', 'd'.repeat(90), 'f'.repeat(50)), 'deep');
    writeFileSync(join(source, 'plain'), 'plain');
    execFileSync('ln', [join(source, 'plain'), join(source, 'hard')]);
    execFileSync('ln', ['-s', 'plain', join(source, 'soft')]);
    const trees = [];
    for (const format of ['gnu', 'oldgnu', 'pax', 'posix', 'ustar']) {
      const tar = execFileSync('tar', ['-C', source, '-c', `--format=${format}`, '.'], { maxBuffer: 1e8 });
      const layer = layerOfBytes(tar);
      await (await importBlob(store, layer)).publish();
      trees.push(ostree('ls', '-R', '-C', blobRef(layer.descriptor.digest)));
    }
    expect(new Set(trees).size).toBe(1);
  });
});
