import type { Readable } from 'node:stream';
import { CHILD_OUTPUT_BYTES } from '../../limits.ts';

/**
 * Reads a program's output to its end and keeps CHILD_OUTPUT_BYTES of it: the first ones (`head`), or the last
 * (`tail`, for stderr: what went wrong is said last).
 * @returns a function that gives what was kept, as text.
 */
export function collectOutput(stream: Readable, keep: 'head' | 'tail'): () => string {
  let chunks: Buffer[] = [];
  let size = 0;
  stream.on('data', (chunk: Buffer) => {
    if (keep === 'head' && size >= CHILD_OUTPUT_BYTES) return;
    chunks.push(chunk);
    size += chunk.length;
    // Cut only when twice the limit is held: the cost stays linear.
    if (keep === 'tail' && size >= 2 * CHILD_OUTPUT_BYTES) {
      chunks = [Buffer.concat(chunks).subarray(-CHILD_OUTPUT_BYTES)];
      size = CHILD_OUTPUT_BYTES;
    }
  });
  return () => {
    const bytes = Buffer.concat(chunks);
    const kept =
      keep === 'head' ? bytes.subarray(0, CHILD_OUTPUT_BYTES) : bytes.subarray(-CHILD_OUTPUT_BYTES);
    return kept.toString('utf8');
  };
}
