import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Descriptor } from '../../src/image/descriptor.ts';
import type { Digest } from '../../src/image/digest.ts';
import { editManifest } from '../../src/image/edit-manifest.ts';
import { parseManifest, type ImageManifest, type RawManifest } from '../../src/image/manifest.ts';
import * as types from '../../src/image/media-type.ts';
import { canonical, manifestOf, rawOf, readBack } from './documents.ts';

const digestOf = (hex: string): Digest => `sha256:${hex.repeat(64)}` as Digest;
const layer = (mediaType: string, more: object = {}): Descriptor => ({
  mediaType,
  digest: digestOf('1'),
  size: 5,
  ...more,
});
const manifestWith = (layers: readonly Descriptor[], more: object = {}): RawManifest =>
  rawOf({
    schemaVersion: 2,
    mediaType: types.OCI_MANIFEST,
    config: { mediaType: types.OCI_CONFIG, digest: digestOf('c'), size: 2 },
    layers,
    ...more,
  });
const parse = (raw: RawManifest): ImageManifest => parseManifest(raw, 'it') as ImageManifest;

describe('editManifest', () => {
  test.each(['oci', 'v2s2'] as const)('gives the very same bytes for nothing to change (%s)', (format) => {
    fc.assert(
      fc.property(manifestOf(format), fc.nat(3), (document, indent) => {
        const raw = { bytes: Buffer.from(JSON.stringify(document, undefined, indent)), mediaType: '' };
        const { layers, config } = parse(raw);
        expect(editManifest(raw, { format, layers, config }, 'it').bytes).toBe(raw.bytes);
        expect(editManifest(raw, {}, 'it').bytes).toBe(raw.bytes);
      }),
    );
  });

  test('keeps layers, config and all but media types from Docker’s format to OCI’s and back', () => {
    fc.assert(
      fc.property(manifestOf('v2s2'), (document) => {
        const oci = editManifest(rawOf(document), { format: 'oci' }, 'it');
        expect(oci.mediaType).toBe(types.OCI_MANIFEST);
        const { layers, config, mediaType } = parse(oci);
        const all = [mediaType, config.mediaType, ...layers.map((each) => each.mediaType)];
        expect(all.filter((type) => !type.startsWith('application/vnd.oci.image.'))).toEqual([]);
        expect(layers.map((each) => types.layerTypeOf(each.mediaType))).toEqual(
          parse(rawOf(document)).layers.map((each) => types.layerTypeOf(each.mediaType)),
        );
        expect(readBack(editManifest(oci, { format: 'v2s2' }, 'it'))).toEqual(document);
      }),
    );
  });

  test('writes what can be read again, with the same blobs', () => {
    const formats = fc.constantFrom<types.ManifestFormat[]>('oci', 'v2s2');
    fc.assert(
      fc.property(fc.oneof(manifestOf('oci'), manifestOf('v2s2')), formats, (document, format) => {
        const before = parse(rawOf(document));
        const hasZstd = before.layers.some(
          ({ mediaType }) => types.layerTypeOf(mediaType)?.compression === 'zstd',
        );
        fc.pre(!hasZstd || format === 'oci');
        const after = parse(editManifest(rawOf(document), { format }, 'it'));
        expect(types.formatOf(after.mediaType)).toBe(format);
        expect(after.config.digest).toBe(before.config.digest);
        expect(after.layers.map(({ digest, size, urls }) => ({ digest, size, urls }))).toEqual(
          before.layers.map(({ digest, size, urls }) => ({ digest, size, urls })),
        );
      }),
    );
  });

  test('replaces what it is given, and carries the rest through', () => {
    fc.assert(
      fc.property(manifestOf('oci'), fc.nat(3), (document, at) => {
        const raw = rawOf(document);
        const layers = [...parse(raw).layers];
        const old = layers[at];
        if (old === undefined) return;
        layers[at] = {
          ...old,
          digest: digestOf('f'),
          size: 77,
          mediaType: types.layerMediaType('v2s2', 'gzip'),
        };
        const edited = readBack(editManifest(raw, { layers }, 'it'));
        const { urls: _, ...kept } = (document['layers'] as Record<string, unknown>[])[at] ?? {};
        const expected = [...(document['layers'] as unknown[])];
        expected[at] = {
          ...kept,
          digest: digestOf('f'),
          size: 77,
          mediaType: types.layerMediaType('oci', 'gzip'),
        };
        // toEqual looks past an own __proto__; JSON does not.
        expect(canonical(edited)).toBe(canonical({ ...document, layers: expected }));
      }),
    );
  });

  test('loses what schema 2 has no place for, and nothing else', () => {
    const raw = manifestWith([layer(types.layerMediaType('oci', 'gzip'), { annotations: { a: 'b' } })], {
      annotations: { c: 'd' },
      subject: layer(types.OCI_MANIFEST),
      artifactType: 'x/y',
      future: 1,
    });
    expect(Buffer.from(editManifest(raw, { format: 'v2s2' }, 'it').bytes).toString()).toBe(
      `{"schemaVersion":2,"mediaType":"${types.DOCKER_MANIFEST}",` +
        `"config":{"mediaType":"${types.DOCKER_CONFIG}","size":2,"digest":"${digestOf('c')}"},` +
        `"layers":[{"mediaType":"${types.DOCKER_LAYER}.gzip","size":5,"digest":"${digestOf('1')}"}]}`,
    );
  });

  test('drops what told of the bytes that are replaced', () => {
    const chunked = layer(types.layerMediaType('oci', 'zstd'), {
      data: 'eA==',
      urls: ['https://x'],
      annotations: {
        'io.github.containers.zstd-chunked.manifest-checksum': 'sha256:x',
        'io.github.containers.zstd-chunked.manifest-position': '1:2:3:4',
        'containerd.io/snapshot/stargz/toc.digest': 'sha256:y',
        kept: 'yes',
      },
    });
    const raw = manifestWith([chunked]);
    const gzip = { ...chunked, digest: digestOf('2'), mediaType: types.layerMediaType('oci', 'gzip') };
    expect(readBack(editManifest(raw, { layers: [gzip] }, 'it'))['layers']).toEqual([
      {
        mediaType: `${types.OCI_LAYER}+gzip`,
        digest: digestOf('2'),
        size: 5,
        annotations: { kept: 'yes' },
      },
    ]);
    // The same bytes under another name are what they were.
    const renamed = { ...chunked, mediaType: types.layerMediaType('oci', 'gzip') };
    expect(readBack(editManifest(raw, { layers: [renamed] }, 'it'))['layers']).toEqual([renamed]);
  });

  test.each([
    ['a zstd layer', manifestWith([layer(types.layerMediaType('oci', 'zstd'))]), /layer 1 .*zstd/],
    ['a layer of no known type', manifestWith([layer('application/wasm')]), /layer 1 .*"application\/wasm"/],
    [
      'an artifact',
      manifestWith([], { config: layer('application/vnd.oci.empty.v1+json') }),
      /config of the type "application\/vnd.oci.empty/,
    ],
  ])('refuses %s in Docker’s format', (_, raw, message) => {
    const convert = (): unknown => editManifest(raw, { format: 'v2s2' }, 'it');
    expect(convert).toThrow(message);
    expect(convert).toThrow(expect.objectContaining({ code: 'unsupported', hint: expect.any(String) }));
  });

  test.each(['application/octet-stream', 'application/json', 'text/html', ''])(
    'knows the config of an image in Docker’s format by the odd type %j',
    (mediaType) => {
      const config = { ...layer(mediaType), size: 2 };
      const raw = manifestWith([], { mediaType: types.DOCKER_MANIFEST, config });
      expect(parse(editManifest(raw, { format: 'oci' }, 'it')).config).toEqual({
        ...config,
        mediaType: types.OCI_CONFIG,
      });
    },
  );

  test('carries an artifact through', () => {
    const raw = manifestWith([layer('application/vnd.example+type')], {
      config: layer('application/vnd.oci.empty.v1+json', { data: 'e30=' }),
      artifactType: 'application/vnd.example',
      subject: layer(types.OCI_MANIFEST),
    });
    const { layers } = parse(raw);
    const moved = layers.map((each) => ({ ...each, size: 6 }));
    const document = readBack(raw);
    expect(readBack(editManifest(raw, { layers: moved }, 'it'))).toEqual({ ...document, layers: moved });
  });

  test('takes a list of layers that Go left out', () => {
    const raw = manifestWith([], { layers: null });
    expect(parse(raw).layers).toEqual([]);
    expect(readBack(editManifest(raw, { format: 'v2s2' }, 'it'))['layers']).toEqual([]);
  });

  test('refuses another number of layers, and an index', () => {
    expect(() => editManifest(manifestWith([]), { layers: [layer('x')] }, 'it')).toThrow(
      '1 layers for the 0',
    );
    const index = rawOf({ schemaVersion: 2, mediaType: types.OCI_INDEX, manifests: [] });
    expect(() => editManifest(index, {}, 'it')).toThrow('it is an index');
  });
});
