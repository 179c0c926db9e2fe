import { chmodSync, lstatSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeDirectoryInTree } from '../../src/tree/make-directory.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';

const folder = useTempFolder();

test('makes the folders that are missing, inside the tree, and leaves those that are there', () => {
  const root = join(folder(), 'root');
  mkdirSync(join(root, 'a'), { recursive: true, mode: 0o700 });
  symlinkSync('/b', join(root, 'a/l'));
  expect(makeDirectoryInTree(root, 'a/l/c')).toBe('b/c');
  expect(makeDirectoryInTree(root, 'a/l/c')).toBe('b/c');
  expect(makeDirectoryInTree(root, '../../x')).toBe('x');
  expect(makeDirectoryInTree(root, '')).toBe('');
  expect(readdirSync(root).sort()).toEqual(['a', 'b', 'x']);
  expect(readdirSync(folder())).toEqual(['root']);
});

test('puts folders in place of files and of links that lead nowhere else', () => {
  const root = folder();
  writeFileSync(join(root, 'f'), '');
  symlinkSync('f', join(root, 'l'));
  expect(makeDirectoryInTree(root, 'l/sub')).toBe('f/sub');
  expect(lstatSync(join(root, 'f/sub')).isDirectory()).toBe(true);
});

test('gives up on links that go round in circles', () => {
  symlinkSync('b', join(folder(), 'a'));
  symlinkSync('a', join(folder(), 'b'));
  expect(() => makeDirectoryInTree(folder(), 'a/x')).toThrow('lead round in circles');
});

test('what it makes is ours and 0755, also below a folder that hands its group down', () => {
  const root = join(folder(), 'root');
  mkdirSync(root);
  chmodSync(root, 0o2777);
  const umask = process.umask(0o077);
  makeDirectoryInTree(root, 'a/b');
  process.umask(umask);
  for (const path of ['a', 'a/b']) expect(lstatSync(join(root, path)).mode & 0o7777).toBe(0o755);
});
