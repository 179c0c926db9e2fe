/** Every limit that can be moved: what is just above it is refused with the way to raise it, and passes once it is. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { readPackages } from '../src/app/diff/rpm-packages.ts';
import { readExports } from '../src/container/exports.ts';
import { walkHostfs } from '../src/container/host-files/walk.ts';
import { readImageFacts } from '../src/container/image-facts.ts';
import { copyImage } from '../src/copy/copy.ts';
import { importLayers } from '../src/copy/import.ts';
import { readImage, resolveManifest } from '../src/copy/resolve.ts';
import { createFiles } from '../src/host/files.ts';
import { parseRegistryImage } from '../src/image/reference.ts';
import {
  formatLimit,
  limitExceeded,
  limitOf,
  LIMIT_NAMES,
  LIMITS,
  moveLimits,
  parseLimit,
  parseLimitOption,
  RATIO_FLOOR_BYTES,
  type LimitName,
} from '../src/limits.ts';
import { UnpackedLimit } from '../src/stream/decompress.ts';
import { indexTar } from '../src/transport/archive/tar-index.ts';
import { openArchive } from '../src/transport/archive/open-archive.ts';
import { listTags } from '../src/transport/registry/tags.ts';
import { copyOptions, FakeDestination, sourceOf } from './copy/fakes.ts';
import { buildImage, buildIndex, writePax, writeTar, type TarEntry } from './fixtures/image-builder.ts';
import { useTempFolder } from './fixtures/temp-folder.ts';
import { startFakeRegistry } from './registry/fake-registry.ts';
import { FakeExec } from './service/fake-systemctl.ts';
import { failureOf, filterTar, through } from './stream/collect.ts';
import { optionsFor } from './transport/registry/setup.ts';

const AMD64 = { os: 'linux', architecture: 'amd64' };
const folder = useTempFolder();
const never = new AbortController().signal;

function put(path: string, content: string | Uint8Array): string {
  const full = join(folder(), path);
  mkdirSync(dirname(full), { recursive: true });
  writeFileSync(full, content);
  return full;
}

const image = buildImage({ layers: [{ entries: [{ path: 'a' }] }, { entries: [{ path: 'b' }] }] });

async function pullImage(): Promise<unknown> {
  const source = sourceOf(image);
  return readImage(source, await resolveManifest(source, AMD64, undefined), AMD64);
}

/** Two layers of three entries each. */
async function importImage(): Promise<unknown> {
  const source = sourceOf(image);
  const resolved = await readImage(source, await resolveManifest(source, AMD64, undefined), AMD64);
  const pending = {
    entries: 3,
    devicesLeftOut: 0,
    publish: () => Promise.resolve(),
    discard: () => Promise.resolve(),
  };
  const store = {
    findLayer: () => Promise.resolve(undefined),
    requireRoom: () => Promise.resolve(),
    importLayer: () => Promise.resolve(pending),
  };
  return importLayers(source, resolved, store, () => undefined, never);
}

async function listThreeTags(): Promise<unknown> {
  const registry = await startFakeRegistry();
  for (const tag of ['1', '2', '3']) registry.addImage('app', tag, []);
  try {
    return await listTags(parseRegistryImage(`${registry.host}/app`), optionsFor({}));
  } finally {
    await registry.close();
  }
}

async function indexOf(tar: Uint8Array): Promise<unknown> {
  const handle = await open(put('x.tar', tar));
  try {
    return await indexTar(handle, 'x.tar');
  } finally {
    await handle.close();
  }
}

const files = (count: number): TarEntry[] => Array.from({ length: count }, (_, i) => ({ path: `f${i}` }));
/** A header of one block with a record of 300 bytes. */
const comment = { raw: writePax([['comment', Buffer.alloc(287, 'c')]]) };
const big = RATIO_FLOOR_BYTES + 1024;

/** Something of a size that a limit is about, and who takes it in. */
const CASES: Readonly<
  Record<
    Exclude<LimitName, 'free-space' | 'index-depth' | 'partial-size' | 'tar-split-size'>,
    readonly [number, () => unknown]
  >
> = {
  'manifest-size': [image.manifest.length, pullImage],
  'config-size': [image.config.length, pullImage],
  'index-entries': [
    2,
    () =>
      copyImage(sourceOf(buildIndex([image, image])), new FakeDestination(), copyOptions({ which: 'all' })),
  ],
  layers: [2, pullImage],
  'layer-size': [Math.max(...image.layers.map(({ blob }) => blob.length)), pullImage],
  'layer-unpacked-size': [5000, () => through([Buffer.alloc(5000)], new UnpackedLimit('x', () => 5000))],
  'layer-ratio': [
    big / 1024,
    () =>
      through(
        Array.from({ length: big / 1024 / 1024 }, () => Buffer.alloc(1024 * 1024)).concat(Buffer.alloc(1024)),
        new UnpackedLimit('x', () => 1024),
      ),
  ],
  'layer-entries': [5, () => filterTar(writeTar(files(5)))],
  'image-entries': [6, importImage],
  'layer-names-size': [6, () => filterTar(writeTar([{ path: 'folder', type: 'dir' }, ...files(3)]))],
  'tar-header-size': [812, () => filterTar(writeTar([comment, ...files(1)]))],
  'export-size': [
    20,
    () => {
      put('root/exports/service.template', 'x'.repeat(20));
      return readExports(join(folder(), 'root'));
    },
  ],
  'host-files': [
    4,
    () => {
      for (const name of ['1', '2', 'x/3']) put(`hostfs/${name}`, '');
      return walkHostfs(join(folder(), 'hostfs'));
    },
  ],
  'passwd-size': [
    30,
    () => {
      put('root/etc/passwd', 'r'.repeat(30));
      return readImageFacts(join(folder(), 'root'), []);
    },
  ],
  'rpm-database-size': [
    12,
    () => {
      put('root/var/lib/rpm/Packages', 'x'.repeat(12));
      const exec = new FakeExec();
      return readPackages({ exec, files: createFiles(exec) }, 'x', join(folder(), 'root'), folder(), false);
    },
  ],
  'archive-members': [3, () => indexOf(writeTar(files(3)))],
  'archive-unpacked-size': [
    writeTar(files(3)).length,
    async () => (await openArchive(put('x.tar.gz', gzipSync(writeTar(files(3)))))).close(),
  ],
  tags: [3, listThreeTags],
};

