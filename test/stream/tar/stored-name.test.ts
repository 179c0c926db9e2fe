import { isUtf8 } from 'node:buffer';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  hasStoredName,
  isStorable,
  rawName,
  rawPath,
  storedName,
  storedPath,
} from '../../../src/stream/tar/stored-name.ts';

const PREFIX = '.atomic-ts-name.';
const bytes = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

/** Names of any bytes, many of them near the prefix. */
const anyName = fc
  .array(
    fc.oneof(
      fc.constantFrom(PREFIX, '.wh.', '.atomic-ts-name', 'a', bytes('é'), '\xe9', '\xff', '.', '..'),
      fc.uint8Array({ minLength: 1, maxLength: 4 }).map((array) => Buffer.from(array).toString('latin1')),
    ),
    { minLength: 1, maxLength: 5 },
  )
  .map((parts) => parts.join('').replaceAll(/[\0/]/g, '_'));

describe('a name as it is stored', () => {
  test('is UTF-8, stands for the one it was made of, and no two names share it', () => {
    fc.assert(
      fc.property(anyName, anyName, (name, other) => {
        const stored = storedName(name);
        expect(isUtf8(Buffer.from(stored, 'latin1'))).toBe(true);
        expect(rawName(stored)).toBe(name);
        expect(stored === storedName(other)).toBe(name === other);
      }),
      { numRuns: 2000 },
    );
  });

  test('is the name itself when that is UTF-8 and does not begin as ours do', () => {
    for (const name of ['x', bytes('日本語'), '.atomic-ts-name', `x${PREFIX}`, '.wh.x', '..', '']) {
      expect(storedName(name)).toBe(name);
      expect(rawName(name)).toBe(name);
    }
    expect([isStorable('a/b'), isStorable(bytes('a/é')), isStorable('a/\xe9')]).toEqual([true, true, false]);
  });

  test('is told by its prefix, behind that of a whiteout as well', () => {
    expect(storedName('caf\xe9')).toBe(bytes(`${PREFIX}café`));
    expect(storedName('.wh.caf\xe9')).toBe(bytes(`.wh.${PREFIX}café`));
    expect(storedName(`${PREFIX}x`)).toBe(`${PREFIX}${PREFIX}x`);
    expect(hasStoredName(storedName('\xff'))).toBe(true);
  });

  test.each([
    ['nothing behind the prefix', PREFIX],
    ['a name that needs no other', `${PREFIX}x`],
    ['UTF-8 that needs no other', bytes(`${PREFIX}Ã©`)],
    ['a slash', bytes(`${PREFIX}/é`)],
    ['a NUL', bytes(`${PREFIX}\0é`)],
    ['a character that is no byte', bytes(`${PREFIX}日`)],
    ['bytes that are no UTF-8', `${PREFIX}\xe9`],
  ])('that no name is stored as stands for itself: %s', (_what, name) => {
    expect(rawName(name)).toBe(name);
  });
});

test('paths and link targets are stored name by name', () => {
  for (const [raw, stored] of [
    ['/a/\xe9/../b', `/a/${PREFIX}\xc3\xa9/../b`],
    [`x/${PREFIX}y/`, `x/${PREFIX}${PREFIX}y/`],
    ['a//b/.', 'a//b/.'],
  ] as const) {
    expect(storedPath(raw)).toBe(stored);
    expect(rawPath(stored)).toBe(raw);
  }
});
