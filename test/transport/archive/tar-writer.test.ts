import { execFileSync } from 'node:child_process';
import { PassThrough, Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { createTarWriter } from '../../../src/transport/archive/tar-writer.ts';

/** `tar` itself says what is in an archive. */
function list(archive: Buffer): string[] {
  const stdout = execFileSync('tar', ['--list', '--verbose', '--numeric-owner', '--utc', '--full-time'], {
    input: archive,
    encoding: 'utf8',
  });
  return stdout.trim().split('\n');
}

async function write(members: readonly (readonly [string, Buffer])[]): Promise<Buffer> {
  const archive = new PassThrough();
  const whole = buffer(archive);
  const writer = createTarWriter(archive);
  for (const [name, bytes] of members) await writer.add(name, bytes.length, Readable.from([bytes]));
  writer.end();
  return whole;
}

const long = `blobs/sha512/${'f'.repeat(128)}`;
const members = [
  ['empty', Buffer.alloc(0)],
  [long, Buffer.alloc(512, 'x')],
  ['odd', Buffer.alloc(100_001, 'y')],
] as const;

test('tar reads the members, which have a fixed owner, mode and time', async () => {
  const archive = await write(members);
  expect(archive.length % 512).toBe(0);
  expect(list(archive).map((line) => line.replace(/ +/g, ' '))).toEqual([
    '-rw-r--r-- 0/0 0 1970-01-01 00:00:00 empty',
    `-rw-r--r-- 0/0 512 1970-01-01 00:00:00 ${long}`,
    '-rw-r--r-- 0/0 100001 1970-01-01 00:00:00 odd',
  ]);
  const odd = execFileSync('tar', ['--extract', '--to-stdout', 'odd'], { input: archive });
  expect(odd.equals(members[2][1])).toBe(true);
});

test('the same members give the same bytes', async () => {
  expect((await write(members)).equals(await write(members))).toBe(true);
});

test('many members leave nothing listening on the archive', async () => {
  const archive = new PassThrough();
  archive.resume();
  const writer = createTarWriter(archive);
  const before = archive.listenerCount('error');
  for (let i = 0; i < 50; i++) await writer.add(`${i}`, 1, Buffer.from('x'));
  expect(archive.listenerCount('error')).toBe(before);
  expect(archive.listenerCount('drain')).toBe(0);
});

describe('a failure is told, and nothing hangs:', () => {
  test('of the bytes that are added', async () => {
    const archive = new PassThrough();
    archive.resume();
    const broken = Readable.from(
      (async function* () {
        yield Buffer.from('x');
        throw new Error('the line broke');
      })(),
    );
    await expect(createTarWriter(archive).add('a', 5, broken)).rejects.toThrow('the line broke');
    expect(archive.destroyed).toBe(false);
  });

  test('of the archive, while bytes are awaited that never come', async () => {
    const archive = new PassThrough();
    const silent = new PassThrough();
    silent.write('abc');
    const writer = createTarWriter(archive);
    const adding = writer.add('a', 5, silent);
    setImmediate(() => archive.destroy(new Error('no room')));
    await expect(adding).rejects.toThrow('no room');
    await expect(writer.add('b', 1, Buffer.from('x'))).rejects.toThrow(/destroyed|no room/);
    silent.destroy();
  });
});
