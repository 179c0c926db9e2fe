import { describe, expect, test } from 'vitest';
import {
  planInstance,
  type CopyWishes,
  type Instance,
  type LayerWish,
} from '../../src/copy/plan-instance.ts';
import type { Descriptor } from '../../src/image/descriptor.ts';
import {
  DOCKER_CONFIG,
  DOCKER_MANIFEST,
  OCI_CONFIG,
  OCI_INDEX,
  OCI_MANIFEST,
  layerMediaType,
  type Compression,
  type ManifestFormat,
} from '../../src/image/media-type.ts';
import type { DestinationTraits } from '../../src/transport/transport.ts';
import { describe as describeBytes, sha256 } from '../fixtures/image-builder.ts';

const KEPT: DestinationTraits = {
  manifestTypes: undefined,
  layers: 'kept',
  foreignLayers: false,
  signatures: true,
  parallel: true,
};
const DIR = KEPT;
const REGISTRY: DestinationTraits = { ...KEPT, layers: 'compressed', foreignLayers: true, signatures: false };
const LAYOUT: DestinationTraits = { ...REGISTRY, manifestTypes: [OCI_MANIFEST, OCI_INDEX] };
const DAEMON: DestinationTraits = {
  ...KEPT,
  layers: 'plain',
  manifestTypes: [DOCKER_MANIFEST],
  parallel: false,
};
const STORE: DestinationTraits = { ...KEPT, manifestTypes: [DOCKER_MANIFEST, OCI_MANIFEST] };

/** An image of one layer for each compression, as its media types say it. */
function image(
  format: ManifestFormat,
  compressions: readonly Compression[],
  more: Partial<Instance> & { readonly configType?: string } = {},
): Instance {
  const { configType = format === 'oci' ? OCI_CONFIG : DOCKER_CONFIG, ...fields } = more;
  const layers = compressions.map((compression, i) =>
    describeBytes(Buffer.from(`layer ${i}`), layerMediaType(format, compression)),
  );
  const manifest = {
    kind: 'manifest' as const,
    mediaType: format === 'oci' ? OCI_MANIFEST : DOCKER_MANIFEST,
    config: describeBytes(Buffer.from('{}'), configType),
    layers,
    annotations: {},
  };
  return { name: 'x', manifest, layers, isMade: false, isSigned: false, isSchema1: false, ...fields };
}

const isMade = true;
const isSigned = true;
const preserveDigests = true;
const elsewhere = (layer: Descriptor): Descriptor => ({ ...layer, urls: ['https://example.org/layer'] });

