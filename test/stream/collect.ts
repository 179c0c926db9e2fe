/** Pushes bytes through streams in given pieces, and tells what came out or what went wrong. */
import { Readable, type Duplex } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { isAtomicError, type AtomicError } from '../../src/errors.ts';
import { LayerFilter } from '../../src/stream/tar/filter.ts';
import { isZeroBlock, paddedSize, parseHeader } from '../../src/stream/tar/header.ts';
import { parsePax } from '../../src/stream/tar/pax.ts';
import { LayerRecorder, type LayerRecord } from '../../src/stream/tar/recorder.ts';

/** A stream of bytes in exactly these chunks. */
export function chunked(chunks: readonly Uint8Array[]): Readable {
  // Pushing nothing would be taken for a promise of more.
  const left = chunks.filter((chunk) => chunk.length > 0);
  return new Readable({
    read() {
      this.push(left.shift() ?? null);
    },
  });
}

/** Cuts bytes at the given places. */
export function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const sorted = [
    0,
    ...places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b),
    bytes.length,
  ];
  return sorted.slice(1).map((end, i) => bytes.subarray(sorted[i], end));
}

export function slices(bytes: Uint8Array, size: number): Uint8Array[] {
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
    bytes.subarray(i * size, (i + 1) * size),
  );
}

/** What comes out of stages that are fed with chunks. */
export async function through(chunks: readonly Uint8Array[], ...stages: readonly Duplex[]): Promise<Buffer> {
  const last = stages.at(-1);
  if (last === undefined) throw new Error('no stages');
  const [out] = await Promise.all([buffer(last), pipeline([chunked(chunks), ...stages])]);
  return out;
}

export interface Filtered {
  /** Without the folders that the filter has put in for parents that have no entry. */
  readonly output: Buffer;
  readonly whole: Buffer;
  readonly records: LayerRecord[];
  readonly recorder: LayerRecorder;
}

/** A tar as it leaves the filter, with what was recorded. */
export async function filterTar(tar: Uint8Array, chunks: readonly Uint8Array[] = [tar]): Promise<Filtered> {
  const records: LayerRecord[] = [];
  const recorder = new LayerRecorder('the layer', (record) => records.push(record));
  const whole = await through(chunks, new LayerFilter('the layer', recorder));
  return { output: withoutMadeFolders(whole), whole, records, recorder };
}

/** The filter's own folders have no device numbers, not even zeros; those of our tar writer do. */
function withoutMadeFolders(tar: Buffer): Buffer {
  const kept: Buffer[] = [];
  let entry: Buffer[] = [];
  let size: number | undefined;
  let at = 0;
  for (;;) {
    const header = parseHeader(tar.subarray(at, at + 512));
    if (header === undefined || isZeroBlock(tar.subarray(at, at + 512))) break;
    let end = at + 512;
    // Each block of an old sparse map says whether another one follows.
    if (header.type === 'S') for (let more = tar[at + 482]; more === 1; more = tar[end - 8]) end += 512;
    end += paddedSize('xLK'.includes(header.type) ? header.size : (size ?? header.size));
    entry.push(tar.subarray(at, end));
    if (header.type === 'x') {
      const given = new Map(parsePax(tar.subarray(at + 512, at + 512 + header.size), 'the output')).get(
        'size',
      );
      size = given === undefined ? size : Number(given);
    } else if (!'LK'.includes(header.type)) {
      const isMade = header.type === '5' && tar.subarray(at + 329, at + 345).every((byte) => byte === 0);
      if (!isMade) kept.push(...entry);
      entry = [];
      size = undefined;
    }
    at = end;
  }
  return Buffer.concat([...kept, ...entry, tar.subarray(at)]);
}

/** The error of ours that a promise fails with. */
export async function failureOf(promise: Promise<unknown>): Promise<AtomicError> {
  const error: unknown = await promise.then(
    (value) => new Error('nothing failed', { cause: value }),
    (error: unknown) => error,
  );
  if (isAtomicError(error)) return error;
  throw new Error('expected an AtomicError', { cause: error });
}
