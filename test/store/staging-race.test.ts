import { describe, expect, it } from 'vitest';
import { AtomicError } from '../../src/errors.ts';
import { askForAnotherTry, isStagingRace, retryStagingRace } from '../../src/store/staging-race.ts';

const failure = (text: string): AtomicError =>
  new AtomicError('command-failed', `ostree commit failed (exit status 1): ${text}`);
const race = failure('error: opendir(staging-0f0e-abc123): No such file or directory');

describe('the race of two commits', () => {
  it('is told from other failures by the staging folder that went away', () => {
    expect(isStagingRace(race)).toBe(true);
    expect(isStagingRace(failure('error: openat(staging-0f0e-x): No such file or directory'))).toBe(true);
    expect(isStagingRace(failure('error: opendir(objects): No such file or directory'))).toBe(false);
    expect(isStagingRace(new Error('staging-x: No such file or directory'))).toBe(false);
  });

  it('is tried again until a commit gets through', async () => {
    const tries: number[] = [];
    const result = await retryStagingRace(() => {
      tries.push(tries.length);
      return tries.length < 3 ? Promise.reject(race) : Promise.resolve('commit');
    });
    expect([result, tries.length]).toEqual(['commit', 3]);
  });

  it('is given up after five tries, and anything else at once', async () => {
    let tries = 0;
    const count = (error: Error) => (): Promise<never> => {
      tries += 1;
      return Promise.reject(error);
    };
    await expect(retryStagingRace(count(race))).rejects.toBe(race);
    expect(tries).toBe(5);
    tries = 0;
    await expect(retryStagingRace(count(failure('x')))).rejects.toThrow('x');
    expect(tries).toBe(1);
  });

  it('asks for another try of a stream with a code of its own', () => {
    expect(askForAnotherTry(race, 'layer 1')).toMatchObject({ code: 'store-race', cause: race });
  });
});
