import { execFileSync } from 'node:child_process';
import { symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { isFileOfSize, openRegularFile, readSmallFile, streamFile } from '../../src/transport/local-file.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';
import { messageOfFailure } from './images.ts';

const folder = useTempFolder();
const path = (): string => join(folder(), 'file');

test('a FIFO is refused and does not hold us up', async () => {
  execFileSync('mkfifo', [path()]);
  expect(await messageOfFailure(openRegularFile(path(), 'refuse'), 'archive-invalid')).toBe(
    `${path()} is not a regular file`,
  );
  expect(await isFileOfSize(path(), 0)).toBe(false);
});

test('a name below a file, and one that is not there, are absent', async () => {
  writeFileSync(path(), 'x');
  expect(await readSmallFile(join(path(), 'below'), 10)).toBeUndefined();
  expect(await streamFile(join(folder(), 'none'))).toBeUndefined();
});

test('a name that no file can have is an error of ours', async () => {
  expect(await messageOfFailure(openRegularFile('a\0b', 'refuse'), 'archive-invalid')).toMatch(
    /cannot be opened/,
  );
});

test('a file is read up to its limit, whole or not at all', async () => {
  writeFileSync(path(), '12345');
  expect((await readSmallFile(path(), 5))?.toString()).toBe('12345');
  expect(await messageOfFailure(readSmallFile(path(), 4), 'limit-exceeded')).toBe(
    `${path()} has 5 bytes; the limit is 4`,
  );
});

test('a stream gives large chunks', async () => {
  const content = Buffer.alloc(3 * 1024 * 1024, 'x');
  writeFileSync(path(), content);
  const stream = await streamFile(path());
  if (stream === undefined) throw new Error('no stream');
  const sizes: number[] = [];
  stream.on('data', (chunk: Buffer) => sizes.push(chunk.length));
  expect((await buffer(stream)).equals(content)).toBe(true);
  expect(sizes).toEqual([1024 * 1024, 1024 * 1024, 1024 * 1024]);
});

test('a link has no size of its own', async () => {
  writeFileSync(path(), '12345');
  symlinkSync('file', join(folder(), 'link'));
  expect(await isFileOfSize(path(), 5)).toBe(true);
  expect(await isFileOfSize(path(), 4)).toBe(false);
  expect(await isFileOfSize(join(folder(), 'link'), 5)).toBe(false);
});
