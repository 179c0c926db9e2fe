import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { AtomicError } from '../../src/errors.ts';
import { makingLinks } from '../../src/service/full-disk.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';

const folder = useTempFolder();
const error = new AtomicError('command-failed', 'systemctl enable failed');

it('a failure of systemctl stays what it is where the disk takes something', async () => {
  const fail = async (): Promise<never> => {
    throw error;
  };
  await expect(makingLinks(folder(), fail)).rejects.toBe(error);
  await expect(makingLinks(join(folder(), 'none'), fail)).rejects.toBe(error);
  expect(readdirSync(folder())).toEqual([]);
});

it('a failure leaves no empty folder for links that was not there before', async () => {
  mkdirSync(join(folder(), 'old.target.wants'));
  const fail = async (): Promise<never> => {
    for (const name of ['new.target.wants', 'new.target.requires', 'other', 'used.target.wants'])
      mkdirSync(join(folder(), name));
    writeFileSync(join(folder(), 'used.target.wants/x.service'), '');
    throw error;
  };
  await expect(makingLinks(folder(), fail)).rejects.toBe(error);
  expect(readdirSync(folder()).sort()).toEqual(['old.target.wants', 'other', 'used.target.wants']);
});

it('success keeps the folders that were made', async () => {
  await makingLinks(folder(), async () => mkdirSync(join(folder(), 'x.target.wants')));
  expect(readdirSync(folder())).toEqual(['x.target.wants']);
});
