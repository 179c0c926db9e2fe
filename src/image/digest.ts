import { AtomicError } from '../errors.ts';

declare const brand: unique symbol;

/** A content digest `ALGORITHM:HEX` whose algorithm is sha256 or sha512 and whose hex has the right length. */
export type Digest = string & { readonly [brand]: 'Digest' };

export type DigestAlgorithm = 'sha256' | 'sha512';

const HEX_LENGTH: Readonly<Record<DigestAlgorithm, number>> = { sha256: 64, sha512: 128 };

/**
 * Reads a digest.
 * @param where what the digest belongs to, for the error's sentence.
 * @throws AtomicError `manifest-invalid`
 * @see image-spec descriptor.md, "Digests"
 */
export function parseDigest(text: unknown, where: string): Digest {
  if (isDigest(text)) return text;
  const shown = typeof text === 'string' ? JSON.stringify(text.slice(0, 200)) : `a ${typeof text}`;
  throw new AtomicError(
    'manifest-invalid',
    `${where} has the digest ${shown}, which is not sha256: or sha512: with lower-case hex`,
  );
}

export function isDigest(text: unknown): text is Digest {
  if (typeof text !== 'string') return false;
  const match = /^(sha256|sha512):([0-9a-f]+)$/.exec(text);
  return match !== null && match[2]?.length === HEX_LENGTH[match[1] as DigestAlgorithm];
}

export function algorithmOf(digest: Digest): DigestAlgorithm {
  return digest.startsWith('sha512:') ? 'sha512' : 'sha256';
}

/** The hex part. */
export function hexOf(digest: Digest): string {
  return digest.slice(digest.indexOf(':') + 1);
}

/** A digest out of its parts, as a hash function gives them. */
export function digestFromHex(algorithm: DigestAlgorithm, hex: string): Digest {
  return parseDigest(`${algorithm}:${hex}`, 'a computed hash');
}
