import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Descriptor } from '../../src/image/descriptor.ts';
import type { Digest } from '../../src/image/digest.ts';
import { editIndex } from '../../src/image/edit-index.ts';
import { parseManifest, type ImageIndex, type RawManifest } from '../../src/image/manifest.ts';
import * as types from '../../src/image/media-type.ts';
import { canonical, indexOf, rawOf, readBack } from './documents.ts';

const digestOf = (hex: string): Digest => `sha256:${hex.repeat(64)}` as Digest;
const parse = (raw: RawManifest): ImageIndex => parseManifest(raw, 'it') as ImageIndex;
const indexWith = (manifests: readonly object[], more: object = {}): RawManifest =>
  rawOf({ schemaVersion: 2, mediaType: types.OCI_INDEX, manifests, ...more });
const entry = (hex: string, more: object = {}): Descriptor => ({
  mediaType: types.OCI_MANIFEST,
  digest: digestOf(hex),
  size: 5,
  ...more,
});

describe('editIndex', () => {
  test.each(['oci', 'v2s2'] as const)('gives the very same bytes for nothing to change (%s)', (format) => {
    fc.assert(
      fc.property(indexOf(format), fc.nat(3), (document, indent) => {
        const raw = { bytes: Buffer.from(JSON.stringify(document, undefined, indent)), mediaType: '' };
        const replaced = new Map(parse(raw).manifests.map((each) => [each.digest, each]));
        expect(editIndex(raw, { format, replaced }, 'it').bytes).toBe(raw.bytes);
        expect(editIndex(raw, {}, 'it').bytes).toBe(raw.bytes);
      }),
    );
  });

  test('replaces an entry where it stands, and carries the rest through', () => {
    fc.assert(
      fc.property(indexOf('oci'), fc.nat(3), (document, at) => {
        const raw = rawOf(document);
        const old = parse(raw).manifests[at];
        if (old === undefined) return;
        const to = { mediaType: types.DOCKER_MANIFEST, digest: digestOf('f'), size: 7 };
        const expected = (document['manifests'] as Record<string, unknown>[]).map((each) =>
          each['digest'] === old.digest ? { ...each, ...to } : each,
        );
        const edited = editIndex(raw, { replaced: new Map([[old.digest, to]]) }, 'it');
        expect(canonical(readBack(edited))).toBe(canonical({ ...document, manifests: expected }));
      }),
    );
  });

  test('makes an index of a manifest list and the list of that again', () => {
    fc.assert(
      fc.property(indexOf('v2s2'), (document) => {
        const oci = editIndex(rawOf(document), { format: 'oci' }, 'it');
        expect(parse(oci).mediaType).toBe(types.OCI_INDEX);
        const back = editIndex(oci, { format: 'v2s2' }, 'it');
        expect(canonical(readBack(back))).toBe(canonical(document));
      }),
    );
  });

  test('loses what a manifest list has no place for, and names no platform where there is none', () => {
    const raw = indexWith(
      [
        entry('1', { platform: { os: 'linux', architecture: 'arm', variant: 'v7', 'os.features': ['x'] } }),
        entry('2', { annotations: { a: 'b' }, artifactType: 'x/y' }),
      ],
      { annotations: { c: 'd' } },
    );
    expect(readBack(editIndex(raw, { format: 'v2s2' }, 'it'))).toEqual({
      schemaVersion: 2,
      mediaType: types.DOCKER_LIST,
      manifests: [
        entry('1', { platform: { os: 'linux', architecture: 'arm', variant: 'v7', 'os.features': ['x'] } }),
        entry('2', { platform: { os: 'unknown', architecture: 'unknown' } }),
      ],
    });
  });

  test('lets an attestation name the image that replaced its own', () => {
    const about = (hex: string): object => ({
      annotations: {
        'vnd.docker.reference.type': 'attestation-manifest',
        'vnd.docker.reference.digest': digestOf(hex),
      },
      platform: { os: 'unknown', architecture: 'unknown' },
    });
    const raw = indexWith([entry('1'), entry('2'), entry('a', about('1')), entry('b', about('2'))]);
    const edited = editIndex(raw, { replaced: new Map([[digestOf('1'), entry('3')]]) }, 'it');
    expect(readBack(edited)['manifests']).toEqual([
      entry('3'),
      entry('2'),
      entry('a', about('3')),
      entry('b', about('2')),
    ]);
  });

  test('does not call other bytes zstd, nor give them the old ones’ place', () => {
    const old = entry('1', {
      annotations: { 'io.github.containers.compression.zstd': 'true', a: 'b' },
      data: 'e30=',
      urls: ['https://x'],
    });
    const edited = editIndex(indexWith([old]), { replaced: new Map([[old.digest, entry('2')]]) }, 'it');
    expect(readBack(edited)['manifests']).toEqual([entry('2', { annotations: { a: 'b' } })]);
  });

  test('is not given a manifest', () => {
    const manifest = rawOf({ schemaVersion: 2, config: entry('1'), layers: [] });
    expect(() => editIndex(manifest, {}, 'it')).toThrow('it is a manifest');
  });
});