describe('planInstance', () => {
  test.each<[string, Instance, CopyWishes, DestinationTraits, ManifestFormat, LayerWish[]]>([
    ['OCI to dir:', image('oci', ['gzip', 'none', 'zstd']), {}, DIR, 'oci', ['stored', 'stored', 'stored']],
    ['Docker to dir:', image('v2s2', ['gzip']), {}, DIR, 'v2s2', ['stored']],
    ['plain layers to a registry', image('oci', ['none']), {}, REGISTRY, 'oci', ['stored']],
    [
      'made plain layers to a registry',
      image('v2s2', ['none'], { isMade }),
      {},
      REGISTRY,
      'v2s2',
      ['compressed'],
    ],
    [
      'made plain layers whose digests are kept',
      image('v2s2', ['none'], { isMade }),
      { preserveDigests },
      REGISTRY,
      'v2s2',
      ['stored'],
    ],
    ['made plain layers to dir:', image('v2s2', ['none'], { isMade }), {}, DIR, 'v2s2', ['stored']],
    ['Docker to a layout', image('v2s2', ['gzip']), {}, LAYOUT, 'oci', ['stored']],
    ['OCI to a layout', image('oci', ['gzip']), {}, LAYOUT, 'oci', ['stored']],
    [
      'OCI to the daemon',
      image('oci', ['gzip', 'zstd', 'none']),
      {},
      DAEMON,
      'v2s2',
      ['none', 'none', 'none'],
    ],
    [
      'OCI to the store, which prefers Docker’s but takes both',
      image('oci', ['gzip']),
      {},
      STORE,
      'oci',
      ['stored'],
    ],
    ['--format v2s2', image('oci', ['gzip']), { format: 'v2s2' }, DIR, 'v2s2', ['stored']],
    ['--format of its own', image('oci', ['zstd']), { format: 'oci' }, DIR, 'oci', ['stored']],
    [
      '--dest-compress',
      image('oci', ['gzip', 'none']),
      { layers: 'compressed' },
      DIR,
      'oci',
      ['compressed', 'compressed'],
    ],
    ['--dest-compress-format gzip', image('oci', ['zstd']), { layers: 'gzip' }, DIR, 'oci', ['gzip']],
    ['--dest-decompress', image('oci', ['zstd']), { layers: 'none' }, LAYOUT, 'oci', ['none']],
    [
      'zstd in Docker’s format, which becomes OCI',
      image('v2s2', ['gzip']),
      { layers: 'zstd' },
      REGISTRY,
      'oci',
      ['zstd'],
    ],
    ['zstd that stands in Docker’s format already', image('v2s2', ['zstd']), {}, DIR, 'v2s2', ['stored']],
    [
      'zstd that is recompressed for Docker’s format',
      image('oci', ['zstd']),
      { format: 'v2s2', layers: 'gzip' },
      DIR,
      'v2s2',
      ['gzip'],
    ],
    [
      'the daemon, whatever was wished',
      image('v2s2', ['gzip']),
      { layers: 'gzip' },
      DAEMON,
      'v2s2',
      ['none'],
    ],
    [
      'an artifact',
      image('oci', ['none'], { configType: 'application/x' }),
      { layers: 'gzip' },
      REGISTRY,
      'oci',
      ['stored'],
    ],
    [
      'an image whose config Docker gave an odd type',
      image('v2s2', ['gzip'], { configType: 'application/octet-stream' }),
      {},
      LAYOUT,
      'oci',
      ['stored'],
    ],
    [
      'digests kept where nothing changes',
      image('oci', ['gzip']),
      { preserveDigests },
      LAYOUT,
      'oci',
      ['stored'],
    ],
    [
      'a signed image where nothing changes',
      image('v2s2', ['gzip'], { isSigned }),
      {},
      DIR,
      'v2s2',
      ['stored'],
    ],
  ])('%s', (_name, instance, wishes, traits, format, layers) => {
    const plan = planInstance(instance, wishes, traits);
    expect(plan.format).toBe(format);
    expect(plan.layers.map(({ wish }) => wish)).toEqual(layers);
    expect(plan.layers.map(({ descriptor }) => descriptor)).toEqual(instance.layers);
  });

  test.each<[string, Instance, CopyWishes, DestinationTraits, string, RegExp]>([
    [
      'zstd in Docker’s format',
      image('oci', ['gzip', 'zstd']),
      { format: 'v2s2' },
      DIR,
      'unsupported',
      /^Layer 2 of 2 of x/,
    ],
    [
      'zstd asked for in Docker’s format',
      image('v2s2', ['gzip']),
      { format: 'v2s2', layers: 'zstd' },
      DIR,
      'unsupported',
      /zstd/,
    ],
    [
      'a format that is not taken',
      image('oci', ['gzip']),
      { format: 'v2s2' },
      LAYOUT,
      'unsupported',
      /does not take/,
    ],
    [
      'an artifact in another format',
      image('oci', [], { configType: 'x/y' }),
      { format: 'v2s2' },
      DIR,
      'unsupported',
      /no container image/,
    ],
    [
      'an artifact for the daemon',
      image('oci', ['none'], { configType: 'x/y' }),
      {},
      DAEMON,
      'unsupported',
      /no container image/,
    ],
    [
      'digests kept, a format asked for',
      image('oci', ['gzip']),
      { preserveDigests, format: 'v2s2' },
      DIR,
      'digest-changes',
      /converted to Docker/,
    ],
    [
      'digests kept, a destination of the other format',
      image('v2s2', ['gzip']),
      { preserveDigests },
      LAYOUT,
      'digest-changes',
      /converted to OCI/,
    ],
    [
      'a signed image for the other format',
      image('v2s2', ['gzip'], { isSigned }),
      {},
      LAYOUT,
      'digest-changes',
      /signatures are void/,
    ],
    [
      'digests kept of schema 1',
      image('v2s2', ['gzip'], { isSchema1: true }),
      { preserveDigests },
      DIR,
      'digest-changes',
      /schema 1/,
    ],
    [
      'digests kept, with layers of which the source has other bytes',
      image('v2s2', ['gzip'], {
        layers: [{ mediaType: layerMediaType('v2s2', 'none'), digest: sha256(Buffer.from('t')), size: 1 }],
      }),
      { preserveDigests },
      DIR,
      'digest-changes',
      /other bytes of its layers/,
    ],
  ])('refuses %s', (_name, instance, wishes, traits, code, sentence) => {
    const plan = (): unknown => planInstance(instance, wishes, traits);
    expect(plan).toThrow(expect.objectContaining({ code, message: expect.stringMatching(sentence) }));
  });

  test('leaves a foreign layer where it is, if the destination allows that', () => {
    const base = image('v2s2', ['gzip', 'gzip']);
    const layers = base.layers.map((layer, i) => (i === 0 ? elsewhere(layer) : layer));
    const foreign = { ...base, layers, manifest: { ...base.manifest, layers } };
    const leftBy = (traits: DestinationTraits): boolean[] =>
      planInstance(foreign, {}, traits).layers.map(({ isLeft }) => isLeft);
    expect(leftBy(REGISTRY)).toEqual([true, false]);
    expect(leftBy(DIR)).toEqual([false, false]);
    expect(leftBy(DAEMON)).toEqual([false, false]);
  });

  test('has another format to offer where nothing forbids it', () => {
    const other = (instance: Instance, wishes: CopyWishes = {}, traits = REGISTRY): unknown =>
      planInstance(instance, wishes, traits).otherFormat;
    expect(other(image('oci', ['gzip']))).toBe('v2s2');
    expect(other(image('v2s2', ['gzip']))).toBe('oci');
    expect(other(image('oci', ['zstd']))).toBeUndefined();
    expect(other(image('oci', ['gzip']), { format: 'oci' })).toBeUndefined();
    expect(other(image('oci', ['gzip']), { preserveDigests })).toBeUndefined();
    expect(other(image('oci', ['gzip']), {}, LAYOUT)).toBeUndefined();
    expect(other(image('oci', ['gzip'], { configType: 'x/y' }))).toBeUndefined();
  });
});
