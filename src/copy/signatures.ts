import { AtomicError } from '../errors.ts';
import type { Digest } from '../image/digest.ts';
import type { CopyRun } from './copy-run.ts';

/**
 * The simple signatures that have to come along: none when they are to be removed.
 * @param digest of the manifest; undefined for the one that the source's reference names
 * @throws AtomicError `unsupported` when the destination has no place for them
 */
export async function readSignatures(
  { source, destination, removeSignatures }: CopyRun,
  digest: Digest | undefined,
): Promise<readonly Uint8Array[]> {
  if (removeSignatures) return [];
  const signatures = (await source.getSignatures?.(digest)) ?? [];
  if (signatures.length === 0 || (destination.traits.signatures && destination.putSignatures !== undefined)) {
    return signatures;
  }
  throw new AtomicError(
    'unsupported',
    `${source.name} has signatures, and ${destination.name} has no place for any`,
    { hint: 'Copy it without them: use --remove-signatures.' },
  );
}

export async function putSignatures(
  { destination, signal }: CopyRun,
  signatures: readonly Uint8Array[],
  digest: Digest,
  role: 'reference' | 'entry',
): Promise<void> {
  if (signatures.length === 0) return;
  signal.throwIfAborted();
  await destination.putSignatures?.(signatures, digest, role);
}
