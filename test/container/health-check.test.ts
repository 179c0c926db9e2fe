import { describe, expect, it } from 'vitest';
import {
  chooseHealthCheck,
  formatHealthCheck,
  parseHealthOption,
  readHealthCheck,
  type ChosenCheck,
} from '../../src/container/health-check.ts';
import { parseHealthcheck } from '../../src/image/health-check.ts';

const image = parseHealthcheck({ Test: ['CMD', '/bin/check'], Retries: 5 });
const none = parseHealthcheck(undefined);
const option: ChosenCheck = { ...none, command: ['/bin/mine'], source: 'option' };

describe('--health-cmd', () => {
  it.each([
    ['curl -f x || exit 1', { command: ['/bin/sh', '-c', 'curl -f x || exit 1'] }],
    ['["/bin/check", "-q"]', { command: ['/bin/check', '-q'] }],
    ['[ -e /run/ready ]', { command: ['/bin/sh', '-c', '[ -e /run/ready ]'] }],
    ['[]', { command: ['/bin/sh', '-c', '[]'] }],
    ['none', { command: [] }],
    ['image', 'image'],
  ])('%j is understood', (text, expected) => {
    expect(parseHealthOption(text)).toEqual(expected);
  });

  it.each(['', '  '])('%j is refused', (text) => {
    expect(() => parseHealthOption(text)).toThrow(expect.objectContaining({ code: 'usage' }));
  });
});

describe('the check that counts', () => {
  it('is the image’s, unless the user says so or has said so; with the times of the image', () => {
    expect(chooseHealthCheck(undefined, undefined, image)).toEqual({ ...image, source: 'image' });
    expect(chooseHealthCheck(undefined, { ...none, source: 'image' }, image)).toEqual({
      ...image,
      source: 'image',
    });
    expect(chooseHealthCheck(undefined, option, image)).toEqual({
      ...image,
      command: ['/bin/mine'],
      source: 'option',
    });
    expect(chooseHealthCheck({ command: [] }, option, image)).toEqual({
      ...image,
      command: [],
      source: 'option',
    });
    expect(chooseHealthCheck('image', option, image)).toEqual({ ...image, source: 'image' });
  });

  it('is kept by info and read from it again', () => {
    for (const check of [option, { ...image, startIntervalMs: 7, source: 'image' } as const]) {
      expect(readHealthCheck(JSON.parse(JSON.stringify(formatHealthCheck(check))))).toEqual(check);
    }
    expect(formatHealthCheck({ ...none, source: 'image' })).toBeUndefined();
    expect(formatHealthCheck(undefined)).toBeUndefined();
    expect(formatHealthCheck({ ...none, source: 'option' })).toMatchObject({ command: [] });
  });

  it.each([undefined, null, 'x', {}, { command: 'x' }, { command: ['x'], retries: -1 }])(
    '%j in info is none',
    (value) => {
      expect(readHealthCheck(value)).toBeUndefined();
    },
  );
});
