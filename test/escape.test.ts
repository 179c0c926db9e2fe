import { describe, expect, it } from 'vitest';
import { escapeControls, escapeLine } from '../src/escape.ts';

describe('foreign text', () => {
  it('cannot steer a terminal', () => {
    expect(escapeControls('a\u001b[2Jb\rc\u0007\u009b1m\u007f')).toBe(
      'a\\u001b[2Jb\\u000dc\\u0007\\u009b1m\\u007f',
    );
  });

  it('cannot turn the direction of writing around, or hide', () => {
    expect(escapeControls('exe\u202etxt\u2066\ufeff')).toBe('exe\\u202etxt\\u2066\\ufeff');
  });

  it('keeps its lines, unless it is to be a part of one', () => {
    expect(escapeControls('a\n\tb')).toBe('a\n\tb');
    expect(escapeLine('a\n\tb')).toBe('a\\u000a\\u0009b');
  });

  it('is left alone otherwise, whatever its language', () => {
    const plain = 'grün, зелёный, 緑 \\u001b "quoted" 👩‍💻';
    expect([escapeControls(plain), escapeLine(plain)]).toEqual([plain, plain]);
  });
});
