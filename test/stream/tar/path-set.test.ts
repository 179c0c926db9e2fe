import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PathSet } from '../../../src/stream/tar/path-set.ts';

describe('PathSet', () => {
  test('has what was put in, and nothing else', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string({ unit: 'binary-ascii' }), { maxLength: 50 }), (paths) => {
        const inside = paths.filter((_path, i) => i % 2 === 0);
        const set = new PathSet();
        for (const path of [...inside, ...inside]) set.add(path);
        expect(paths.map((path) => set.has(path))).toEqual(paths.map((_path, i) => i % 2 === 0));
      }),
    );
  });

  test.each([
    ['numbered files', (i: number) => `usr/lib/file${String(i).padStart(7, '0')}`],
    ['folders that differ at their start', (i: number) => `${i}/usr/share/doc/copyright`],
    ['short names', (i: number) => `f${i}`],
    ['names that differ in one byte', (i: number) => `x${String.fromCharCode(i & 255, i >> 8)}y`],
  ])('keeps 200,000 paths apart: %s', (_name, pathOf) => {
    const count = 200_000;
    const set = new PathSet();
    for (let i = 0; i < count; i += 2) set.add(pathOf(i));
    let wrong = 0;
    for (let i = 0; i < count; i++) if (set.has(pathOf(i)) !== (i % 2 === 0)) wrong++;
    expect(wrong).toBe(0);
  });
});
