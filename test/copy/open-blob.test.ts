import { execFileSync } from 'node:child_process';
import {
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { PassThrough, pipeline, Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { useBlob, whileClaimed } from '../../src/copy/open-blob.ts';
import { AtomicError, messageOf } from '../../src/errors.ts';
import type { ProgressEvent } from '../../src/events.ts';
import type { Descriptor } from '../../src/image/descriptor.ts';
import { VerifyStream } from '../../src/stream/verify.ts';
import { partialName, type BlobClaims } from '../../src/transport/blob-claims.ts';
import { createKeptClaims } from '../../src/transport/kept-blobs.ts';
import { createPartialFiles, type PartialFiles } from '../../src/transport/partial-files.ts';
import type { ImageSource } from '../../src/transport/transport.ts';
import { FakeLocks } from '../fixtures/fake-locks.ts';
import { describe as describeBytes } from '../fixtures/image-builder.ts';
import { IN_MEMORY, useTempFolder } from '../fixtures/temp-folder.ts';
import { failureOf } from '../stream/collect.ts';

const BLOB = Buffer.from(Array.from({ length: 61 }, (_, i) => i * 3));
const DESCRIPTOR = describeBytes(BLOB, '');
const never = new AbortController().signal;
const lost = new Error('connection lost');
const folder = useTempFolder(IN_MEMORY);

/** Why a promise is not kept, for one that is waited for later. */
function reasonOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'kept',
    (error: unknown) => messageOf(error),
  );
}

/** A source of one blob. */
class OneBlob implements ImageSource {
  readonly name = 'test:blob';
  readonly seekable: boolean = true;
  /** The byte that each request began at. */
  readonly asked: number[] = [];
  /** Where the connection is lost. */
  cut: number | undefined;
  /** What is waited for before that. */
  beforeCut: (cut: number) => Promise<unknown> = () => Promise.resolve();
  /** What it gives instead of the blob. */
  bytes: Buffer = BLOB;

  getManifest(): Promise<never> {
    return Promise.reject(new Error('not asked'));
  }

