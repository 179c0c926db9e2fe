import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { ProgressEvent } from '../../../src/events.ts';
import type { Descriptor } from '../../../src/image/descriptor.ts';
import type { FakeRegistry } from '../../registry/fake-registry.ts';
import type { Fault } from '../../registry/fake-faults.ts';
import { failureOf, openSource, QUICK, startRegistry, type Told } from './setup.ts';

const SIZE = 3_000_000;
const BLOB = randomBytes(SIZE);

async function read(registry: FakeRegistry, descriptor: Descriptor, told: Told = {}): Promise<Buffer> {
  const stream = await openSource(`${registry.host}/app:1`, told).getBlob(descriptor);
  const chunks: Buffer[] = [];
  for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Reads BLOB from a registry with the given faults, the first one first. */
async function readFaulty(
  faults: Fault[],
  told: Told = {},
): Promise<{ registry: FakeRegistry; reading: Promise<Buffer> }> {
  const registry = await startRegistry();
  const descriptor = registry.addBlob(BLOB);
  for (const fault of faults) registry.addFault(/blobs/, fault, 1);
  return { registry, reading: read(registry, descriptor, told) };
}

describe('a blob', () => {
  it('comes as it is, in large chunks', async () => {
    const registry = await startRegistry();
    const stream = await openSource(`${registry.host}/app:1`).getBlob(registry.addBlob(BLOB));
    let chunks = 0;
    let bytes = 0;
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      chunks += 1;
      bytes += chunk.length;
    }
    expect(bytes).toBe(SIZE);
    expect(bytes / chunks).toBeGreaterThan(8 * 1024);
  });

  it('may be empty', async () => {
    const registry = await startRegistry();
    expect(await read(registry, registry.addBlob(Buffer.alloc(0)))).toHaveLength(0);
  });

  it('that is not there fails before the first byte', async () => {
    const registry = await startRegistry();
    const descriptor = registry.addBlob(BLOB);
    registry.blobs.clear();
    const error = await failureOf(openSource(`${registry.host}/app:1`).getBlob(descriptor));
    expect([error.code, error.message]).toEqual([
      'registry-error',
      expect.stringContaining(descriptor.digest),
    ]);
  });

  it('of another length than the descriptor says fails before the first byte', async () => {
    const registry = await startRegistry();
    const descriptor = registry.addBlob(BLOB);
    registry.addFault(/blobs/, { kind: 'wrong-length', length: SIZE + 1 });
    expect((await failureOf(openSource(`${registry.host}/app:1`).getBlob(descriptor))).code).toBe(
      'size-mismatch',
    );
  });

  it('that never ends fails at the first byte too many', async () => {
    const { reading } = await readFaulty([{ kind: 'endless' }]);
    expect((await failureOf(reading)).code).toBe('size-mismatch');
  });

  it('that the registry ends early fails', async () => {
    const { registry, reading } = await readFaulty([{ kind: 'short', after: 1000 }]);
    const error = await failureOf(reading);
    expect([error.code, error.message]).toEqual([
      'size-mismatch',
      expect.stringContaining('only 1000 bytes'),
    ]);
    expect(registry.count(/blobs/)).toBe(1);
  });

  it('does not flow before it is read, and not faster than it is read', async () => {
    const registry = await startRegistry();
    const large = registry.addBlob(Buffer.alloc(64 * 1024 * 1024));
    const stream = await openSource(`${registry.host}/app:1`).getBlob(large);
    await sleep(50);
    expect(stream.readableLength).toBe(0);
    stream.once('readable', () => undefined);
    await once(stream, 'readable');
    await sleep(50);
    expect(stream.readableLength).toBeLessThan(4 * 1024 * 1024);
    stream.destroy();
  });

  it('that comes in chunks makes its connection pause for each megabyte and not for each chunk', async () => {
    const registry = await startRegistry();
    const size = 16 * 1024 * 1024;
    registry.addFault(/blobs/, { kind: 'small-chunks', length: 4096 });
    const pauses = vi.spyOn(Socket.prototype, 'unshift');
    onTestFinished(() => pauses.mockRestore());
    const stream = await openSource(`${registry.host}/app:1`).getBlob(registry.addBlob(Buffer.alloc(size)));
    // What undici has read of its socket and may not hand on goes back there, and is copied as often.
    await expect.poll(() => pauses.mock.calls.length).toBe(1);
    let bytes = 0;
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      await sleep(1);
    }
    expect(bytes).toBe(size);
    expect(pauses.mock.calls.length).toBeLessThan(100);
  });

  it('gives up its connection when it is destroyed', async () => {
    const registry = await startRegistry();
    registry.addFault(/blobs/, { kind: 'endless' });
    const descriptor = { ...registry.addBlob(BLOB), size: Number.MAX_SAFE_INTEGER };
    const stream = await openSource(`${registry.host}/app:1`).getBlob(descriptor);
    await once(stream, 'data');
    stream.destroy();
    await once(stream, 'close');
    await expect.poll(() => registry.connections()).toBe(0);
  });

  it('fails as interrupted when the signal says so', async () => {
    const registry = await startRegistry();
    const control = new AbortController();
    registry.addFault(/blobs/, { kind: 'stall', after: 1000 });
    const stream = await openSource(`${registry.host}/app:1`, { signal: control.signal }).getBlob(
      registry.addBlob(BLOB),
    );
    await once(stream, 'data');
    control.abort();
    const [error] = (await once(stream, 'error').catch((error: unknown) => [error])) as unknown[];
    expect(error).toMatchObject({ code: 'interrupted' });
  });

  it('fails when its source is closed', async () => {
    const registry = await startRegistry();
    registry.addFault(/blobs/, { kind: 'stall', after: 1000 });
    const events: ProgressEvent[] = [];
    const source = openSource(`${registry.host}/app:1`, { events });
    const stream = await source.getBlob(registry.addBlob(BLOB));
    await once(stream, 'data');
    const failed = new Promise((resolve) => stream.once('error', resolve));
    await source.close();
    expect(await failed).toMatchObject({ code: 'registry-unreachable' });
    expect([registry.count(/blobs/), events]).toEqual([1, []]);
  });
});

