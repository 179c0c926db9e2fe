/** Manifests and indexes as foreign tools might write them, for properties. */
import * as fc from 'fast-check';
import { digestFromHex, type Digest } from '../../src/image/digest.ts';
import type { RawManifest } from '../../src/image/manifest.ts';
import * as types from '../../src/image/media-type.ts';

export const digest: fc.Arbitrary<Digest> = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes) => digestFromHex('sha256', Buffer.from(bytes).toString('hex')));

/** What no specification knows, and what JavaScript objects know too well. */
const unknownFields = fc.dictionary(
  fc.constantFrom('x', 'x-y', '__proto__', 'constructor', 'toString', '0', ''),
  fc.constantFrom<unknown[]>(1.5, 'text <&>', false, [], [null, { __proto__: null, x: [] }], {
    y: { z: '' },
  }),
  { maxKeys: 3 },
);

const annotations = fc.dictionary(fc.constantFrom('a', 'org.example.b', '__proto__', '<&>'), fc.string());

const optional = <T>(name: string, value: fc.Arbitrary<T>): fc.Arbitrary<object> =>
  fc.option(value, { nil: undefined }).map((it) => (it === undefined ? {} : { [name]: it }));

const merged = (...parts: fc.Arbitrary<object>[]): fc.Arbitrary<Record<string, unknown>> =>
  fc.tuple(...parts).map((all) => {
    const entries = all.flatMap((part) => Object.entries(part));
    return Object.fromEntries(entries);
  });

const base = (mediaType: fc.Arbitrary<string>): fc.Arbitrary<Record<string, unknown>> =>
  fc.record({ mediaType, digest, size: fc.nat() });

const layerType = (format: types.ManifestFormat): fc.Arbitrary<string> =>
  fc
    .tuple(
      fc.constantFrom<types.Compression[]>('none', 'gzip', ...(format === 'oci' ? (['zstd'] as const) : [])),
      fc.boolean(),
    )
    .map(([compression, foreign]) => types.layerMediaType(format, compression, foreign));

/** An image's manifest that is valid in its format, as parsed JSON. */
export function manifestOf(format: types.ManifestFormat): fc.Arbitrary<Record<string, unknown>> {
  const extras = format === 'oci' ? [optional('annotations', annotations), unknownFields] : [];
  const urls = optional('urls', fc.subarray(['https://example.org/a?b=c&d=<e>', 'http://example.org']));
  const descriptorOf = (type: fc.Arbitrary<string>): fc.Arbitrary<Record<string, unknown>> =>
    merged(...extras, base(type), urls);
  return merged(
    ...extras,
    ...(format === 'oci' ? [optional('subject', base(fc.constant(types.OCI_MANIFEST)))] : []),
    fc.record({
      schemaVersion: fc.constant(2),
      mediaType: fc.constant(format === 'oci' ? types.OCI_MANIFEST : types.DOCKER_MANIFEST),
      config: descriptorOf(fc.constant(format === 'oci' ? types.OCI_CONFIG : types.DOCKER_CONFIG)),
      layers: fc.array(descriptorOf(layerType(format)), { maxLength: 4 }),
    }),
  );
}

/** An index or a manifest list, as parsed JSON. */
export function indexOf(format: types.ManifestFormat): fc.Arbitrary<Record<string, unknown>> {
  const platform = merged(
    unknownFields,
    fc.record({ os: fc.constantFrom('linux', 'unknown'), architecture: fc.constantFrom('amd64', 'arm') }),
  );
  const entry = merged(
    ...(format === 'oci' ? [optional('annotations', annotations), unknownFields] : []),
    base(fc.constant(format === 'oci' ? types.OCI_MANIFEST : types.DOCKER_MANIFEST)),
    format === 'oci' ? optional('platform', platform) : platform.map((it) => ({ platform: it })),
  );
  return merged(
    ...(format === 'oci' ? [optional('annotations', annotations), unknownFields] : []),
    fc.record({
      schemaVersion: fc.constant(2),
      mediaType: fc.constant(format === 'oci' ? types.OCI_INDEX : types.DOCKER_LIST),
      manifests: fc.array(entry, { maxLength: 4 }),
    }),
  );
}

export function rawOf(document: unknown): RawManifest {
  return { bytes: Buffer.from(JSON.stringify(document)), mediaType: '' };
}

export function readBack({ bytes }: RawManifest): Record<string, unknown> {
  return JSON.parse(Buffer.from(bytes).toString()) as Record<string, unknown>;
}

/** JSON with sorted keys. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const fields = Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`);
  return `{${fields.sort().join()}}`;
}
