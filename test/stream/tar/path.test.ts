import { posix } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { baseOf, cleanPath, parentOf } from '../../../src/stream/tar/path.ts';

const bytes = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

describe('cleanPath', () => {
  test.each([
    ['', ''],
    ['.', ''],
    ['./', ''],
    ['/', ''],
    ['//', ''],
    ['..', ''],
    ['a', 'a'],
    ['./a', 'a'],
    ['././a', 'a'],
    ['/a/b', 'a/b'],
    ['a/b/', 'a/b'],
    ['a//b', 'a/b'],
    ['a/./b', 'a/b'],
    ['a/../b', 'b'],
    ['../../a', 'a'],
    ['a/../../../b', 'b'],
    ['a/b/..', 'a'],
    ['..a/b..', '..a/b..'],
    ['.../a', '.../a'],
    ['.a', '.a'],
  ])('%j is %j', (given, clean) => {
    expect(cleanPath(given, 'x')).toBe(clean);
  });

  test('is where a process with that root would get to, and never anywhere else', () => {
    const part = fc.constantFrom('', '.', '..', '...', 'a', 'b c', '.wh.x', 'ü');
    fc.assert(
      fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
        const path = parts.map(bytes).join('/');
        expect(`/${cleanPath(path, 'x')}`).toBe(posix.resolve('/', `./${path}`));
        expect(cleanPath(cleanPath(path, 'x'), 'x')).toBe(cleanPath(path, 'x'));
      }),
    );
  });

  test('takes names of 255 bytes and paths of 4096, and no more', () => {
    expect(cleanPath('n'.repeat(255), 'x')).toHaveLength(255);
    expect(() => cleanPath(`a/${'n'.repeat(256)}/b`, 'the layer')).toThrow('more than 255 bytes');
    expect(cleanPath('a/'.repeat(2047) + 'bb', 'x')).toHaveLength(4096);
    expect(() => cleanPath('a/'.repeat(2048) + 'b', 'the layer')).toThrow('4097 bytes');
  });

  test('refuses NUL, takes any other character, and gives what is no UTF-8 as it is stored', () => {
    expect(() => cleanPath('a\0b', 'the layer')).toThrow('NUL');
    // Surrogates, overlong forms and halves of characters are no UTF-8 either.
    for (const wrong of ['caf\xe9', '\xed\xa0\x80', '\xc0\xaf', '\xe2\x82', '\xf5\x80\x80\x80'])
      expect(cleanPath(`/a/${wrong}/`, 'x')).toBe(bytes(`a/.atomic-ts-name.${wrong}`));
    const odd = bytes('naïve 日本語 🐧 \n\t\\ "\'$`*?[]');
    expect(cleanPath(odd, 'x')).toBe(odd);
  });
});

test('parentOf and baseOf take a path apart', () => {
  expect([parentOf(''), parentOf('a'), parentOf('a/b/c')]).toEqual(['', '', 'a/b']);
  expect([baseOf(''), baseOf('a'), baseOf('a/b/c')]).toEqual(['', 'a', 'c']);
});
