import { readdirSync, readlinkSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { AtomicError } from '../../../src/errors.ts';
import { openArchive, type Archive, type ArchiveFile } from '../../../src/transport/archive/open-archive.ts';
import type { TempSpace } from '../../../src/transport/temp-folder.ts';
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

/** Of what is inflated. */
const space = (): TempSpace => ({ environment: { TMPDIR: scratch() } });

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
    const archive = await openArchive(path(), space());
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
    const archive = await openArchive(path(), space());
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
    const archive = await openArchive(path(), space());
    await archive.close();
    expect(readdirSync(scratch())).toEqual([]);
  });
});

test('a member of a plain archive is read through many streams without a warning', async () => {
  const warnings: string[] = [];
  const listener = (warning: Error): void => void warnings.push(warning.message);
  process.on('warning', listener);
  writeFileSync(path(), TAR);
  const archive = await openArchive(path(), space());
  for (let i = 0; i < 20; i++) await buffer(archive.stream(fileOf(archive, 'a')));
  await archive.close();
  process.off('warning', listener);
  expect(warnings).toEqual([]);
});

test('a stream of an archive that shrinks meanwhile ends with an error', async () => {
  writeFileSync(path(), TAR);
  const archive = await openArchive(path(), space());
  const stream = archive.stream(fileOf(archive, 'big'));
  truncateSync(path(), 1_500_000);
  expect(await messageOfFailure(buffer(stream), 'archive-invalid')).toMatch(/member big, ends after/);
  await archive.close();
});

test('a stream that is read after close fails', async () => {
  writeFileSync(path(), TAR);
  const archive = await openArchive(path(), space());
  const stream = archive.stream(fileOf(archive, 'big'));
  await archive.close();
  await expect(buffer(stream)).rejects.toThrow(/closed|EBADF/);
});

test('a symlink to an archive is followed, because a person typed it', async () => {
  writeFileSync(join(folder(), 'real.tar'), TAR);
  symlinkSync('real.tar', path());
  const archive = await openArchive(path(), space());
  expect(archive.members.size).toBe(4);
  await archive.close();
});

describe('an archive is refused', () => {
  test('when it is not there', async () => {
    expect(await messageOfFailure(openArchive(path(), space()), 'image-not-found')).toBe(
      `There is no file ${path()}`,
    );
  });

  test('when it is a folder', async () => {
    expect(await messageOfFailure(openArchive(folder(), space()), 'archive-invalid')).toBe(
      `${folder()} is not a regular file`,
    );
  });

  test('when it is compressed with zstd', async () => {
    writeFileSync(path(), compress(TAR, 'zstd'));
    expect(await messageOfFailure(openArchive(path(), space()), 'compression-unsupported')).toContain(path());
  });

  test('when its gzip is cut off, and nothing is left in the temp folder', async () => {
    const bytes = gzipSync(TAR);
    writeFileSync(path(), bytes.subarray(0, bytes.length - 100));
    expect(await messageOfFailure(openArchive(path(), space()), 'archive-invalid')).toMatch(
      /cannot be decompressed/,
    );
    expect(readdirSync(scratch())).toEqual([]);
  });

  test('when what was compressed is no tar, and nothing is left in the temp folder', async () => {
    writeFileSync(path(), gzipSync(Buffer.alloc(600, 'x')));
    expect(await messageOfFailure(openArchive(path(), space()), 'archive-invalid')).toMatch(
      /is not a tar archive$/,
    );
    expect(readdirSync(scratch())).toEqual([]);
  });
});

test('what is inflated is on the disk of TMPDIR, and has no name there', async () => {
  writeFileSync(path(), gzipSync(TAR));
  const archive = await openArchive(path(), space());
  expect(readdirSync(scratch())).toEqual([]);
  const opened = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return '';
    }
  });
  expect(opened.filter((file) => file.startsWith(scratch()))).toEqual([
    expect.stringMatching(/\/atomic-ts-[-0-9a-f]{36} \(deleted\)$/),
  ]);
  await archive.close();
});

test('a signal ends the inflating with its reason, at once', async () => {
  writeFileSync(path(), gzipSync(TAR));
  const reason = new AtomicError('interrupted', 'Interrupted by SIGINT');
  const opening = openArchive(path(), { ...space(), signal: AbortSignal.abort(reason) });
  await expect(opening).rejects.toBe(reason);
  expect(readdirSync(scratch())).toEqual([]);
});

test('a temp folder that is not there is told', async () => {
  writeFileSync(path(), gzipSync(TAR));
  const missing = join(scratch(), 'none');
  expect(
    await messageOfFailure(openArchive(path(), { environment: { TMPDIR: missing } }), 'file-exists'),
  ).toBe(`Cannot make a temp file in ${missing}: there is no such file or folder`);
});