afterEach(() => {
  // No test may leave its limits to the next one.
  const left = LIMIT_NAMES.filter((name) => limitOf(name) !== LIMITS[name].default);
  if (left.length > 0) throw new Error(`limits were left moved: ${left.join(', ')}`);
});

describe('the limit', () => {
  it.each(Object.entries(CASES))('%s lets pass what reaches it', async (name, [size, take]) => {
    const restore = moveLimits({ [name]: Math.ceil(size) });
    const taken = Promise.resolve().then(take).finally(restore);
    await expect(taken).resolves.not.toThrow();
  });

  it.each(Object.entries(CASES))(
    '%s refuses more, and the raised one takes it',
    async (name, [size, take]) => {
      const restore = moveLimits({ [name]: Math.ceil(size) - 1 });
      const error = await failureOf(Promise.resolve().then(take)).finally(restore);
      expect(error).toMatchObject({ code: 'limit-exceeded' });
      const advice = new RegExp(`^If the image is to be trusted: --limit (${name}=\\S+) \\(or limits: in`);
      expect(error.hint).toMatch(advice);
      const raised = moveLimits(parseLimitOption(advice.exec(error.hint ?? '')?.[1] ?? ''));
      await Promise.resolve(take()).finally(raised);
    },
  );

  it('of each kind is tested', () => {
    const elsewhere = ['index-depth', 'partial-size', 'tar-split-size', 'free-space'];
    expect([...Object.keys(CASES), ...elsewhere].sort()).toEqual([...LIMIT_NAMES].sort());
  });

  it('that is at its end says so', () => {
    const restore = moveLimits({ 'config-size': LIMITS['config-size'].max });
    const { hint } = limitExceeded('config-size', 'x');
    restore();
    expect(hint).toBe('No more than 64M can be allowed: look at what the image is made of.');
    expect(limitExceeded('config-size', 'x', 2 ** 40).hint).toBe(hint);
  });

  it('that nobody can raise says so', () => {
    expect(limitExceeded(4096, 'x').hint).toContain('This limit is fixed');
  });

  it('proposes what would be enough', () => {
    expect(limitExceeded('layers', 'x', 5000).hint).toContain('--limit layers=5000 ');
    expect(limitExceeded('layer-size', 'x', 200_000_000_001).hint).toContain('--limit layer-size=187G ');
  });
});

describe('--limit', () => {
  it.each([
    ['layers=600', { layers: 600 }],
    ['layer-size=100', { 'layer-size': 100 }],
    ['layer-size=8K', { 'layer-size': 8192 }],
    ['layer-size=8MiB', { 'layer-size': 8 * 1024 ** 2 }],
    ['layer-size=100G', { 'layer-size': 100 * 1024 ** 3 }],
    ['layer-size=1T', { 'layer-size': 1024 ** 4 }],
    ['free-space=ignore', { 'free-space': 0 }],
    ['free-space=check', { 'free-space': 1 }],
  ])('takes %s', (option, expected) => {
    expect(parseLimitOption(option)).toEqual(expected);
  });

  it.each([
    ['layers', '--limit takes NAME=VALUE', 'Limits are manifest-size, '],
    ['nope=1', 'names "nope", and there is no such limit', 'free-space.'],
    ['toString=1', 'there is no such limit', 'Limits are'],
    ['layers=0', 'it takes a number from 1 to 8192', 'It stands at 512 by default'],
    ['layers=8193', 'it takes a number from 1 to 8192', 'layers in one image'],
    ['layers=1K', 'gives layers the value "1K"', 'by default'],
    ['layers=-1', 'gives layers the value "-1"', 'by default'],
    ['config-size=1.5M', 'it takes a size such as', 'It stands at 8M by default'],
    ['config-size=65M', 'a size such as 512K, 8M or 2G from 1 to 64M', 'config'],
    ['config-size=8MB', 'it takes a size', 'by default'],
    ['free-space=1', 'it takes check or ignore', 'check'],
  ])('refuses %s', async (option, sentence, hint) => {
    const error = await failureOf(Promise.resolve().then(() => parseLimitOption(option)));
    expect([error.code, error.message]).toEqual(['usage', expect.stringContaining(sentence)]);
    expect(error.hint).toContain(hint);
  });

  it('reads back every default and end as it writes them', () => {
    for (const name of LIMIT_NAMES) {
      for (const value of [LIMITS[name].default, LIMITS[name].max]) {
        expect(parseLimit(name, formatLimit(name, value), 'x', 'usage')).toEqual({ [name]: value });
      }
    }
  });
});

it('README.md lists each limit with its default', () => {
  const readme = readFileSync(join(import.meta.dirname, '../README.md'), 'utf8');
  const rows = [...readme.matchAll(/^\| `([a-z-]+)` \| (\S+) \| (\S+) \| (.+) \|$/gm)];
  expect(rows.map(([, ...cells]) => cells)).toEqual(
    LIMIT_NAMES.map((name) => [
      name,
      formatLimit(name, LIMITS[name].default),
      formatLimit(name, LIMITS[name].max),
      LIMITS[name].caps,
    ]),
  );
});