  getBlob(_descriptor: Descriptor, from = 0): Promise<Readable> {
    this.asked.push(from);
    const { cut, beforeCut } = this;
    const bytes = this.bytes.subarray(from, cut);
    const pieces = Array.from({ length: Math.ceil(bytes.length / 7) }, (_, i) =>
      bytes.subarray(i * 7, i * 7 + 7),
    );
    return Promise.resolve(
      new Readable({
        read() {
          const next = pieces.shift();
          if (next !== undefined || cut === undefined) this.push(next ?? null);
          else void beforeCut(cut).then(() => this.destroy(lost));
        },
      }),
    );
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

class Unseekable extends OneBlob {
  override readonly seekable = false;
}

/** A place that blobs go to. */
interface Place {
  readonly claims: BlobClaims;
  /** Where it keeps what came of a blob. */
  readonly kept: () => string;
  /** Stores a blob and gives its bytes back. */
  store(bytes: Readable): Promise<Buffer>;
  end(): Promise<void>;
}

let locks: FakeLocks;
let events: ProgressEvent[];
beforeEach(() => {
  locks = new FakeLocks();
  events = [];
});
const claiming = () => ({ locks, report: (event: ProgressEvent) => void events.push(event) });

async function openFolder(): Promise<Place> {
  const files: PartialFiles = await createPartialFiles(folder(), claiming());
  const target = join(folder(), 'blob');
  if (files.claims === undefined) throw new Error('the folder has no claims');
  return {
    claims: files.claims,
    kept: () => join(folder(), '.partial-blobs', partialName(DESCRIPTOR.digest)),
    async store(bytes) {
      await files.writeBlob(DESCRIPTOR.digest, target, bytes);
      return readFileSync(target);
    },
    end: () => files.remove(),
  };
}

let roomLeft = Infinity;
function openStore(): Promise<Place> {
  const room = {
    floorBytes: 2,
    take: (bytes: number): number => {
      const taken = Math.min(bytes, roomLeft);
      roomLeft -= taken;
      return taken;
    },
    giveBack: (bytes: number): void => void (roomLeft += bytes),
  };
  const where = { folder: join(folder(), 'partial'), owner: userInfo().uid, room };
  const claims = createKeptClaims(claiming(), where, (name) => join(folder(), name));
  const kept = (): string => join(where.folder, partialName(DESCRIPTOR.digest));
  return Promise.resolve({ claims, kept, store: (bytes) => buffer(bytes), end: () => Promise.resolve() });
}

/** Waits until so much of the blob is in its file. */
function arrivedIn({ kept }: Place): (bytes: number) => Promise<unknown> {
  return (bytes) =>
    vi.waitUntil(() => bytes === 0 || (existsSync(kept()) && statSync(kept()).size === bytes), {
      interval: 1,
      timeout: 10_000,
    });
}

/** One run, as an import and a copy do it; the store's files go when a layer is published. */
async function fetchInto(place: Place, source: ImageSource, signal = never): Promise<Buffer> {
  try {
    return await whileClaimed(place.claims, DESCRIPTOR, signal, async (claim) => {
      const stored = await useBlob(source, DESCRIPTOR, claim, signal, (bytes) => {
        const verified = new VerifyStream({ ...DESCRIPTOR, what: 'the blob' });
        pipeline(bytes, verified, () => undefined);
        return place.store(verified);
      });
      await claim?.drop();
      return stored;
    });
  } finally {
    await place.end();
  }
}

describe.each([
  ['a folder', openFolder],
  ['a store', openStore],
])('a blob on its way into %s', (_name, open) => {
  beforeEach(() => {
    roomLeft = Infinity;
  });

  /** What a second run finds, whatever it is. */
  async function plant(put: (path: string) => void): Promise<Place> {
    const place = await open();
    const path = place.kept();
    mkdirSync(join(path, '..'), { mode: 0o700, recursive: true });
    put(path);
    return place;
  }

  test('that was cut off at any byte is gone on with there', async () => {
    for (let cut = 0; cut < BLOB.length; cut++) {
      const source = new OneBlob();
      const place = await open();
      source.cut = cut;
      source.beforeCut = arrivedIn(place);
      await expect(fetchInto(place, source)).rejects.toThrow('connection lost');
      source.cut = undefined;
      expect(await fetchInto(await open(), source)).toEqual(BLOB);
      expect(source.asked).toEqual([0, cut]);
      expect(readdirSync(folder()).filter((name) => name.startsWith('.partial'))).toEqual([]);
      expect(existsSync(place.kept())).toBe(false);
    }
  });

  test('may be cut off again and again', async () => {
    const source = new OneBlob();
    for (const cut of [10, 10, 25, 60]) {
      const place = await open();
      source.cut = cut;
      source.beforeCut = arrivedIn(place);
      await expect(fetchInto(place, source)).rejects.toThrow('connection lost');
    }
    source.cut = undefined;
    expect(await fetchInto(await open(), source)).toEqual(BLOB);
    expect(source.asked).toEqual([0, 10, 10, 25, 60]);
  });

  test('that is there whole is asked of nobody', async () => {
    const source = new OneBlob();
    const place = await plant((path) => writeFileSync(path, BLOB));
    expect(await fetchInto(place, source)).toEqual(BLOB);
    expect(source.asked).toEqual([]);
  });

  test.each<[string, (path: string) => void, number[]]>([
    [
      'a changed byte',
      (path) => writeFileSync(path, Buffer.concat([Buffer.from('x'), BLOB.subarray(1, 30)])),
      [30, 0],
    ],
    ['zeros, as a power cut leaves them', (path) => writeFileSync(path, Buffer.alloc(30)), [30, 0]],
    ['all of another blob', (path) => writeFileSync(path, Buffer.alloc(BLOB.length, 1)), [0]],
    ['too many bytes', (path) => writeFileSync(path, Buffer.concat([BLOB, BLOB])), [0]],
    ['no byte', (path) => writeFileSync(path, ''), [0]],
    ['a folder', (path) => mkdirSync(path), [0]],
    ['a pipe', (path) => execFileSync('mkfifo', [path]), [0]],
    ['a broken link', (path) => symlinkSync('/nonexistent', path), [0]],
  ])('is asked for anew where there is %s', async (_what, put, asked) => {
    const source = new OneBlob();
    expect(await fetchInto(await plant(put), source)).toEqual(BLOB);
    expect(source.asked).toEqual(asked);
  });

  test.each<[string, (victim: string, path: string) => void]>([
    ['a link', (victim, path) => symlinkSync(victim, path)],
    ['a hard link', (victim, path) => linkSync(victim, path)],
  ])('neither reads nor writes through %s', async (_what, link) => {
    const victim = join(folder(), 'victim');
    writeFileSync(victim, BLOB.subarray(0, 20));
    const source = new OneBlob();
    expect(await fetchInto(await plant((path) => link(victim, path)), source)).toEqual(BLOB);
    expect(source.asked).toEqual([0]);
    expect(readFileSync(victim)).toEqual(BLOB.subarray(0, 20));
  });

  test('does not go on with what another user left', async () => {
    const source = new OneBlob();
    const place = await plant((path) => {
      writeFileSync(path, BLOB.subarray(0, 20));
      chownSync(path, 1, 1);
    });
    expect(await fetchInto(place, source)).toEqual(BLOB);
    expect(source.asked).toEqual([0]);
  });

  test.each<[string, (path: string) => void]>([
    ['anybody may write to', (path) => mkdirSync(path, { mode: 0o755 })],
    ['is a link', (path) => symlinkSync('..', path)],
  ])('keeps nothing in a folder that %s', async (_what, make) => {
    const place = await open();
    make(join(place.kept(), '..'));
    const source = new OneBlob();
    source.cut = 30;
    await expect(fetchInto(place, source)).rejects.toThrow('connection lost');
    expect(existsSync(place.kept())).toBe(false);
    source.cut = undefined;
    expect(await fetchInto(await open(), source)).toEqual(BLOB);
    expect(source.asked).toEqual([0, 0]);
  });

  test('comes whole from a source that cannot start in the middle', async () => {
    const source = new Unseekable();
    source.cut = 30;
    await expect(fetchInto(await open(), source)).rejects.toThrow('connection lost');
    source.cut = undefined;
    expect(await fetchInto(await open(), source)).toEqual(BLOB);
    expect(source.asked).toEqual([0, 0]);
  });

  test('that is wrong at its source is refused, once, and not kept', async () => {
    const source = new OneBlob();
    source.bytes = Buffer.alloc(BLOB.length, 9);
    const place = await open();
    expect(await failureOf(fetchInto(place, source))).toMatchObject({ code: 'digest-mismatch' });
    expect(source.asked).toEqual([0]);
    expect(existsSync(place.kept())).toBe(false);
  });

  test('that is wrong at its source is refused after what was left of the right one is', async () => {
    const source = new OneBlob();
    source.bytes = Buffer.alloc(BLOB.length, 9);
    const place = await plant((path) => writeFileSync(path, BLOB.subarray(0, 30)));
    expect(await failureOf(fetchInto(place, source))).toMatchObject({ code: 'digest-mismatch' });
    expect(source.asked).toEqual([30, 0]);
    expect(existsSync(place.kept())).toBe(false);
  });

  test('that is given up stays as far as it came', async () => {
    const stop = new AbortController();
    const source = new OneBlob();
    const stream = new PassThrough();
    stream.write(BLOB.subarray(0, 40));
    source.getBlob = () => Promise.resolve(stream);
    const place = await open();
    const running = fetchInto(place, source, stop.signal);
    const failed = reasonOf(running);
    await expect.poll(() => existsSync(place.kept()) && statSync(place.kept()).size).toBe(40);
    const reason = new AtomicError('digest-mismatch', 'stop');
    stop.abort(reason);
    stream.destroy(reason);
    expect(await failed).toBe('stop');
    expect(statSync(place.kept()).size).toBe(40);
    expect(await fetchInto(await open(), new OneBlob())).toEqual(BLOB);
  });

  test('is waited for where another process is at it, which is told once', async () => {
    const place = await open();
    const held = await place.claims.take(DESCRIPTOR, 'none');
    const again = await open();
    expect(await again.claims.take(DESCRIPTOR, 'none')).toBeUndefined();
    expect(events).toEqual([]);
    const waiting = again.claims.take(DESCRIPTOR, 'wait');
    await expect
      .poll(() => events)
      .toEqual([
        {
          event: 'notice',
          text: `Cannot fetch the blob ${DESCRIPTOR.digest} now: process 7 (test) is at it; waiting for it`,
        },
      ]);
    await held?.release();
    await held?.release();
    await (await waiting)?.release();
    await again.end();
    await place.end();
    expect(locks.held.size).toBe(0);
  });

  test('is not waited for any longer once that is given up', async () => {
    const place = await open();
    const held = await place.claims.take(DESCRIPTOR, 'none');
    const stop = new AbortController();
    const waiting = place.claims.take(DESCRIPTOR, 'wait', stop.signal);
    const failed = reasonOf(waiting);
    await expect.poll(() => events.length).toBe(1);
    stop.abort(new Error('stop'));
    expect(await failed).toBe('stop');
    await held?.release();
    await place.end();
  });

  test('is fetched without a claim where locks do not work', async () => {
    locks.acquire = () => Promise.reject(new AtomicError('tool-missing', 'no flock'));
    const source = new OneBlob();
    expect(await fetchInto(await open(), source)).toEqual(BLOB);
  });
});

describe('a store', () => {
  test('keeps no more than it has room for, and gets that back', async () => {
    roomLeft = 25;
    const source = new OneBlob();
    source.cut = 50;
    await expect(fetchInto(await openStore(), source)).rejects.toThrow('connection lost');
    expect(roomLeft).toBe(0);
    source.cut = undefined;
    expect(await fetchInto(await openStore(), source)).toEqual(BLOB);
    expect([source.asked, roomLeft]).toEqual([[0, 25], 25]);
  });
});