describe('a blob whose connection breaks', () => {
  it('goes on from where it was', async () => {
    const events: ProgressEvent[] = [];
    const faults: Fault[] = [
      { kind: 'cut', after: 1_000_000 },
      { kind: 'cut', after: 500_000 },
    ];
    const { registry, reading } = await readFaulty(faults, { events });
    expect((await reading).equals(BLOB)).toBe(true);
    const ranges = registry.requests.map(({ headers }) => headers.range);
    expect(ranges).toHaveLength(3);
    expect(ranges[0]).toBeUndefined();
    for (const range of ranges.slice(1)) expect(range).toMatch(/^bytes=[1-9]\d*-$/);
    expect(events.map(({ event }) => event)).toEqual(['retry', 'retry']);
  });

  it('goes on after a silence', async () => {
    const timing = { ...QUICK, idleMs: 50 };
    const { registry, reading } = await readFaulty([{ kind: 'stall', after: 100_000 }], { timing });
    expect((await reading).equals(BLOB)).toBe(true);
    expect(registry.count(/blobs/)).toBe(2);
  });

  it('skips what it has when the registry sends everything again', async () => {
    const { registry, reading } = await readFaulty([
      { kind: 'cut', after: 1_000_000 },
      { kind: 'ignore-range' },
    ]);
    expect((await reading).equals(BLOB)).toBe(true);
    expect(registry.count(/blobs/)).toBe(2);
  });

  it.each(['wrong-range', 'wrong-total'] as const)('fails when the registry lies: %s', async (kind) => {
    const { reading } = await readFaulty([{ kind: 'cut', after: 1_000_000 }, { kind }]);
    const error = await failureOf(reading);
    expect([error.code, error.message]).toEqual([
      'registry-error',
      expect.stringMatching(
        /was asked for the bytes \d+-2999999 of 3000000 .* and sends "bytes \d+-\d+\/\d+"/,
      ),
    ]);
  });

  it('goes on after a trickle, and is given up when there is nothing else', async () => {
    const timing = { ...QUICK, slowMs: 30 };
    const { registry, reading } = await readFaulty([{ kind: 'trickle', after: 1_000_000 }], { timing });
    expect((await reading).equals(BLOB)).toBe(true);
    registry.addFault(/blobs/, { kind: 'trickle', after: 10 });
    const error = await failureOf(read(registry, registry.addBlob(BLOB), { timing }));
    expect([error.code, registry.count(/blobs/)]).toEqual(['stream-broken', 6]);
  });

  it('is not given up when its reader is the slow one', async () => {
    const registry = await startRegistry();
    const timing = { ...QUICK, slowMs: 5 };
    const size = 32 * 1024 * 1024;
    const source = openSource(`${registry.host}/app:1`, { timing });
    const stream = await source.getBlob(registry.addBlob(Buffer.alloc(size)));
    let bytes = 0;
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > size / 2 && bytes - chunk.length <= size / 2) await sleep(100);
    }
    expect([bytes, registry.count(/blobs/)]).toEqual([size, 1]);
  });

  it('may break often when each connection brings much', async () => {
    const registry = await startRegistry();
    const blob = Buffer.alloc(6 * 9_000_000, 'x');
    registry.addFault(/blobs/, { kind: 'cut', after: 9_000_000 });
    expect((await read(registry, registry.addBlob(blob))).equals(blob)).toBe(true);
    expect(registry.count(/blobs/)).toBeGreaterThan(4);
  });

  it('asks again through 503 and a lost connection', async () => {
    const { reading } = await readFaulty([
      { kind: 'cut', after: 1_000_000 },
      { kind: 'status', status: 503 },
      { kind: 'reset' },
    ]);
    expect((await reading).equals(BLOB)).toBe(true);
  });

  it('fails with what the registry says when it is gone', async () => {
    const { reading } = await readFaulty([
      { kind: 'cut', after: 1_000_000 },
      { kind: 'status', status: 404 },
    ]);
    expect((await failureOf(reading)).code).toBe('registry-error');
  });

  it('is given up when it breaks again and again', async () => {
    const registry = await startRegistry();
    const descriptor = registry.addBlob(BLOB);
    registry.addFault(/blobs/, { kind: 'cut', after: 100_000 });
    const error = await failureOf(read(registry, descriptor));
    expect([error.code, error.message]).toEqual([
      'stream-broken',
      expect.stringContaining(`of ${SIZE} bytes`),
    ]);
    expect(registry.count(/blobs/)).toBe(4);
  });
});

