import { describe, expect, test } from 'vitest';
import type { Descriptor } from '../../src/image/descriptor.ts';
import type { Digest } from '../../src/image/digest.ts';
import { OCI_MANIFEST } from '../../src/image/media-type.ts';
import { choosePlatform, platformsOf, type Platform } from '../../src/image/platform.ts';

const AMD64: Platform = { os: 'linux', architecture: 'amd64' };

let count = 0;
function entry(platform: Platform | undefined, more: Partial<Descriptor> = {}): Descriptor {
  const digest = `sha256:${String(count++).padStart(64, '0')}` as Digest;
  return { mediaType: OCI_MANIFEST, digest, size: 1, ...(platform && { platform }), ...more };
}

const variant = (architecture: string, name?: string): Platform => ({
  os: 'linux',
  architecture,
  ...(name === undefined ? {} : { variant: name }),
});

describe('choosePlatform', () => {
  test.each([
    // Wanted, what there is, what is chosen of it.
    ['amd64', undefined, [undefined], undefined],
    ['amd64', undefined, ['v2'], null],
    ['amd64', 'v3', [undefined, 'v3'], 'v3'],
    ['amd64', 'v3', ['v2', undefined], undefined],
    ['arm64', undefined, [undefined, 'v8'], 'v8'],
    ['arm64', 'v9', ['v8', 'v9'], 'v9'],
    ['arm64', 'v9', [undefined, 'v8'], 'v8'],
    ['arm', undefined, ['v5', 'v6', 'v7', 'v8'], 'v7'],
    ['arm', 'v8', ['v5', 'v7'], 'v7'],
    ['arm', 'v6', ['v7', 'v5'], 'v5'],
    ['arm', 'v6', ['v7', undefined], undefined],
    ['arm', 'v6', ['v7'], null],
    ['arm', 'v999999999', ['v7'], null],
  ] as const)('for %s %s among %j', (architecture, wanted, there, chosen) => {
    const entries = there.map((name) => entry(variant(architecture, name)));
    const found = choosePlatform(entries, variant(architecture, wanted));
    expect(found === undefined ? null : found.platform?.variant).toBe(chosen);
  });

  test('takes the first of those that fit alike, whatever their os.version and os.features', () => {
    const features = { ...AMD64, 'os.version': '1', 'os.features': ['x'] };
    const [first, second] = [entry(features), entry(AMD64)];
    expect(choosePlatform([first, second], AMD64)).toBe(first);
  });

  test('takes gzip where the same image is there in zstd as well, and zstd where it is not', () => {
    const zstd = entry(AMD64, { annotations: { 'io.github.containers.compression.zstd': 'true' } });
    const gzip = entry(AMD64);
    expect(choosePlatform([zstd, gzip], AMD64)).toBe(gzip);
    expect(choosePlatform([zstd], AMD64)).toBe(zstd);
    // Not at the price of another variant.
    const better = { ...zstd, platform: variant('arm', 'v7') };
    expect(choosePlatform([entry(variant('arm', 'v6')), better], variant('arm', 'v7'))).toBe(better);
  });

  test('never takes an attestation, another thing than an image, or what is for no platform', () => {
    const unknown = { os: 'unknown', architecture: 'unknown' };
    const others = [
      entry(undefined, { annotations: { 'vnd.docker.reference.type': 'attestation-manifest' } }),
      entry(undefined, { mediaType: 'application/vnd.example+json' }),
      entry(undefined, { artifactType: 'application/vnd.example' }),
      entry({ os: '', architecture: '' }),
      entry(unknown),
      entry(AMD64, { annotations: { 'vnd.docker.reference.type': 'attestation-manifest' } }),
      entry(AMD64, { mediaType: 'application/vnd.example+json' }),
      entry({ os: 'windows', architecture: 'amd64' }),
    ];
    expect(choosePlatform(others, AMD64)).toBeUndefined();
    expect(choosePlatform(others, unknown)).toBeUndefined();
    expect(choosePlatform(others, { os: '', architecture: '' })).toBeUndefined();
    expect(platformsOf([...others, entry(AMD64)])).toEqual([{ os: 'windows', architecture: 'amd64' }, AMD64]);
  });

  test('takes the first that does not say what it is for, where no other one fits', () => {
    const [first, second] = [entry(undefined), entry(undefined)];
    expect(choosePlatform([entry(variant('arm64')), first, second], AMD64)).toBe(first);
    const fitting = entry(AMD64);
    expect(choosePlatform([first, fitting], AMD64)).toBe(fitting);
    expect(platformsOf([first, fitting])).toEqual([AMD64]);
  });

  test('takes an entry that does not say what it is', () => {
    const silent = entry(AMD64, { mediaType: '' });
    expect(choosePlatform([silent], AMD64)).toBe(silent);
  });
});
