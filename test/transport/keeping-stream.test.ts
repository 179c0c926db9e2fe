import type { FileHandle } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { pipeline, Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { KeepingStream, type KeepingRoom } from '../../src/transport/keeping-stream.ts';

const MiB = 1024 * 1024;

/** A file whose writes a test holds and fails. */
class FakeFile {
  bytes = Buffer.alloc(0);
  fails: Error | undefined;
  wait: Promise<void> = Promise.resolve();

  async writev(chunks: readonly Buffer[], position: number): Promise<{ bytesWritten: number }> {
    await this.wait;
    if (this.fails !== undefined) throw this.fails;
    const batch = Buffer.concat(chunks);
    this.bytes = Buffer.concat([this.bytes.subarray(0, position), batch]);
    return { bytesWritten: batch.length };
  }
}

function roomOf(bytes: number): KeepingRoom & { left: number } {
  return {
    floorBytes: 0,
    left: bytes,
    take(wanted) {
      const taken = Math.min(wanted, this.left);
      this.left -= taken;
      return taken;
    },
    giveBack(back) {
      this.left += back;
    },
  };
}

function keep(file: FakeFile, room: KeepingRoom, chunks: readonly Buffer[]): KeepingStream {
  const stream = new KeepingStream(file as unknown as FileHandle, 0, room);
  pipeline(Readable.from(chunks), stream, () => undefined);
  return stream;
}

const chunks = (count: number): Buffer[] => Array.from({ length: count }, (_, i) => Buffer.alloc(MiB, i));

test('passes everything on, and writes it', async () => {
  const [file, room] = [new FakeFile(), roomOf(Infinity)];
  const stream = keep(file, room, chunks(20));
  const all = Buffer.concat(chunks(20));
  expect((await buffer(stream)).equals(all)).toBe(true);
  expect(await stream.settle()).toBe(20 * MiB);
  expect(file.bytes.equals(all)).toBe(true);
  expect(stream.gaveUp).toBe(false);
});

test('holds only so much in memory for a slow disk', async () => {
  const [file, room] = [new FakeFile(), roomOf(100 * MiB)];
  let go = (): void => undefined;
  file.wait = new Promise((resolve) => (go = resolve));
  const stream = keep(file, room, chunks(20));
  let passed = 0;
  stream.on('data', (chunk: Buffer) => (passed += chunk.length));
  await expect.poll(() => passed).toBe(4 * MiB);
  for (let turns = 0; turns < 100; turns++) await new Promise((resolve) => setImmediate(resolve));
  expect(passed).toBe(4 * MiB);
  go();
  await expect.poll(() => passed).toBe(20 * MiB);
  expect(await stream.settle()).toBe(20 * MiB);
});

test('goes on without a disk that is full, and gives the room back', async () => {
  const [file, room] = [new FakeFile(), roomOf(100 * MiB)];
  file.fails = new Error('ENOSPC');
  const stream = keep(file, room, chunks(20));
  expect((await buffer(stream)).length).toBe(20 * MiB);
  expect(await stream.settle()).toBe(0);
  expect([stream.gaveUp, room.left]).toEqual([true, 100 * MiB]);
});

test('writes to the end of its room', async () => {
  const [file, room] = [new FakeFile(), roomOf(2.5 * MiB)];
  const stream = keep(file, room, chunks(5));
  expect((await buffer(stream)).length).toBe(5 * MiB);
  expect(await stream.settle()).toBe(2.5 * MiB);
  expect(file.bytes.equals(Buffer.concat(chunks(3)).subarray(0, 2.5 * MiB))).toBe(true);
  expect([stream.gaveUp, room.left]).toEqual([false, 0]);
});
