/** An image in the repo, part by part: its own commit, its config and its layers. */
import { AtomicError, isAtomicError } from '../errors.ts';
import type { Exec } from '../host/ports.ts';
import type { Digest } from '../image/digest.ts';
import { digestOf } from '../stream/verify.ts';
import type { StoredImage } from './image-store.ts';
import { blobRef, METADATA } from './names.ts';
import type { Repository } from './repository.ts';
import { parseCore, readRepositoryConfig } from './repository-config.ts';
import { CommitVerifier, type ObjectFault } from './verify-commits.ts';

export interface VerifiedPart {
  readonly kind: 'manifest' | 'config' | 'layer';
  readonly digest: Digest;
  /** `missing`: it has no ref in the repo. */
  readonly state: 'intact' | 'damaged' | 'missing';
  /** Objects that it is made of. */
  readonly objects: number;
  /** What is wrong with objects; empty as well where a whole document is not what its digest says. */
  readonly faults: readonly ObjectFault[];
}

/**
 * Verifies every object of an image, and the digests of its manifest and its config. A layer's own digest is that of the
 * archive it came in, which is not kept. The caller shares the store.
 * @throws AtomicError `unsupported` for a repo that keeps its files in another mode than `bare`; of `ostree`
 */
export async function verifyImage(
  exec: Exec,
  repository: Repository,
  { commit, digest, manifest }: StoredImage,
  signal: AbortSignal,
): Promise<VerifiedPart[]> {
  const mode = parseCore(await readRepositoryConfig(repository.path)).get('mode') ?? 'bare';
  if (mode !== 'bare') {
    throw new AtomicError(
      'unsupported',
      `Cannot verify the objects of ${repository.path}: its mode is ${mode}`,
      {
        hint: 'Use `ostree fsck`, which knows all modes.',
      },
    );
  }
  const verifier = new CommitVerifier(exec, repository, signal);
  const verify = async (
    kind: VerifiedPart['kind'],
    part: Digest,
    of: string | undefined,
    read?: (of: string) => Promise<string>,
  ): Promise<VerifiedPart> => {
    if (of === undefined) return { kind, digest: part, state: 'missing', objects: 0, faults: [] };
    const { objects, faults } = await verifier.verify(of);
    const isWhole = faults.length === 0 && (read === undefined || (await hasDigest(() => read(of), part)));
    return { kind, digest: part, state: isWhole ? 'intact' : 'damaged', objects, faults };
  };
  const { config, layers } = manifest;
  const configCommit = await repository.resolveRef(blobRef(config.digest));
  const parts = [
    await verify('manifest', digest, commit, (of) => readManifest(repository, of)),
    await verify('config', config.digest, configCommit, (of) => repository.readFile(of, '/content')),
  ];
  for (const layer of layers)
    parts.push(await verify('layer', layer.digest, await repository.resolveRef(blobRef(layer.digest))));
  return parts;
}

/** Whether a document is what its digest says; a commit that holds none of its name does not have it. */
async function hasDigest(read: () => Promise<string>, digest: Digest): Promise<boolean> {
  try {
    return digestOf(Buffer.from(await read()), digest) === digest;
  } catch (error) {
    if (isAtomicError(error, 'command-failed')) return false;
    throw error;
  }
}

/** As the image is read: by its metadata, which has no room for a large one. */
async function readManifest(repository: Repository, commit: string): Promise<string> {
  const { metadata } = await repository.readCommit(commit);
  return metadata.get(METADATA.manifest) ?? repository.readFile(commit, '/manifest.json');
}