describe('a blob from a byte on', () => {
  const open = (registry: FakeRegistry, from: number, told: Told = {}): Promise<Readable> =>
    openSource(`${registry.host}/app:1`, told).getBlob(registry.addBlob(BLOB), from);

  it('is asked for with a range', async () => {
    const registry = await startRegistry();
    expect((await buffer(await open(registry, 1_000_000))).equals(BLOB.subarray(1_000_000))).toBe(true);
    expect(registry.requests.map(({ headers }) => headers.range)).toEqual(['bytes=1000000-']);
  });

  it('is skipped to when the registry sends everything', async () => {
    const registry = await startRegistry();
    registry.addFault(/blobs/, { kind: 'ignore-range' });
    expect((await buffer(await open(registry, 1_000_000))).equals(BLOB.subarray(1_000_000))).toBe(true);
  });

  it('goes on when it breaks', async () => {
    const registry = await startRegistry();
    registry.addFault(/blobs/, { kind: 'cut', after: 500_000 }, 1);
    expect((await buffer(await open(registry, 1_000_000))).equals(BLOB.subarray(1_000_000))).toBe(true);
    expect(registry.count(/blobs/)).toBe(2);
  });

  it.each(['wrong-range', 'wrong-total'] as const)('fails before the first byte for %s', async (kind) => {
    const registry = await startRegistry();
    registry.addFault(/blobs/, { kind });
    expect((await failureOf(open(registry, 10))).code).toBe('registry-error');
  });

  it('at its end is empty and not asked for', async () => {
    const registry = await startRegistry();
    expect(await buffer(await open(registry, SIZE))).toHaveLength(0);
    expect(registry.requests).toEqual([]);
  });
});
