import type { Readable } from 'node:stream';
import { ERROR_BODY_BYTES, limitExceeded, limitOf, type Cap } from '../limits.ts';

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

/** The start of an error answer's body as text, as far as it comes: the status is the news, a message may break off. */
export async function readErrorText(body: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      length += chunk.length;
      if (length >= ERROR_BODY_BYTES) break;
    }
  } catch {
    // What came is shown.
  }
  return Buffer.concat(chunks).subarray(0, ERROR_BODY_BYTES).toString('utf8');
}
