import { describe, expect, it } from 'vitest';
import { statusOf } from '../../src/app/update-all.ts';
import { AtomicError } from '../../src/errors.ts';

const failed = (code: 'update-failed' | 'image-not-found'): AtomicError => new AtomicError(code, 'x');

describe('the summary of an update of all', () => {
  it.each([
    ['Updated now', 'a', 'b', 'b', undefined],
    ['Updated', 'b', 'b', 'b', undefined],
    ['Not updated', 'a', 'a', 'b', failed('update-failed')],
    ['Not updated', 'a', 'a', 'b', undefined],
    ['Failed', 'a', 'a', undefined, failed('image-not-found')],
    ['Unknown', 'a', 'a', undefined, undefined],
  ])('says %s of one that was %s, is %s, and could be %s', (status, before, after, latest, error) => {
    expect(statusOf({ before, after, latest, error })).toBe(status);
  });
});
