import { describe, expect, onTestFinished, test } from 'vitest';
import { parseImageConfig } from '../../src/image/config.ts';
import type { Digest } from '../../src/image/digest.ts';
import { digestedBytes, isSchema1, makeConfig, parseSchema1 } from '../../src/image/schema1.ts';
import { moveLimits } from '../../src/limits.ts';
import { oldManifest, signOld, type OldLayer } from './old-manifest.ts';

const sum = (hex: string): Digest => `sha256:${hex.repeat(64)}` as Digest;
const bytesOf = (document: unknown): Buffer => Buffer.from(JSON.stringify(document));
const LAYERS: readonly OldLayer[] = [
  { blobSum: sum('1'), fields: { container_config: { Cmd: ['/bin/sh', '-c', 'ADD x'] } } },
  { blobSum: sum('e'), fields: { throwaway: true, author: 'me', comment: 'why' } },
  { blobSum: sum('2'), fields: { config: { Cmd: ['sh'], Env: ['A=b'] }, docker_version: '1.9.1', Size: 5 } },
];
const OLD = oldManifest(LAYERS);

describe('isSchema1', () => {
  test.each([
    [true, bytesOf(OLD)],
    [true, signOld(OLD)],
    [false, bytesOf({ ...OLD, schemaVersion: 2 })],
    [false, bytesOf({ ...OLD, schemaVersion: '1' })],
    [false, Buffer.from('<html>')],
    [false, Buffer.from('[1]')],
  ])('%s', (expected, bytes) => {
    expect(isSchema1(bytes)).toBe(expected);
  });
});

describe('digestedBytes', () => {
  test('are all bytes of what is not signed', () => {
    for (const bytes of [bytesOf(OLD), bytesOf({ schemaVersion: 2, signatures: [] }), Buffer.from('x')]) {
      expect(digestedBytes(bytes, 'it')).toBe(bytes);
    }
  });

  test('are those that were signed, by one or by several', () => {
    const text = JSON.stringify(OLD, undefined, 3);
    for (const signers of [1, 3]) {
      expect(Buffer.from(digestedBytes(signOld(OLD, { signers }), 'it')).toString()).toBe(text);
    }
  });

  test.each([
    [
      'of different lengths',
      signOld(OLD, { signers: 2, protect: (header, i) => ({ ...header, formatLength: 100 + i }) }),
    ],
    [
      'of different tails',
      signOld(OLD, { signers: 2, protect: (header, i) => ({ ...header, formatTail: `fQ${i}` }) }),
    ],
    ['of more than there is', signOld(OLD, { protect: (header) => ({ ...header, formatLength: 1e6 }) })],
    ['of a length below zero', signOld(OLD, { protect: (header) => ({ ...header, formatLength: -1 }) })],
    ['of a length that is text', signOld(OLD, { protect: (header) => ({ ...header, formatLength: '10' }) })],
    ['of no tail', signOld(OLD, { protect: ({ formatLength }) => ({ formatLength }) })],
    ['of nothing', signOld(OLD, { protect: () => null })],
    ['none at all', bytesOf({ ...OLD, signatures: [] })],
    ['a word', bytesOf({ ...OLD, signatures: 'x' })],
    ['without a header', bytesOf({ ...OLD, signatures: [{}] })],
    ['whose header is no JSON', bytesOf({ ...OLD, signatures: [{ protected: 'eA' }] })],
  ])('are refused for signatures %s', (_, bytes) => {
    expect(() => digestedBytes(bytes, 'it')).toThrow(expect.objectContaining({ code: 'manifest-invalid' }));
  });
});

