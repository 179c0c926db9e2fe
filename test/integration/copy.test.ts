/** The engine against skopeo: what nothing forces to change has skopeo's digests, what it changes skopeo can read. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TransferApp } from '../../src/app/context.ts';
import { copyBetween, type CopyRequest } from '../../src/app/copy-image.ts';
import type { CopyOutcome } from '../../src/copy/copy.ts';
import { createExec } from '../../src/host/exec.ts';
import { createLocks } from '../../src/host/locks.ts';
import { buildImage, buildIndex, writeOciLayout, type BuiltImage } from '../fixtures/image-builder.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';
import { startRealRegistry, type RealRegistry } from '../registry/real-registry.ts';
import { failureOf } from '../stream/collect.ts';

const PLATFORMS = ['amd64', 'arm64'] as const;

function image(architecture: string, format: 'oci' | 'v2s2' = 'oci'): BuiltImage {
  return buildImage({
    format,
    platform: { os: 'linux', architecture },
    layers: [
      { entries: [{ path: 'base', content: 'the same in both'.repeat(10_000) }] },
      { entries: [{ path: 'etc/arch', content: architecture }], compression: 'none' },
    ],
    config: { Cmd: ['/bin/sh'] },
  });
}

const images = PLATFORMS.map((architecture) => image(architecture));
const index = buildIndex(images);
const folder = useTempFolder();
const scratch = mkdtempSync(join(tmpdir(), 'atomic-ts-copy-'));
let registry: RealRegistry;

beforeAll(async () => {
  registry = await startRealRegistry();
  writeOciLayout(join(scratch, 'layout'), [
    { image: index, tag: 'all' },
    ...images.map((each, i) => ({ image: each, tag: PLATFORMS[i] ?? '' })),
  ]);
  skopeo('copy', '--all', '--preserve-digests', `oci:${scratch}/layout:all`, at('index'));
});
afterAll(async () => {
  await registry.close();
  rmSync(scratch, { recursive: true, force: true });
});

/** skopeo asks each registry for TLS first, unless it is told otherwise. */
function skopeo(command: 'copy' | 'inspect', ...args: string[]): Buffer {
  const registries = args.map((arg) => arg.startsWith('docker://'));
  const [from, to] = registries.slice(-2);
  const flags =
    command === 'inspect'
      ? ['--tls-verify=false']
      : [
          '-q',
          ...(from === true ? ['--src-tls-verify=false'] : []),
          ...(to === true ? ['--dest-tls-verify=false'] : []),
        ];
  return execFileSync('skopeo', ['--insecure-policy', command, ...flags, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

const at = (name: string): string => `docker://${registry.host}/${name}:latest`;
const dir = (name: string): string => `dir:${join(folder(), name)}`;

function copy(source: string, destination: string, request: Partial<CopyRequest> = {}): Promise<CopyOutcome> {
  const notAsked = (): never => {
    throw new Error('not asked for');
  };
  const app: TransferApp = {
    exec: createExec(),
    locks: createLocks('test'),
    files: { freeBytes: () => Promise.resolve(Number.MAX_SAFE_INTEGER) },
    identity: { uid: 0, gid: 0, architecture: 'amd64', variant: undefined },
    environment: { HOME: folder(), TMPDIR: folder() },
    report: () => undefined,
    signal: new AbortController().signal,
    userAgent: 'test',
    findRepository: notAsked,
    openLocal: notAsked,
  };
  const access = { tlsVerify: false };
  return copyBetween(app, { source, destination, from: access, to: access, ...request });
}

/** The files of a `dir:`, by name. */
function filesOf(reference: string): Record<string, string> {
  const path = reference.slice('dir:'.length);
  const names = readdirSync(path).filter((name) => name !== 'version');
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(path, name), 'latin1')]));
}

interface Manifest {
  readonly mediaType: string;
  readonly config: { readonly digest: string };
  readonly layers: readonly { readonly mediaType: string; readonly digest: string }[];
}

const manifestOf = (reference: string): Manifest =>
  JSON.parse(skopeo('inspect', '--raw', reference).toString()) as Manifest;
const diffIdsOf = (reference: string): string[] => {
  const config = JSON.parse(skopeo('inspect', '--config', '--raw', reference).toString()) as {
    rootfs: { diff_ids: string[] };
  };
  return config.rootfs.diff_ids;
};

