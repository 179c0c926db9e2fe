import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseImageConfig } from '../../src/image/config.ts';
import { refuseRepeatedKeys } from '../../src/image/json.ts';

const refuse = (text: string) => (): void => refuseRepeatedKeys(text, JSON.parse(text), 'it');

test('documents that have each key once are taken, however they are spelled', () => {
  const strings = fc.oneof(fc.string(), fc.constantFrom('"', '\\', '":', '\\"', ':', '__proto__', '{"a":1}'));
  const documents = fc
    .jsonValue()
    .chain((value) => fc.dictionary(strings, fc.oneof(strings, fc.constant(value))));
  fc.assert(
    fc.property(documents, fc.constantFrom('', ' ', '\t', '\n  '), (document, space) => {
      expect(refuse(JSON.stringify(document, undefined, space))).not.toThrow();
      expect(refuse(JSON.stringify([document, document]))).not.toThrow();
    }),
  );
});

test('and so are spaces before a colon', () => {
  expect(refuse('{"a" \r\n\t: 1, "b":["a" , "a"]}')).not.toThrow();
});

test.each([
  '{"a":1,"a":1}',
  '{"a":1,"\\u0061":2}',
  '[{"b":[{"a":1 , "a" :2}]}]',
  '{"\\\\":1,"x":"\\"","\\\\":2}',
  '{"__proto__":1,"__proto__":2}',
  `${'{"a":'.repeat(100_000)}{"b":1,"b":2}${'}'.repeat(100_000)}`,
])('a key that is there twice is not: %#', (text) => {
  expect(refuse(text)).toThrow('it has a key twice');
});

test('a config in two parts, which Go puts together, is refused', () => {
  const text = '{"rootfs":{"type":"layers"},"config":{"User":"nobody"},"config":{"Cmd":["sh"]}}';
  expect(() => parseImageConfig(Buffer.from(text), 'it')).toThrow('it has a key twice');
});

test('a config’s keys are read as Go reads them: whatever their case is', () => {
  const text = JSON.stringify({
    Architecture: 'amd64',
    rootFS: { TYPE: 'layers', Diff_IDs: [`sha256:${'0'.repeat(64)}`] },
    config: {
      user: 'nobody',
      'wor\u212Aingdir': '/srv',
      labels: { user: 'x' },
      HEALTHCHECK: { test: ['CMD', 'ok'] },
    },
  });
  expect(parseImageConfig(Buffer.from(text), 'it')).toMatchObject({
    architecture: 'amd64',
    diffIds: [`sha256:${'0'.repeat(64)}`],
    user: 'nobody',
    // The Kelvin sign is a k.
    workingDir: '/srv',
    labels: { user: 'x' },
    healthCheck: { command: ['ok'] },
  });
});

test.each([
  [
    '{"rootfs":{"type":"layers"},"config":{"User":"a","user":"b"}}',
    'it, config, has "User" in two spellings',
  ],
  ['{"rootfs":{"type":"layers"},"Rootfs":{}}', 'it has "rootfs" in two spellings'],
])('and refused where two are one then: %s', (text, told) => {
  expect(() => parseImageConfig(Buffer.from(text), 'it')).toThrow(told);
});
