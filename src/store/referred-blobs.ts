import { AtomicError, isAtomicError, messageOf } from '../errors.ts';
import { isRecord, parseJson } from '../image/json.ts';
import { decodeImageRef, isBlobRef, METADATA, REF_PREFIX } from './names.ts';
import type { Repository } from './repository.ts';

/**
 * The refs of all layers and configs that any image of the repo names, also in a manifest that we could not install from
 * (schema 1): every digest in it counts.
 * @throws AtomicError `store-invalid` when an image's manifest cannot be read
 */
export async function readReferredBlobs(repository: Repository): Promise<Set<string>> {
  const referred = new Set<string>();
  for (const ref of await repository.listRefs()) {
    if (isBlobRef(ref)) continue;
    for (const hex of await readDigests(repository, ref)) referred.add(`${REF_PREFIX}${hex}`);
  }
  return referred;
}

async function readDigests(repository: Repository, ref: string): Promise<string[]> {
  const name = decodeImageRef(ref);
  try {
    const commit = await repository.readRef(ref);
    if (commit === undefined) return [];
    const text =
      commit.metadata.get(METADATA.manifest) ??
      (await repository.readFile(commit.checksum, '/manifest.json'));
    const manifest = parseJson(text, `the manifest of ${name}`, 'store-invalid');
    const lists = isRecord(manifest) ? [manifest['layers'], manifest['fsLayers']] : [];
    if (!lists.some(Array.isArray)) {
      throw new AtomicError('store-invalid', `the manifest of ${name} has no list of layers`);
    }
    // Written anew, so that no escape in it hides a digest.
    const digests = JSON.stringify(manifest).matchAll(/"sha(?:256|512):([0-9a-f]+)"/g);
    return [...digests].map(([, hex = '']) => hex);
  } catch (error) {
    if (isAtomicError(error, 'interrupted', 'tool-missing')) throw error;
    throw new AtomicError(
      'store-invalid',
      `Cannot tell which layers the image ${name} needs: ${messageOf(error)}`,
      { cause: error, hint: `Pull it again, or delete it: atomic-ts images delete ${name}` },
    );
  }
}
