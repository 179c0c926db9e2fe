import type { Readable } from 'node:stream';
import { CHILD_OUTPUT_BYTES } from '../../limits.ts';

/**
 * Reads a program's output to its end and keeps `limit` bytes of it: the first ones (`head`), or the last
 * (`tail`, for stderr: what went wrong is said last).
 * @returns a function that gives what was kept, as text.
 */
export function collectOutput(
  stream: Readable,
  keep: 'head' | 'tail',
  limit = CHILD_OUTPUT_BYTES,
): () => string {
  let chunks: Buffer[] = [];
  let size = 0;
  stream.on('data', (chunk: Buffer) => {
    if (keep === 'head' && size >= limit) return;
    chunks.push(chunk);
    size += chunk.length;
    // Cut only when twice the limit is held: the cost stays linear.
    if (keep === 'tail' && size >= 2 * limit) {
      chunks = [Buffer.concat(chunks).subarray(-limit)];
      size = limit;
    }
  });
  return () => {
    const bytes = Buffer.concat(chunks);
    const kept = keep === 'head' ? bytes.subarray(0, limit) : bytes.subarray(-limit);
    return kept.toString('utf8');
  };
}
