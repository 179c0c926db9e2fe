import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseDigest } from '../../src/image/digest.ts';
import { blobRef, decodeImageRef, imageRef, isBlobRef, withTag } from '../../src/store/names.ts';

const HEX = '0123456789abcdef'.repeat(4);

describe('imageRef', () => {
  test.each([
    ['docker.io/busybox', 'ociimage/docker.io_2Fbusybox_3Alatest'],
    ['docker.io/busybox:latest', 'ociimage/docker.io_2Fbusybox_3Alatest'],
    ['busybox', 'ociimage/busybox_3Alatest'],
    ['localhost:5000/a/b', 'ociimage/localhost_3A5000_2Fa_2Fb_3Alatest'],
    ['localhost:5000/a/b:1.0-x', 'ociimage/localhost_3A5000_2Fa_2Fb_3A1.0-x'],
    ['registry.example.com/under_score:v_1', 'ociimage/registry.example.com_2Funder_5Fscore_3Av_5F1'],
    [`x@sha256:${HEX}`, `ociimage/x_40sha256_3A${HEX}`],
    ['naïve', 'ociimage/na_C3_AFve_3Alatest'],
  ])('of %s is %s', (name, ref) => {
    expect(imageRef(name)).toBe(ref);
  });

  test('decodes to the name with its tag, whatever characters it has', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), (name) => {
        const ref = imageRef(name);
        expect(ref).toMatch(/^ociimage\/[A-Za-z0-9._-]+$/);
        expect(decodeImageRef(ref)).toBe(withTag(name));
        expect(imageRef(withTag(name))).toBe(ref);
      }),
    );
  });

  test('is another for another name', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (a, b) => {
        expect(imageRef(a) === imageRef(b)).toBe(withTag(a) === withTag(b));
      }),
    );
  });
});

describe('blobRef', () => {
  test('is the hex of a digest, and told from an image’s ref', () => {
    expect(blobRef(parseDigest(`sha256:${HEX}`, 'x'))).toBe(`ociimage/${HEX}`);
    expect(blobRef(parseDigest(`sha512:${HEX}${HEX}`, 'x'))).toBe(`ociimage/${HEX}${HEX}`);
    expect(isBlobRef(`ociimage/${HEX}`)).toBe(true);
    expect(isBlobRef(`ociimage/${HEX}${HEX}`)).toBe(true);
    for (const ref of [imageRef(HEX), imageRef('x'), `ociimage/${HEX}0`, `other/${HEX}`, `ociimage/${HEX}\n`])
      expect(isBlobRef(ref)).toBe(false);
  });
});

test('withTag sees a port, a tag and a digest for what they are', () => {
  expect(withTag('host:5000/x')).toBe('host:5000/x:latest');
  expect(withTag('host:5000/x:1')).toBe('host:5000/x:1');
  expect(withTag(`x:1@sha256:${HEX}`)).toBe(`x:1@sha256:${HEX}`);
});
