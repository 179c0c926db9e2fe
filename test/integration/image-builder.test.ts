/** The fixtures are judged by the tools that everybody uses: tar, skopeo, umoci. */
import { execFileSync } from 'node:child_process';
import { lstatSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  buildImage,
  buildIndex,
  sha256,
  writeDirTransport,
  writeDockerArchive,
  writeOciArchive,
  writeOciLayout,
  writeTar,
  type TarEntry,
} from '../fixtures/image-builder.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';

const folder = useTempFolder();
const run = (program: string, ...args: string[]): string =>
  execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
const inspect = (reference: string): Buffer =>
  execFileSync('skopeo', ['inspect', '--raw', reference], { stdio: ['ignore', 'pipe', 'pipe'] });

const LONG = `long/${'n'.repeat(120)}`;
const ENTRIES: readonly TarEntry[] = [
  { path: 'etc', type: 'dir', mode: 0o700, uid: 7, gid: 8 },
  { path: 'etc/motd', content: 'hello\n', mtime: 1_000_000_000 },
  { path: 'bin/su', mode: 0o4755, content: 'x', xattrs: { 'user.note': 'päx' } },
  { path: 'etc/issue', type: 'symlink', target: 'motd' },
  { path: 'etc/hard', type: 'hardlink', target: 'etc/motd' },
  { path: LONG, content: 'pax' },
  { path: `${LONG}-gnu`, content: 'gnu', longNames: 'gnu' },
  { path: 'far', uid: 3_000_000, content: '' },
];

describe('tar', () => {
  test('lists every type of entry with its mode, owner, size and target', () => {
    const file = join(folder(), 'x.tar');
    writeFileSync(
      file,
      writeTar([
        ...ENTRIES,
        { path: 'pipe', type: 'fifo' },
        { path: 'null', type: 'char', major: 1, minor: 3 },
        { path: 'sda', type: 'block', major: 8, minor: 0 },
        { path: 'etc/old', type: 'whiteout' },
        { path: 'var', type: 'opaque' },
      ]),
    );
    const lines = run('tar', '--numeric-owner', '--utc', '-tvf', file).trimEnd().split('\n');
    const expected = [
      /^drwx------ 7\/8 +0 .* etc\/$/,
      /^-rw-r--r-- 0\/0 +6 2001-09-09 .* etc\/motd$/,
      /^-rwsr-xr-x 0\/0 +1 .* bin\/su$/,
      /^lrwxrwxrwx .* etc\/issue -> motd$/,
      /^hrw-r--r-- .* etc\/hard link to etc\/motd$/,
      new RegExp(`^-rw-r--r-- 0/0 +3 .* ${LONG}$`),
      new RegExp(`^-rw-r--r-- 0/0 +3 .* ${LONG}-gnu$`),
      /^-rw-r--r-- 3000000\/0 +0 .* far$/,
      /^prw-r--r-- .* pipe$/,
      /^crw-r--r-- 0\/0 +1,3 .* null$/,
      /^brw-r--r-- 0\/0 +8,0 .* sda$/,
      /^-rw-r--r-- .* etc\/\.wh\.old$/,
      /^-rw-r--r-- .* var\/\.wh\.\.wh\.\.opq$/,
    ];
    expect(lines).toHaveLength(expected.length);
    for (const [i, line] of lines.entries()) expect(line).toMatch(expected[i] ?? /never/);
  });
});

