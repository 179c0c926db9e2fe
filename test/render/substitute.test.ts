import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AtomicError } from '../../src/errors.ts';
import { listVariables, substitute } from '../../src/render/substitute.ts';
import { askPython, type Case } from './python.ts';

type TextCase = Case & { readonly text: string };

function ours({ text, values }: TextCase): string {
  try {
    return substitute(text, 'P', values);
  } catch (error) {
    if (error instanceof AtomicError) return error.message;
    throw error;
  }
}

describe('substitute', () => {
  it('fills in both spellings and numbers, and turns $$ into $', () => {
    expect(substitute('$A ${A}b $$A $N', 'P', { A: 'x', N: 0 })).toBe('x xb $A 0');
  });

  it('inserts values as they are, even when they look like placeholders', () => {
    expect(substitute('[$A]', 'P', { A: '$B $& $1 "' })).toBe('[$B $& $1 "]');
  });

  it('names an unset variable in atomic’s own words', () => {
    expect(() => substitute('$VAR', '/x/config.json.template', {})).toThrow(
      "The template file '/x/config.json.template' still contains an unreplaced value for: ''VAR''",
    );
  });

  it('takes no value from the prototype of the table', () => {
    expect(() => substitute('$constructor', 'P', {})).toThrow("''constructor''");
    expect(() => substitute('${__proto__}', 'P', {})).toThrow("''__proto__''");
  });

  it('fills in a variable that is called __proto__', () => {
    const values = Object.fromEntries([['__proto__', 'x']]);
    expect(substitute('$__proto__', 'P', values)).toBe('x');
  });

  it('agrees with Python at each kind of line end and at letters that fold to ASCII', () => {
    const ends = ['\n', '\r', '\r\n', '\v', '\f', '\x1c', '\x1d', '\x1e', '\x85', '\u2028', '\u2029', '\x1f'];
    const broken = '$ſ ${K} $aſ ${aſ} $aK $é ${} ${a $1 ${1} ${a-b} $$$ $$$$$a $a.b ${a}} $_ ${_9} {$a} $a$a';
    const texts = [
      ...ends.map((end) => `a${end}b😀c${end}é $ d`),
      ...ends.map((end) => `${end}$`),
      ...broken.split(' '),
      '${ a}',
    ];
    const cases = texts.map((text) => ({ text, values: { a: 'A', s: 'S', K: 'k' } }));
    expect(cases.map(ours)).toEqual(askPython(cases));
  });

  it('agrees with Python on generated templates', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        '$',
        '$$',
        '{',
        '}',
        '${',
        '$a',
        '${b}',
        '$UNSET',
        '\n',
        '\r\n',
        ' ',
        '😀',
        'ſ',
        '_',
        '9',
      ),
      fc.string({ unit: 'grapheme', maxLength: 4 }),
    );
    const cases = fc
      .sample(fc.array(piece, { maxLength: 12 }), { numRuns: 3000, seed: 20_26 })
      .map((pieces) => ({ text: pieces.join(''), values: { a: 'A', b: '$x', _: 1, a9: 'nine' } }));
    expect(cases.map(ours)).toEqual(askPython(cases));
  });
});

describe('listVariables', () => {
  it('lists each variable once, without escaped and broken ones', () => {
    expect(listVariables('$B ${A} $$C $B $1 ${D')).toEqual(['B', 'A']);
  });
});
