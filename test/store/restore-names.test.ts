import { mkdirSync, readdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { restoreNames } from '../../src/store/restore-names.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';

const folder = useTempFolder();
const PREFIX = '.atomic-ts-name.';
const names = (path: string): string[] =>
  readdirSync(path, { encoding: 'buffer' })
    .map((name) => name.toString('latin1'))
    .sort();

test('what is stored under another name gets its own: folders, files, links and their targets', () => {
  mkdirSync(join(folder(), `${PREFIX}é`));
  writeFileSync(join(folder(), `${PREFIX}é/${PREFIX}ÿ`), 'x');
  symlinkSync(`/a/${PREFIX}é/${PREFIX}ÿ`, join(folder(), 'l'));
  symlinkSync(`${PREFIX}plain`, join(folder(), 'm'));
  restoreNames(folder());
  expect(names(folder())).toEqual(['l', 'm', '\xe9']);
  expect(readFileSync(Buffer.from(`${folder()}/\xe9/\xff`, 'latin1'), 'utf8')).toBe('x');
  expect(readlinkSync(join(folder(), 'l'), { encoding: 'buffer' }).toString('latin1')).toBe('/a/\xe9/\xff');
  expect(readlinkSync(join(folder(), 'm'))).toBe(`${PREFIX}plain`);
});

test('a name that another one is stored under is free by then', () => {
  writeFileSync(join(folder(), `${PREFIX}é`), 'byte');
  writeFileSync(join(folder(), `${PREFIX}${PREFIX}Ã©`), 'literal');
  restoreNames(folder());
  expect(names(folder())).toEqual([Buffer.from(`${PREFIX}é`).toString('latin1'), '\xe9']);
  expect(readFileSync(join(folder(), `${PREFIX}é`), 'utf8')).toBe('literal');
});

test('a name that is taken is never taken over', () => {
  writeFileSync(join(folder(), `${PREFIX}é`), 'stored');
  writeFileSync(Buffer.from(`${folder()}/\xe9`, 'latin1'), 'there');
  expect(() => restoreNames(folder())).toThrow('stands for a name that is taken');
  expect(readFileSync(Buffer.from(`${folder()}/\xe9`, 'latin1'), 'utf8')).toBe('there');
});
