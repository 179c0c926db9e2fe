/** Images and indexes by chance, and what is asked of their copies: see copy-differential.test.ts. */
import { gzipSync } from 'node:zlib';
import * as fc from 'fast-check';
import type { CopyRequest } from '../../src/app/copy-image.ts';
import { DOCKER_LAYER, OCI_LAYER, type ManifestFormat } from '../../src/image/media-type.ts';
import type { Platform } from '../../src/image/platform.ts';
import {
  buildImage,
  buildIndex,
  compress,
  describe,
  type BuiltImage,
  type BuiltIndex,
  type ImageSpec,
  type LayerSpec,
} from '../fixtures/image-builder.ts';

export const SOURCES = ['dir', 'oci', 'oci-archive', 'docker-archive'] as const;
export const DESTINATIONS = ['dir', 'oci', 'oci-archive', 'docker', 'docker-archive'] as const;

export interface CopyCase {
  readonly image: BuiltImage | BuiltIndex;
  readonly from: (typeof SOURCES)[number];
  readonly to: (typeof DESTINATIONS)[number];
  readonly wishes: NonNullable<CopyRequest['wishes']>;
  readonly all: boolean;
  readonly platform: Partial<Platform>;
}

/** A stored layer: several members, several frames, or none of that. */
const anyLayer: fc.Arbitrary<(format: ManifestFormat) => LayerSpec> = fc
  .tuple(
    fc.nat(5),
    fc.constantFrom(
      'gzip',
      'gzip',
      'gzip',
      'none',
      'zstd',
      'members',
      'frames',
      'skippable',
      'empty',
      'void',
    ),
    fc.constantFrom(false, false, false, false, false, true),
  )
  .map(([number, kind, lies]) => (format) => {
    const entries = [{ path: `f${number}`, content: `${number}`.repeat(number * 700) }];
    // No tool has a name for zstd in Docker's format.
    const how = format === 'v2s2' && ['zstd', 'frames', 'skippable'].includes(kind) ? 'gzip' : kind;
    const type = (suffix: string): string =>
      format === 'oci' ? `${OCI_LAYER}${suffix && `+${suffix}`}` : `${DOCKER_LAYER}${suffix && `.${suffix}`}`;
    switch (how) {
      case 'members':
        return { entries, store: (tar) => inHalves(tar, (half) => gzipSync(half)) };
      case 'frames':
        return { entries, mediaType: type('zstd'), store: (tar) => inHalves(tar, toZstd) };
      case 'skippable':
        return { entries, mediaType: type('zstd'), store: (tar) => Buffer.concat([toZstd(tar), SKIPPED]) };
      case 'empty':
        return { entries: [] };
      case 'void':
        return { tar: Buffer.alloc(0), compression: 'none' };
      case 'none':
        return { entries, compression: 'none', ...(lies ? { mediaType: type('gzip') } : {}) };
      case 'zstd':
        return { entries, compression: 'zstd' };
      default:
        return { entries, ...(lies ? { mediaType: type('') } : {}) };
    }
  });

/** A frame that decompressors pass over: zstd_compression_format.md, "Skippable Frames". */
const SKIPPED = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 1, 2]);
const toZstd = (bytes: Buffer): Buffer => compress(bytes, 'zstd');

function inHalves(bytes: Buffer, store: (half: Buffer) => Buffer): Buffer {
  const half = bytes.length / 2;
  return Buffer.concat([store(bytes.subarray(0, half)), store(bytes.subarray(half))]);
}

const anyText = fc.constantFrom('', 'x', '<b> & "q"', 'ü\u2028', '日本', 'long'.repeat(5000));
const anyCreated = fc.constantFrom(
  '1970-01-01T00:00:00Z',
  '2021-05-06T07:08:09.12Z',
  '2021-05-06T07:08:09.123456789+02:00',
  '9999-12-31T23:59:59Z',
  undefined,
);

const anyConfig: fc.Arbitrary<Pick<ImageSpec, 'config' | 'configFields'>> = fc
  .record({
    labels: fc.option(fc.dictionary(fc.constantFrom('a', 'z.y', '10', '9', 'ü'), anyText), {
      nil: undefined,
    }),
    env: fc.option(fc.array(anyText.map((text) => `A=${text}`)), { nil: undefined }),
    created: anyCreated,
    history: fc.option(fc.array(fc.record({ created_by: anyText, empty_layer: fc.boolean() })), {
      nil: undefined,
    }),
    unknown: fc.constantFrom({}, {}, { moby: { x: [1, null] } }, { docker_version: '20.10' }),
  })
  .map(({ labels, env, created, history, unknown }) => ({
    config: { ...(labels && { Labels: labels }), ...(env && { Env: env }), Cmd: ['sh'] },
    configFields: { created, history, ...unknown },
  }));

