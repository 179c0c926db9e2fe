import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isAtomicError } from '../../src/errors.ts';
import { editIndex } from '../../src/image/edit-index.ts';
import { editManifest } from '../../src/image/edit-manifest.ts';
import { parseManifest } from '../../src/image/manifest.ts';
import * as types from '../../src/image/media-type.ts';
import { digestedBytes, parseSchema1 } from '../../src/image/schema1.ts';
import { indexOf, manifestOf } from './documents.ts';

const DIGEST = `sha256:${'1'.repeat(64)}`;
const layer = `{"mediaType":"${types.OCI_LAYER}","digest":"${DIGEST}","size":1}`;
const config = `{"mediaType":"${types.OCI_CONFIG}","digest":"${DIGEST}","size":2}`;

/** What every reader and writer of foreign documents throws that is no short error of ours. */
function foreignFailures(text: string): unknown[] {
  const raw = { bytes: Buffer.from(text), mediaType: '' };
  const attempts = [
    () => digestedBytes(raw.bytes, 'it'),
    () => parseSchema1(raw.bytes, 'it'),
    () => editManifest(raw, { format: 'oci' }, 'it'),
    () => editManifest(raw, { format: 'v2s2' }, 'it'),
    () => editIndex(raw, { format: 'oci' }, 'it'),
    () => editIndex(raw, { format: 'v2s2' }, 'it'),
    () => parseManifest(raw, 'it'),
  ];
  return attempts.flatMap((attempt) => {
    try {
      attempt();
      return [];
    } catch (error) {
      return isAtomicError(error) && error.message.length < 1000 ? [] : [error];
    }
  });
}

const parse = (text: string): unknown => parseManifest({ bytes: Buffer.from(text), mediaType: '' }, 'it');
const codeOf = (text: string): string => {
  try {
    parse(text);
    return 'none';
  } catch (error) {
    return isAtomicError(error) ? error.code : String(error);
  }
};

describe('parseManifest', () => {
  test('takes an artifact of unknown types', () => {
    const empty = config.replace(types.OCI_CONFIG, 'application/vnd.oci.empty.v1+json');
    const artifact = `{"schemaVersion":2,"mediaType":"${types.OCI_MANIFEST}","artifactType":"a/b","config":${empty},"layers":[${layer.replace(types.OCI_LAYER, 'text/plain')}]}`;
    expect(parse(artifact)).toMatchObject({ kind: 'manifest', layers: [{ mediaType: 'text/plain' }] });
  });

  test.each([
    ['numbers as strings', `{"schemaVersion":"2","config":${config},"layers":[]}`],
    [
      'a size as a string',
      `{"schemaVersion":2,"config":${config},"layers":[${layer.replace('1}', '"1"}')}]}`,
    ],
    ['a size below zero', `{"schemaVersion":2,"config":${config},"layers":[${layer.replace('1}', '-1}')}]}`],
    [
      'a size beyond what is exact',
      `{"schemaVersion":2,"config":${config},"layers":[${layer.replace('1}', '1e300}')}]}`,
    ],
    ['a manifest that is an index', `{"schemaVersion":2,"config":${config},"layers":[],"manifests":[]}`],
    ['a second spelling of layers', `{"schemaVersion":2,"config":${config},"layers":[],"Layers":[${layer}]}`],
    [
      'a spelling with a long s',
      `{"schemaVersion":2,"config":${config},"layers":[],"layer\u017f":[${layer}]}`,
    ],
    [
      'a second spelling of a digest',
      `{"schemaVersion":2,"config":${config},"layers":[${layer.replace('{', `{"DIGEST":"${DIGEST}",`)}]}`,
    ],
    ['two lists of layers', `{"schemaVersion":2,"config":${config},"layers":[${layer}],"layers":[${layer}]}`],
    [
      'a platform in two parts, which Go puts together',
      `{"schemaVersion":2,"manifests":[${layer.replace('{', '{"platform":{"os":"linux","architecture":"arm64"},"platform":{"os":"linux"},')}]}`,
    ],
    ['a byte order mark', `\ufeff{"schemaVersion":2,"config":${config},"layers":[]}`],
    ['nothing', ''],
    ['null', 'null'],
    ['a list', '[]'],
    ['what is cut off', `{"schemaVersion":2,"config":${config},"layers":[]`],
  ])('refuses %s', (_, text) => {
    expect(codeOf(text)).toBe('manifest-invalid');
  });

  test('refuses bytes that are no UTF-8', () => {
    const bytes = Buffer.from(`{"schemaVersion":2,"x":"\xff","config":${config},"layers":[]}`, 'latin1');
    expect(() => parseManifest({ bytes, mediaType: '' }, 'it')).toThrow('it is not valid JSON');
  });

  test('reads nothing from a prototype', () => {
    const inside = `{"schemaVersion":2,"__proto__":{"config":${config},"layers":[]}}`;
    expect(codeOf(inside)).toBe('manifest-invalid');
    expect(codeOf(`{"schemaVersion":2,"config":{"__proto__":${config}},"layers":[]}`)).toBe(
      'manifest-invalid',
    );
  });
});

describe('a hostile document ends in one clear error', () => {
  const deep = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
  test.each([
    [
      'nested beside what is read',
      `{"schemaVersion":2,"x":${deep(200_000)},"config":${config},"layers":[${layer}]}`,
    ],
    [
      'nested in a digest',
      `{"schemaVersion":2,"config":${config},"layers":[{"digest":${deep(200_000)},"size":1}]}`,
    ],
    [
      'nested in an index',
      `{"schemaVersion":2,"manifests":[{"digest":"${DIGEST}","size":1,"platform":${deep(200_000)}}]}`,
    ],
    [
      'nested in an old one',
      `{"schemaVersion":1,"fsLayers":[{"blobSum":${deep(200_000)}}],"history":[{"v1Compatibility":"{}"}]}`,
    ],
    ['a long name', `{"schemaVersion":2,"mediaType":"${'x'.repeat(100_000)}"}`],
    [
      'a long digest',
      `{"schemaVersion":2,"config":{"digest":"${'x'.repeat(100_000)}","size":1},"layers":[]}`,
    ],
    [
      'a long key',
      `{"schemaVersion":2,"config":${config},"layers":[],"annotations":{"${'x'.repeat(100_000)}":1}}`,
    ],
  ])('%s', (_, text) => {
    expect(foreignFailures(text)).toEqual([]);
  });

  test('also where it would have to be written again', () => {
    const text = `{"schemaVersion":2,"x":${deep(200_000)},"config":${config},"layers":[${layer}]}`;
    const raw = { bytes: Buffer.from(text), mediaType: types.DOCKER_MANIFEST };
    expect(() => editManifest(raw, { format: 'oci' }, 'it')).toThrow('it cannot be written');
  });

  test('whatever is changed in a good one', () => {
    const good = fc.oneof(manifestOf('oci'), manifestOf('v2s2'), indexOf('oci'), indexOf('v2s2'));
    const values = ['null', '"x"', '-1', '1.5', '[]', '{}', '[null]', '{"__proto__":1}', '"\\u0000"'];
    fc.assert(
      fc.property(good, fc.nat(), fc.constantFrom(...values), (document, at, value) => {
        const text = JSON.stringify(document);
        const tokens = [...text.matchAll(/"(?:[^"\\]|\\.)*"(?!:)|\d+|\{\}|\[\]/g)];
        const token = tokens[at % tokens.length];
        if (token === undefined) return;
        const changed = text.slice(0, token.index) + value + text.slice(token.index + token[0].length);
        expect(foreignFailures(changed)).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });
});
