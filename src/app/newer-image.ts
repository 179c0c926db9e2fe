/** Whether an image has a newer one where it comes from. */
import { AtomicError } from '../errors.ts';
import type { Digest } from '../image/digest.ts';
import { versionOf } from '../image/labels.ts';
import { formatReference, type ImageReference } from '../image/reference.ts';
import type { StoredImage } from '../store/image-store.ts';
import type { App } from './context.ts';
import type { RegistryAccess } from './pull-image.ts';
import { readRemoteImage } from './remote-image.ts';
import { readIfReference } from './stored-image.ts';

/**
 * What its source says. `fixed`: a digest in its name never stands for another image. `unknown`: it could not be asked,
 * or nobody knows where the image is from.
 */
export type SourceAnswer =
  | { readonly state: 'same' | 'fixed'; readonly source: string }
  | {
      readonly state: 'newer';
      readonly source: string;
      readonly digest: Digest;
      /** Base first. */
      readonly layers: readonly Digest[];
      readonly version: string;
    }
  | { readonly state: 'unknown'; readonly source: string | undefined; readonly error: AtomicError };

/** @throws AtomicError `interrupted` alone */
export async function askSource(app: App, image: StoredImage, access: RegistryAccess): Promise<SourceAnswer> {
  const reference = sourceOf(image);
  if (reference === undefined) {
    const message = `It is not recorded where the image ${image.name} is from`;
    return { state: 'unknown', source: undefined, error: new AtomicError('reference-invalid', message) };
  }
  const source = formatReference(reference);
  if (reference.transport === 'docker' && reference.image.digest !== undefined)
    return { state: 'fixed', source };
  try {
    const { digest, manifest, config } = await readRemoteImage(app, reference, access);
    const layers = manifest.layers.map((layer) => layer.digest);
    // atomic stored manifests in Docker's format whatever the registry had: the same image under another digest.
    const isSame =
      digest === image.digest ||
      (manifest.config.digest === image.manifest.config.digest &&
        layers.join() === image.manifest.layers.map((layer) => layer.digest).join());
    if (isSame) return { state: 'same', source };
    return { state: 'newer', source, digest, layers, version: versionOf(config.labels) };
  } catch (error) {
    if (!(error instanceof AtomicError) || error.code === 'interrupted') throw error;
    return { state: 'unknown', source, error };
  }
}

/** Where an image is to be pulled from again; undefined for a name that is no reference. */
export function sourceOf(image: StoredImage): ImageReference | undefined {
  return readIfReference(image.source ?? image.name);
}
