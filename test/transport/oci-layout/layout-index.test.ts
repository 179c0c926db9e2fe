import { expect, test } from 'vitest';
import { AtomicError } from '../../../src/errors.ts';
import { parseDigest } from '../../../src/image/digest.ts';
import { isRecord } from '../../../src/image/json.ts';
import { OCI_MANIFEST } from '../../../src/image/media-type.ts';
import {
  checkLayoutVersion,
  chooseEntry,
  EMPTY_LAYOUT_INDEX,
  parseLayoutIndex,
  REF_NAME,
  replaceEntry,
} from '../../../src/transport/oci-layout/layout-index.ts';

const digestOf = (digit: string) => parseDigest(`sha256:${digit.repeat(64)}`, 'test');
const entry = (digit: string, tag?: string) => ({
  mediaType: OCI_MANIFEST,
  digest: digestOf(digit),
  size: 7,
  ...(tag === undefined ? {} : { annotations: { [REF_NAME]: tag } }),
});
const indexOf = (...manifests: object[]) =>
  parseLayoutIndex(Buffer.from(JSON.stringify({ schemaVersion: 2, manifests })), 'index.json');
const manifestsIn = (bytes: Buffer): unknown => {
  const document: unknown = JSON.parse(bytes.toString());
  return isRecord(document) ? document['manifests'] : undefined;
};

test('the entry with the tag is chosen, the first of several', () => {
  const index = indexOf(entry('1', 'a'), entry('2', 'b'), entry('3', 'b'));
  expect(chooseEntry(index, 'b', 'x').digest).toBe(digestOf('2'));
});

test('without a tag the only entry is chosen, tagged or not', () => {
  expect(chooseEntry(indexOf(entry('1', 'a')), undefined, 'x').digest).toBe(digestOf('1'));
  expect(chooseEntry(indexOf(entry('2')), undefined, 'x').digest).toBe(digestOf('2'));
});

test('a wrong or missing choice is answered with the tags that exist', () => {
  const index = indexOf(entry('1', 'a'), entry('2', 'b'), entry('3'));
  expect(() => chooseEntry(index, undefined, '/x')).toThrow('/x holds 3 images: it has a, b');
  expect(() => chooseEntry(index, 'c', '/x')).toThrow('/x has no image with the tag "c": it has a, b');
  expect(() => chooseEntry(indexOf(), 'c', '/x')).toThrow('/x holds no image');
  expect(() => chooseEntry(indexOf(entry('1')), 'c', '/x')).toThrow('it has none with a name');
});

test('a long list of tags is cut', () => {
  const index = indexOf(...Array.from({ length: 30 }, (_, i) => entry('1', `t${i}`)));
  expect(() => chooseEntry(index, 'c', '/x')).toThrow(/t18, t19 and 10 more$/);
});

test('an unknown digest algorithm in another entry does no harm, in the chosen one it is an error', () => {
  const index = indexOf({ ...entry('1', 'odd'), digest: 'md5:00' }, entry('2', 'good'));
  expect(chooseEntry(index, 'good', 'x').digest).toBe(digestOf('2'));
  expect(() => chooseEntry(index, 'odd', 'x')).toThrow(/has the digest "md5:00"/);
});

test('a new entry replaces those with its tag and keeps the others as they are', () => {
  const other = { ...entry('1', 'a'), 'org.example.field': [1] };
  const index = parseLayoutIndex(
    Buffer.from(
      JSON.stringify({ schemaVersion: 2, annotations: { k: 'v' }, manifests: [other, entry('2', 'b')] }),
    ),
    'index.json',
  );
  const bytes = replaceEntry(index, entry('3'), 'b');
  expect(manifestsIn(bytes)).toEqual([other, entry('3', 'b')]);
  expect(JSON.parse(bytes.toString())).toMatchObject({ schemaVersion: 2, annotations: { k: 'v' } });
});

test('without a tag a new entry replaces only its like', () => {
  const index = indexOf(entry('1'), entry('2'), entry('1', 'a'));
  expect(manifestsIn(replaceEntry(index, entry('1'), undefined))).toEqual([
    entry('2'),
    entry('1', 'a'),
    entry('1'),
  ]);
});

test('an index that nests too deep to be written again is an error of ours', () => {
  const deep = '['.repeat(100_000) + ']'.repeat(100_000);
  const index = parseLayoutIndex(Buffer.from(`{"schemaVersion":2,"manifests":[],"x":${deep}}`), 'index.json');
  expect(() => replaceEntry(index, entry('1'), 'a')).toThrow(AtomicError);
});

test('what is written can be read', () => {
  const index = parseLayoutIndex(replaceEntry(EMPTY_LAYOUT_INDEX, entry('4'), 'v1'), 'index.json');
  expect(chooseEntry(index, 'v1', 'x')).toEqual(entry('4', 'v1'));
});

test.each([
  ['no JSON', '{'],
  ['no object', '[]'],
  ['another schema', '{"schemaVersion":1,"manifests":[]}'],
  ['no manifests', '{"schemaVersion":2}'],
  ['manifests that are no objects', '{"schemaVersion":2,"manifests":["x"]}'],
])('an index.json with %s is refused', (_, text) => {
  expect(() => parseLayoutIndex(Buffer.from(text), '/x/index.json')).toThrow(/^\/x\/index\.json/);
});

test('only layout version 1 is read', () => {
  expect(() => checkLayoutVersion(Buffer.from('{"imageLayoutVersion":"1.1.0"}'), 'x')).not.toThrow();
  expect(() => checkLayoutVersion(Buffer.from('{"imageLayoutVersion":"2.0.0"}'), 'x')).toThrow(/1\.x$/);
  expect(() => checkLayoutVersion(Buffer.from('{}'), 'x')).toThrow(/1\.x$/);
});
