/** Pushes bytes through streams in given pieces, and tells what came out or what went wrong. */
import { Readable, type Duplex } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { isAtomicError, type AtomicError } from '../../src/errors.ts';
import { LayerFilter } from '../../src/stream/tar/filter.ts';
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
  readonly output: Buffer;
  readonly records: LayerRecord[];
  readonly recorder: LayerRecorder;
}

/** A tar as it leaves the filter, with what was recorded. */
export async function filterTar(tar: Uint8Array, chunks: readonly Uint8Array[] = [tar]): Promise<Filtered> {
  const records: LayerRecord[] = [];
  const recorder = new LayerRecorder('the layer', (record) => records.push(record));
  const output = await through(chunks, new LayerFilter('the layer', recorder));
  return { output, records, recorder };
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