describe('parseSchema1', () => {
  test('gives the layers base first', () => {
    const { layers, architecture } = parseSchema1(bytesOf(OLD), 'it');
    expect(architecture).toBe('amd64');
    expect(layers.map(({ blobSum, throwaway }) => [blobSum, throwaway])).toEqual([
      [sum('1'), false],
      [sum('e'), true],
      [sum('2'), false],
    ]);
  });

  test('reads what was signed, and not what was put around it', () => {
    const signed = signOld(OLD).toString();
    const forged = JSON.stringify(oldManifest([{ blobSum: sum('f') }]).fsLayers);
    const around = Buffer.from(signed.replace(/\n\}$/, `,"fsLayers":${forged}}`));
    expect(JSON.parse(around.toString())).toMatchObject({ fsLayers: [{ blobSum: sum('f') }] });
    expect(parseSchema1(around, 'it')).toEqual(parseSchema1(bytesOf(OLD), 'it'));
  });

  test('refuses what was signed as something else', () => {
    const text = '{"schemaVersion":2}';
    const protect = (): object => ({ formatLength: 0, formatTail: Buffer.from(text).toString('base64url') });
    expect(() => parseSchema1(signOld(OLD, { protect }), 'it')).toThrow('it is not signed as');
  });

  test('takes one of two layers that are the same in a row', () => {
    const history = OLD['history'] as unknown[];
    const fsLayers = OLD['fsLayers'] as unknown[];
    const twice = {
      ...OLD,
      history: [history[0], ...history],
      fsLayers: [{ blobSum: sum('9') }, ...fsLayers],
    };
    expect(parseSchema1(bytesOf(twice), 'it')).toEqual(parseSchema1(bytesOf(OLD), 'it'));
  });

  const [newest, ...older] = OLD['history'] as object[];
  test.each([
    ['fewer layers than history', { fsLayers: [] }],
    ['no layers', { fsLayers: [], history: [] }],
    ['no history', { history: undefined }],
    ['layers of schema 2 as well', { layers: [] }],
    ['a second spelling', { FSLayers: [] }],
    [
      'a blobSum that is none',
      { fsLayers: [{ blobSum: 'x' }, { blobSum: sum('1') }, { blobSum: sum('1') }] },
    ],
    ['a layer that is none', { fsLayers: [null, null, null] }],
    ['history that is none', { history: [null, ...older] }],
    ['history that is no JSON', { history: [{ v1Compatibility: '{' }, ...older] }],
    ['history that is a list', { history: [{ v1Compatibility: '[]' }, ...older] }],
    ['a parent that is another', { history: [older[0], newest, older[1]] }],
    [
      'a base with a parent',
      { history: [newest, older[0]], fsLayers: [{ blobSum: sum('1') }, { blobSum: sum('2') }] },
    ],
    [
      'an ID that is none',
      { history: [{ v1Compatibility: '{"id":"x"}' }], fsLayers: [{ blobSum: sum('1') }] },
    ],
  ])('refuses %s', (_, change) => {
    expect(() => parseSchema1(bytesOf({ ...OLD, ...change }), 'it')).toThrow(
      expect.objectContaining({ code: 'manifest-invalid' }),
    );
  });

  test('refuses more layers than the limit', () => {
    onTestFinished(moveLimits({ layers: 2 }));
    expect(() => parseSchema1(bytesOf(OLD), 'it')).toThrow(
      expect.objectContaining({ code: 'limit-exceeded' }),
    );
  });
});

describe('makeConfig', () => {
  const make = (old: object): string =>
    Buffer.from(makeConfig(parseSchema1(bytesOf(old), 'it'), [sum('a'), sum('b')], 'it')).toString();

  test('is that of the newest layer, without what meant the old image', () => {
    expect(JSON.parse(make(OLD))).toEqual({
      architecture: 'amd64',
      os: 'linux',
      created: '2015-01-01T00:00:00Z',
      config: { Cmd: ['sh'], Env: ['A=b'] },
      docker_version: '1.9.1',
      history: [
        { created: '2015-01-01T00:00:00Z', created_by: '/bin/sh -c ADD x' },
        { created: '2015-01-01T00:00:00Z', author: 'me', comment: 'why', empty_layer: true },
        { created: '2015-01-01T00:00:00Z' },
      ],
      rootfs: { type: 'layers', diff_ids: [sum('a'), sum('b')] },
    });
  });

  test('names a platform where the layers do not', () => {
    const silent = oldManifest([{ blobSum: sum('1'), fields: { architecture: undefined, os: undefined } }]);
    expect(parseImageConfig(Buffer.from(make(silent)), 'it')).toMatchObject({
      architecture: 'amd64',
      os: 'linux',
    });
  });

  test('takes nothing of the wrong type into the history', () => {
    const fields = { created: 1, author: {}, comment: [], container_config: { Cmd: 'x' } };
    const odd = oldManifest([{ blobSum: sum('1'), fields }]);
    expect(JSON.parse(make(odd))).toMatchObject({ history: [{ created: '0001-01-01T00:00:00Z' }] });
  });
});