const PLATFORMS: readonly Platform[] = [
  { os: 'linux', architecture: 'amd64' },
  { os: 'linux', architecture: 'arm64', variant: 'v8' },
  { os: 'linux', architecture: 'arm', variant: 'v6' },
  { os: 'linux', architecture: 'arm', variant: 'v7' },
  { os: 'windows', architecture: 'amd64' },
];

/** What may stand in an OCI manifest besides. */
const anyField = fc.constantFrom<object>({}, {}, { annotations: { a: '<v>' } }, { mediaType: undefined });

const imageOf = (format: ManifestFormat, platform: Platform): fc.Arbitrary<BuiltImage> =>
  fc
    .tuple(fc.array(anyLayer, { maxLength: 3 }), fc.boolean(), anyConfig, anyField)
    .map(([chosen, twice, config, fields]) => {
      const layers = chosen.map((layer) => layer(format));
      const repeated = twice ? layers.slice(0, 1) : [];
      const built = buildImage({ format, platform, layers: [...layers, ...repeated], ...config });
      return format === 'oci' ? withFields(built, fields) : built;
    });

/** An image whose manifest has other fields. */
function withFields(image: BuiltImage, fields: object): BuiltImage {
  const document = { ...(JSON.parse(image.manifest.toString()) as object), ...fields };
  const manifest = Buffer.from(JSON.stringify(document));
  const descriptor = { ...image.descriptor, ...describe(manifest, image.mediaType) };
  return { ...image, manifest, digest: descriptor.digest, descriptor };
}

const anyIndex = (format: ManifestFormat): fc.Arbitrary<BuiltIndex> =>
  fc
    .array(
      fc
        .tuple(fc.constantFrom(...PLATFORMS), fc.boolean())
        .chain(([platform, silent]) => imageOf(format, platform).map((image) => ({ image, silent }))),
      { minLength: 1, maxLength: 3 },
    )
    .map((entries) =>
      buildIndex(
        // A manifest list has to name platforms.
        entries.map(({ image, silent }) => (silent && format === 'oci' ? withoutPlatform(image) : image)),
        format,
      ),
    );

function withoutPlatform(image: BuiltImage): BuiltImage {
  const { platform: _, ...descriptor } = image.descriptor;
  return { ...image, descriptor };
}

const anyImage = fc
  .tuple(fc.constantFrom<ManifestFormat>('oci', 'v2s2'), fc.constantFrom(true, false, false))
  .chain(([format, isIndex]): fc.Arbitrary<BuiltImage | BuiltIndex> =>
    isIndex ? anyIndex(format) : imageOf(format, PLATFORMS[0] ?? { os: '', architecture: '' }),
  );

/**
 * Other destinations know one format, which skopeo does not always mind; and what stands in a manifest list for no
 * platform is the machine's own to skopeo.
 */
function canHave(format: ManifestFormat, to: CopyCase['to'], image: CopyCase['image']): boolean {
  const isSilent = image.kind === 'index' && image.images.some(({ descriptor }) => !descriptor.platform);
  return (to === 'dir' || to === 'docker') && !(format === 'v2s2' && isSilent);
}

export const anyCase: fc.Arbitrary<CopyCase> = fc
  .record({
    image: anyImage,
    from: fc.constantFrom(...SOURCES),
    to: fc.constantFrom(...DESTINATIONS),
    format: fc.constantFrom<(ManifestFormat | undefined)[]>(undefined, undefined, 'oci', 'v2s2'),
    layers: fc.constantFrom<('compressed' | 'none' | undefined)[]>(
      undefined,
      undefined,
      'compressed',
      'none',
    ),
    all: fc.boolean(),
    platform: fc.constantFrom<Partial<Platform>[]>({}, {}, { architecture: 'arm64' }, { os: 'windows' }),
  })
  .map(({ image, from, to, format, layers, all, platform }) => ({
    image,
    // The engine's archives hold images alone, with a layer or more.
    from: from === 'docker-archive' && !(image.kind === 'image' && image.layers.length > 0) ? 'dir' : from,
    to,
    wishes: {
      ...(format === undefined || !canHave(format, to, image) ? {} : { format }),
      // Elsewhere skopeo looks past it.
      ...(layers === undefined || to !== 'dir' ? {} : { layers }),
    },
    all: all && image.kind === 'index',
    platform: image.kind === 'index' ? platform : {},
  }));
