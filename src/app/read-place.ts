/** Images as they are typed for a copy, where nothing of atomic's has to be kept and skopeo's spellings count. */
import { resolve } from 'node:path';
import { AtomicError } from '../errors.ts';
import { parseReference, type ImageReference } from '../image/reference.ts';

/**
 * Reads where an image is, or is to be. `oci:` is a layout, also one that is not there yet: as a registry's, which it is
 * for `pull`, a copy to a new folder would be sent to Docker Hub.
 * @throws AtomicError `reference-invalid`
 */
export function readPlace(text: string): ImageReference {
  const reference = parseReference(text, () => true);
  if (!('path' in reference)) return reference;
  if (reference.path === '-') {
    throw new AtomicError(
      'reference-invalid',
      `"${text}" would be a stream, and images need a file or folder`,
      {
        hint: `Name a file in place of "-"; one of that name is ${reference.transport}:./-`,
      },
    );
  }
  if (reference.path.includes('\uFFFD')) {
    throw new AtomicError(
      'reference-invalid',
      `The path in "${text}" is not UTF-8, and would be another one`,
      {
        hint: 'Name a path in UTF-8, for instance a link to it.',
      },
    );
  }
  return { ...reference, path: resolve(reference.path) };
}

/**
 * The same of where a copy goes, which has to name its transport: a word that is forgotten must not push to a registry.
 * @throws AtomicError `reference-invalid`, `usage`
 */
export function readDestination(text: string): ImageReference {
  const reference = readPlace(text);
  if (reference.transport !== 'docker' || /^(?:docker|https?):/.test(text)) return reference;
  throw new AtomicError('usage', `The destination ${text} has no transport`, {
    hint: `Write docker://${text.replace(/^oci:/, '')} for a registry, or dir:PATH, oci:PATH:TAG, docker-archive:FILE…`,
  });
}
