import { describe, expect, it } from 'vitest';
import { formatExactJson, parseExactJson } from '../../src/container/exact-json.ts';

const again = (text: string): string => formatExactJson(parseExactJson(text));

describe('exact JSON', () => {
  it('keeps integers that a double cannot hold', () => {
    const text = '[\n    18446744073709551615,\n    -9223372036854775808,\n    12\n]';
    expect(again(text)).toBe(text);
  });

  it('leaves digits in strings, keys and fractions alone', () => {
    const value = { '12345678901234567890': '18446744073709551615', a: 'x\\" 18446744073709551615', f: 1.5 };
    expect(parseExactJson(JSON.stringify(value))).toEqual(value);
    expect(parseExactJson('[1.12345678901234567890, 1e16]')).toEqual([1.1234567890123457, 1e16]);
  });

  it('refuses what is not JSON', () => {
    expect(() => parseExactJson('{"a": 18446744073709551615')).toThrow(SyntaxError);
  });

  it('gives up on a long broken string without searching it over and over', () => {
    const text = `{"a": 1234567890123456, "b": "${'\\"'.repeat(500_000)}`;
    expect(() => parseExactJson(text)).toThrow(SyntaxError);
  });
});