describe('a copy that changes nothing', () => {
  it.each([{ which: 'system' }, { which: 'all' }] as const)(
    'writes the files that skopeo writes ($which)',
    async ({ which }) => {
      const outcome = await copy(at('index'), dir('ours'), { which });
      skopeo('copy', ...(which === 'all' ? ['--all'] : []), at('index'), dir('theirs'));
      expect(filesOf(dir('ours'))).toEqual(filesOf(dir('theirs')));
      expect(outcome.digest).toBe(which === 'all' ? index.digest : images[0]?.digest);
    },
  );

  it('takes the image for another platform, and tells its digest in a file', async () => {
    const digestFile = join(folder(), 'digest');
    await copy(at('index'), dir('ours'), { platform: { architecture: 'arm64' }, digestFile });
    expect(readFileSync(digestFile, 'utf8')).toBe(images[1]?.digest);
    const nowhere = join(folder(), 'none/digest');
    await expect(copy(at('index'), dir('other'), { digestFile: nowhere })).rejects.toThrow(
      `The image is copied, but ${nowhere} cannot be written: there is no such file or folder`,
    );
    expect(skopeo('inspect', '--raw', dir('ours'))).toEqual(images[1]?.manifest);
  });

  it('pushes an index that skopeo finds whole', async () => {
    const outcome = await copy(`oci:${scratch}/layout:all`, at('pushed'), { which: 'all' });
    expect(outcome).toMatchObject({ digest: index.digest, manifests: 3, converted: 0 });
    skopeo('copy', '--all', '--preserve-digests', at('pushed'), dir('theirs'));
    expect(Object.keys(filesOf(dir('theirs')))).toHaveLength(8);
    expect(await copy(`oci:${scratch}/layout:all`, at('pushed'), { which: 'all' })).toMatchObject({
      copied: 0,
    });
  });
});

describe('a conversion', () => {
  it('to Docker’s format has the blobs that skopeo’s has', async () => {
    const outcome = await copy(at('index'), dir('ours'), { wishes: { format: 'v2s2' } });
    skopeo('copy', '--format', 'v2s2', at('index'), dir('theirs'));
    const [ours, theirs] = [manifestOf(dir('ours')), manifestOf(dir('theirs'))];
    expect(ours.mediaType).toBe(theirs.mediaType);
    expect(ours.config.digest).toBe(theirs.config.digest);
    expect(ours.layers[0]).toEqual(theirs.layers[0]);
    expect(outcome.sourceDigest).toBe(images[0]?.digest);
  });

  it('of a whole index can be read back by skopeo', async () => {
    await copy(at('index'), at('converted'), { which: 'all', wishes: { format: 'v2s2' } });
    skopeo('copy', '--all', '--preserve-digests', at('converted'), dir('theirs'));
    await copy(at('converted'), dir('back'), { wishes: { format: 'oci' } });
    expect(manifestOf(dir('back')).config.digest).toBe(images[0]?.configDigest);
    skopeo('copy', dir('back'), `oci:${folder()}/layout`);
  });

  it('is an error where digests are kept, and leaves nothing', async () => {
    const wishes = { format: 'v2s2', preserveDigests: true } as const;
    const failed = await failureOf(copy(at('index'), at('refused'), { wishes }));
    expect(failed.code).toBe('digest-changes');
    expect(() => skopeo('inspect', '--raw', at('refused'))).toThrow('manifest unknown');
  });
});

describe('layers', () => {
  it('are decompressed as skopeo does it', async () => {
    await copy(at('index'), dir('ours'), { wishes: { layers: 'none' } });
    skopeo('copy', '--dest-decompress', at('index'), dir('theirs'));
    expect(manifestOf(dir('ours')).layers).toEqual(manifestOf(dir('theirs')).layers);
    expect(manifestOf(dir('ours')).layers.map(({ digest }) => digest)).toEqual(images[0]?.diffIds);
  });

  it.each(['gzip', 'zstd'] as const)('that are compressed with %s unpack to the same', async (layers) => {
    const outcome = await copy(at('index'), at(layers), { wishes: { layers } });
    expect(outcome.converted).toBe(layers === 'gzip' ? 1 : 2);
    skopeo('copy', '--dest-decompress', at(layers), dir('theirs'));
    expect(manifestOf(dir('theirs')).layers.map(({ digest }) => digest)).toEqual(diffIdsOf(at('index')));
    expect(readdirSync(folder())).toEqual(['theirs']);
  });
});

describe('a place', () => {
  it('that is both source and destination is refused', async () => {
    for (const place of [at('index'), dir('x')]) {
      expect((await failureOf(copy(place, place))).code).toBe('usage');
    }
  });
});
