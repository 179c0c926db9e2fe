import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  BLOCK_BYTES,
  changeHeader,
  createHeader,
  isZeroBlock,
  paddedSize,
  parseHeader,
} from '../../../src/stream/tar/header.ts';
import { writeHeader, type HeaderFields } from '../../fixtures/tar-writer.ts';

/** A header of the fixtures' writer with some bytes changed, and its checksum made right again. */
function header(
  fields: Partial<HeaderFields> = {},
  change: (block: Buffer) => void = () => undefined,
): Buffer {
  const block = writeHeader({ path: Buffer.from('a/b'), typeFlag: '0', size: 5, ...fields });
  change(block);
  return seal(block);
}

function seal(block: Buffer): Buffer {
  block.fill(' ', 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

describe('parseHeader', () => {
  test('reads what another writer wrote, numbers in octal and in base 256', () => {
    const number = fc.oneof(fc.nat(0o7777777), fc.integer({ min: 0, max: 2 ** 40 }));
    fc.assert(
      fc.property(
        fc.nat(0o7777),
        number,
        number,
        fc.oneof(number, fc.maxSafeNat()),
        (mode, uid, gid, size) => {
          const read = parseHeader(header({ mode, uid, gid, size }));
          expect(read).toMatchObject({ mode, uid, gid, size, path: 'a/b', type: '0', linkPath: '' });
          const fits = uid <= 0o7777777 && gid <= 0o7777777 && size <= 0o77777777777;
          expect(read?.plain).toBe(fits);
        },
      ),
    );
  });

  test('puts the ustar prefix in front, but not that of a GNU header, where other things stand', () => {
    const prefix = Buffer.from('usr/share');
    expect(parseHeader(header({ prefix }))?.path).toBe('usr/share/a/b');
    const gnu = header({ prefix }, (block) => block.write('ustar  \0', 257, 'latin1'));
    expect(parseHeader(gnu)).toMatchObject({ path: 'a/b', plain: true });
  });

  test('reads names that fill their fields to the last byte', () => {
    const name = 'n'.repeat(100);
    const read = parseHeader(header({ path: Buffer.from(name), target: Buffer.from(name) }));
    expect(read).toMatchObject({ path: name, linkPath: name });
    const prefix = Buffer.from('p'.repeat(155));
    expect(parseHeader(header({ path: Buffer.from(name), prefix }))?.path).toHaveLength(256);
  });

  test('takes a header without a magic for one of Version 7, which is not plain', () => {
    const old = header({}, (block) => block.fill(0, 257).fill(0, 156, 157));
    expect(parseHeader(old)).toMatchObject({ type: '0', path: 'a/b', plain: false });
  });

  test('reads numbers with spaces around them, and empty ones as 0', () => {
    const spaced = header({}, (block) => {
      block.write('  644 \0\0', 100, 'latin1');
      block.fill(0, 108, 116);
      block.fill(' ', 116, 124);
    });
    expect(parseHeader(spaced)).toMatchObject({ mode: 0o644, uid: 0, gid: 0 });
  });

  test.each([
    ['a digit that is none', (block: Buffer) => block.write('0000948', 100, 'latin1')],
    ['text behind a number', (block: Buffer) => block.write('644 x', 100, 'latin1')],
    ['a negative number', (block: Buffer) => block.fill(0xff, 124, 136)],
    ['a number beyond 2^53', (block: Buffer) => block.fill(0xff, 124, 136).fill(0x80, 124, 125)],
    ['a minus sign', (block: Buffer) => block.write('-0000001', 108, 'latin1')],
  ])('refuses %s', (_name, change) => {
    expect(parseHeader(header({}, change))).toBeUndefined();
  });

  test('refuses a header of which any byte was changed', () => {
    fc.assert(
      fc.property(fc.nat(BLOCK_BYTES - 1), fc.integer({ min: 1, max: 255 }), (at, by) => {
        const block = header();
        // The last byte of the checksum's own field is padding, and so are leading zeros that become spaces.
        if (at >= 148 && at < 156) return;
        block[at] = ((block[at] ?? 0) + by) % 256;
        expect(parseHeader(block)).toBeUndefined();
      }),
    );
  });
});

describe('changeHeader', () => {
  test('sets what it is told and keeps the rest', () => {
    const block = header({
      mode: 0o4755,
      uid: 7,
      mtime: 99,
      target: Buffer.from('x'),
      prefix: Buffer.from('p'),
    });
    const changed = changeHeader(block, { type: '1', path: 'c/d', linkPath: 'e', size: 0 });
    expect(parseHeader(changed)).toEqual({
      path: 'c/d',
      mode: 0o4755,
      uid: 7,
      gid: 0,
      size: 0,
      type: '1',
      linkPath: 'e',
      plain: true,
    });
    expect(changed.subarray(136, 148)).toEqual(block.subarray(136, 148));
    expect(parseHeader(block)?.path).toBe('p/a/b');
  });

  test('makes a header of Version 7 one of ustar, without what stood behind its fields', () => {
    const old = header({}, (block) => block.fill('junk', 257));
    expect(parseHeader(changeHeader(old, {}))).toMatchObject({ path: 'a/b', plain: true });
  });

  test('cuts names that do not fit', () => {
    const changed = changeHeader(header(), { path: 'x'.repeat(300) });
    expect(parseHeader(changed)?.path).toBe('x'.repeat(100));
  });
});

test('createHeader gives a header that reads back', () => {
  fc.assert(
    fc.property(fc.nat(0o7777), fc.nat(2 ** 31), (mode, size) => {
      const read = parseHeader(createHeader({ path: 'x', mode, size, type: '5' }));
      expect(read).toEqual({ path: 'x', mode, size, type: '5', uid: 0, gid: 0, linkPath: '', plain: true });
    }),
  );
});

test('paddedSize counts whole blocks, also beyond 4 GiB', () => {
  expect([0, 1, 511, 512, 513, 2 ** 33 + 1].map(paddedSize)).toEqual([0, 512, 512, 512, 1024, 2 ** 33 + 512]);
});

test('isZeroBlock sees any other byte', () => {
  expect(isZeroBlock(Buffer.alloc(512))).toBe(true);
  for (const at of [0, 255, 511]) expect(isZeroBlock(Buffer.alloc(512).fill(1, at, at + 1))).toBe(false);
});