describe.each(['oci', 'v2s2'] as const)('skopeo (%s)', (format) => {
  // skopeo looks for tags of a layout among OCI manifests only.
  const tag = format === 'oci' ? { tag: 'v1' } : {};
  const suffix = format === 'oci' ? ':v1' : '';
  const image = buildImage({
    format,
    layers: [{ entries: ENTRIES }, { entries: [{ path: 'plain' }], compression: 'none' }],
    config: { Cmd: ['/bin/su'], Labels: { a: 'b' } },
  });

  test('reads what is written as a layout, an archive of one, and dir:', () => {
    writeOciLayout(join(folder(), 'layout'), [{ image, ...tag }]);
    writeOciArchive(join(folder(), 'layout.tar'), [{ image, ...tag }]);
    writeDirTransport(join(folder(), 'dir'), image);
    for (const reference of [`oci:layout${suffix}`, `oci-archive:layout.tar${suffix}`, 'dir:dir']) {
      const placed = reference.replace(':', `:${folder()}/`);
      expect(inspect(placed)).toEqual(image.manifest);
      run(
        'skopeo',
        '--insecure-policy',
        'copy',
        '-q',
        placed,
        `dir:${folder()}/copy-of-${reference.slice(0, 5)}`,
      );
    }
  });

  test.each(['legacy', 'oci'] as const)('reads what is written as docker save would (%s)', (layout) => {
    const file = join(folder(), 'saved.tar');
    writeDockerArchive(file, [{ image, names: ['small:1'] }], { layout });
    run(
      'skopeo',
      '--insecure-policy',
      'copy',
      '-q',
      `docker-archive:${file}:small:1`,
      `dir:${folder()}/copy`,
    );
    const copied: unknown = JSON.parse(readFileSync(join(folder(), 'copy/manifest.json'), 'utf8'));
    expect(copied).toMatchObject({
      config: { digest: image.configDigest },
      layers: image.diffIds.map((digest) => ({ digest })),
    });
  });

  test('chooses the platform of an index', () => {
    const images = (['amd64', 'arm64'] as const).map((architecture) =>
      buildImage({ format, layers: [{ entries: ENTRIES }], platform: { os: 'linux', architecture } }),
    );
    const index = buildIndex(images, format);
    writeOciLayout(folder(), [{ image: index, ...tag }]);
    expect(inspect(`oci:${folder()}${suffix}`)).toEqual(index.manifest);
    const told: unknown = JSON.parse(
      run('skopeo', '--override-arch', 'arm64', 'inspect', '--config', `oci:${folder()}${suffix}`),
    );
    expect(told).toMatchObject({ architecture: 'arm64' });
  });
});

test('a zstd layer is what the zstd program unpacks, with the right DiffID', () => {
  const image = buildImage({ layers: [{ entries: ENTRIES, compression: 'zstd' }] });
  const [layer] = image.layers;
  if (layer === undefined) throw new Error('no layer');
  expect(layer.descriptor.mediaType).toBe('application/vnd.oci.image.layer.v1.tar+zstd');
  const unpacked = execFileSync('zstd', ['-dc'], { input: layer.blob });
  expect(sha256(unpacked)).toBe(image.diffIds[0]);
});

test('umoci unpacks a layout: modes, links, whiteouts', () => {
  const image = buildImage({
    layers: [
      { entries: ENTRIES },
      {
        entries: [{ path: 'far', type: 'whiteout' }, { path: 'long', type: 'opaque' }, { path: 'long/new' }],
      },
    ],
  });
  writeOciLayout(join(folder(), 'layout'), [{ image, tag: 'v1' }]);
  run('umoci', 'unpack', '--image', `${folder()}/layout:v1`, `${folder()}/bundle`);
  const root = join(folder(), 'bundle/rootfs');
  expect(readFileSync(join(root, 'etc/motd'), 'utf8')).toBe('hello\n');
  expect(readlinkSync(join(root, 'etc/issue'))).toBe('motd');
  expect(statSync(join(root, 'etc/hard')).ino).toBe(statSync(join(root, 'etc/motd')).ino);
  expect(statSync(join(root, 'bin/su')).mode & 0o7777).toBe(0o4755);
  expect(statSync(join(root, 'etc'))).toMatchObject({ uid: 7, gid: 8 });
  expect(() => lstatSync(join(root, 'far'))).toThrow('ENOENT');
  expect(() => lstatSync(join(root, LONG))).toThrow('ENOENT');
  expect(lstatSync(join(root, 'long/new')).isFile()).toBe(true);
});
