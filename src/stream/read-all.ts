import type { Readable } from 'node:stream';
import { limitExceeded, limitOf, type Cap } from '../limits.ts';

/**
 * Reads a stream into memory.
 * @throws AtomicError `limit-exceeded`
 */
export async function readAll(stream: Readable, cap: Cap, what: string): Promise<Buffer> {
  const limit = limitOf(cap);
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > limit) throw limitExceeded(cap, `${what} is larger than the limit of ${limit} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
