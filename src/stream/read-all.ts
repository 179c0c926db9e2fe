import type { Readable } from 'node:stream';
import { AtomicError } from '../errors.ts';

/**
 * Reads a stream into memory.
 * @param limit bytes, from limits.ts
 * @throws AtomicError `limit-exceeded`
 */
export async function readAll(stream: Readable, limit: number, what: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > limit)
      throw new AtomicError('limit-exceeded', `${what} is larger than the limit of ${limit} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
