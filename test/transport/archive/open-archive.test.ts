import { readdirSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { openArchive, type Archive, type ArchiveFile } from '../../../src/transport/archive/open-archive.ts';
import { compress, writeTar } from '../../fixtures/image-builder.ts';
import { useTempFolder } from '../../fixtures/temp-folder.ts';
import { messageOfFailure } from '../images.ts';

const folder = useTempFolder();
const scratch = useTempFolder();
const path = (): string => join(folder(), 'x.tar');
const BIG = Buffer.from(Array.from({ length: 3_000_000 }, (_, i) => i % 251));
const TAR = writeTar([
  { path: 'a', content: 'small' },
  { path: 'big', content: BIG },
  { path: 'link', type: 'symlink', target: 'a' },
  { path: 'hard', type: 'hardlink', target: 'a' },
]);

beforeEach(() => {
  vi.stubEnv('TMPDIR', scratch());
});
afterEach(() => {
  vi.unstubAllEnvs();
});

function fileOf(archive: Archive, name: string): ArchiveFile {
  const file = archive.find(name);
  if (file === undefined) throw new Error(`no member ${name}`);
  return file;
}

describe.each([
  ['plain', TAR],
  ['gzip', gzipSync(TAR)],
])('a %s archive', (_, bytes) => {
  test('gives its members whole, in part and as streams that do not disturb each other', async () => {
    writeFileSync(path(), bytes);
    const archive = await openArchive(path());
    try {
      const [a, big] = [fileOf(archive, 'a'), fileOf(archive, 'big')];
      expect((await archive.read(a, 5)).toString()).toBe('small');
      expect((await archive.readStart(a, 2)).toString()).toBe('sm');
      expect((await archive.readStart(a, 100)).toString()).toBe('small');
      const streams = [big, a, big].map((file) => buffer(archive.stream(file)));
      const [first, second, third] = await Promise.all(streams);
      expect(first?.equals(BIG)).toBe(true);
      expect(second?.toString()).toBe('small');
      expect(third?.equals(BIG)).toBe(true);
      expect(archive.find('none')).toBeUndefined();
    } finally {
      await archive.close();
    }
  });

  test('refuses to give a link, and more than the limit', async () => {
    writeFileSync(path(), bytes);
    const archive = await openArchive(path());
    try {
      for (const name of ['link', 'hard']) {
        expect(() => archive.find(name)).toThrow(`${path()} has ${name}, but not as a regular file`);
      }
      expect(await messageOfFailure(archive.read(fileOf(archive, 'a'), 4), 'limit-exceeded')).toBe(
        `${path()}, member a, has 5 bytes; the limit is 4`,
      );
    } finally {
      await archive.close();
    }
  });

  test('leaves no temp files when it is closed', async () => {
    writeFileSync(path(), bytes);
    const archive = await openArchive(path());
    await archive.close();
    expect(readdirSync(scratch())).toEqual([]);
  });
});

test('a member of a plain archive is read through many streams without a warning', async () => {
  const warnings: string[] = [];
  const listener = (warning: Error): void => void warnings.push(warning.message);
  process.on('warning', listener);
  writeFileSync(path(), TAR);
  const archive = await openArchive(path());
  for (let i = 0; i < 20; i++) await buffer(archive.stream(fileOf(archive, 'a')));
  await archive.close();
  process.off('warning', listener);
  expect(warnings).toEqual([]);
});

test('a stream of an archive that shrinks meanwhile ends with an error', async () => {
  writeFileSync(path(), TAR);
  const archive = await openArchive(path());
  const stream = archive.stream(fileOf(archive, 'big'));
  truncateSync(path(), 1_500_000);
  expect(await messageOfFailure(buffer(stream), 'archive-invalid')).toMatch(/member big, ends after/);
  await archive.close();
});

test('a stream that is read after close fails', async () => {
  writeFileSync(path(), TAR);
  const archive = await openArchive(path());
  const stream = archive.stream(fileOf(archive, 'big'));
  await archive.close();
  await expect(buffer(stream)).rejects.toThrow(/closed|EBADF/);
});

test('a symlink to an archive is followed, because a person typed it', async () => {
  writeFileSync(join(folder(), 'real.tar'), TAR);
  symlinkSync('real.tar', path());
  const archive = await openArchive(path());
  expect(archive.members.size).toBe(4);
  await archive.close();
});

describe('an archive is refused', () => {
  test('when it is not there', async () => {
    expect(await messageOfFailure(openArchive(path()), 'image-not-found')).toBe(`There is no file ${path()}`);
  });

  test('when it is a folder', async () => {
    expect(await messageOfFailure(openArchive(folder()), 'archive-invalid')).toBe(
      `${folder()} is not a regular file`,
    );
  });

  test('when it is compressed with zstd', async () => {
    writeFileSync(path(), compress(TAR, 'zstd'));
    expect(await messageOfFailure(openArchive(path()), 'compression-unsupported')).toContain(path());
  });

  test('when its gzip is cut off, and nothing is left in the temp folder', async () => {
    const bytes = gzipSync(TAR);
    writeFileSync(path(), bytes.subarray(0, bytes.length - 100));
    expect(await messageOfFailure(openArchive(path()), 'archive-invalid')).toMatch(/cannot be decompressed/);
    expect(readdirSync(scratch())).toEqual([]);
  });

  test('when what was compressed is no tar, and nothing is left in the temp folder', async () => {
    writeFileSync(path(), gzipSync(Buffer.alloc(600, 'x')));
    expect(await messageOfFailure(openArchive(path()), 'archive-invalid')).toMatch(/is not a tar archive$/);
    expect(readdirSync(scratch())).toEqual([]);
  });
});

test('the temp folder is private', async () => {
  writeFileSync(path(), gzipSync(TAR));
  const archive = await openArchive(path());
  const [name = ''] = readdirSync(scratch());
  expect(statSync(join(scratch(), name)).mode & 0o777).toBe(0o700);
  await archive.close();
});
