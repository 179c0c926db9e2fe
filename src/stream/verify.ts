import { createHash } from 'node:crypto';
import { Transform, type TransformCallback } from 'node:stream';
import { AtomicError } from '../errors.ts';
import { algorithmOf, digestFromHex, type Digest } from '../image/digest.ts';

export interface Expected {
  readonly digest: Digest;
  /** Bytes; undefined when only the digest is known. */
  readonly size: number | undefined;
  /** Subject of the error's sentence: "layer 2 of docker.io/x". */
  readonly what: string;
}

/**
 * Passes bytes through and errors *before* its end when they are not the expected ones, so that whoever reads to
 * the end has verified content, and whoever acts on the end never acts on anything else.
 * @throws AtomicError `size-mismatch` at the first byte too many, or at the end; `digest-mismatch` at the end
 */
export class VerifyStream extends Transform {
  readonly #expected: Expected;
  readonly #hash;
  #size = 0;
  #verified = false;

  constructor(expected: Expected) {
    super();
    this.#expected = expected;
    this.#hash = createHash(algorithmOf(expected.digest));
  }

  /** Bytes passed so far. */
  get bytesPassed(): number {
    return this.#size;
  }

  /** Whether the end was reached and the content is what it should be. */
  get verified(): boolean {
    return this.#verified;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#size += chunk.length;
    const { size, what } = this.#expected;
    if (size !== undefined && this.#size > size) {
      done(new AtomicError('size-mismatch', `${what} is longer than the ${size} bytes its descriptor names`));
      return;
    }
    this.#hash.update(chunk);
    done(null, chunk);
  }

  override _flush(done: TransformCallback): void {
    const problem = this.#check();
    this.#verified = problem === null;
    done(problem);
  }

  #check(): AtomicError | null {
    const { digest, size, what } = this.#expected;
    if (size !== undefined && this.#size !== size) {
      return new AtomicError(
        'size-mismatch',
        `${what} ends after ${this.#size} bytes; its descriptor names ${size}`,
        {
          hint: 'The image is damaged at its source, or the line broke. Try again; if it stays, push the image again.',
        },
      );
    }
    const actual = digestFromHex(algorithmOf(digest), this.#hash.digest('hex'));
    if (actual === digest) return null;
    return new AtomicError(
      'digest-mismatch',
      `${what} does not have the digest it should: expected ${digest}, got ${actual}`,
      {
        hint: 'Its bytes were changed after it was pushed, or on the way. Do not use it; push the image again.',
      },
    );
  }
}

/**
 * Checks bytes that are in memory already.
 * @throws AtomicError `size-mismatch`, `digest-mismatch`
 */
export function verifyBytes(bytes: Uint8Array, expected: Expected): void {
  const { digest, size, what } = expected;
  if (size !== undefined && bytes.length !== size) {
    throw new AtomicError('size-mismatch', `${what} has ${bytes.length} bytes; its descriptor names ${size}`);
  }
  const actual = digestOf(bytes, digest);
  if (actual !== digest) {
    throw new AtomicError(
      'digest-mismatch',
      `${what} does not have the digest it should: expected ${digest}, got ${actual}`,
    );
  }
}

/** The digest of bytes, by the algorithm of `like` (sha256 when not given). */
export function digestOf(bytes: Uint8Array, like?: Digest): Digest {
  const algorithm = like === undefined ? 'sha256' : algorithmOf(like);
  return digestFromHex(algorithm, createHash(algorithm).update(bytes).digest('hex'));
}
