/** Names without a registry, as the host's registries.conf reads them. */
import { readRegistriesConf, readShortName } from '../config/registries-conf/index.ts';
import { AtomicError, isAtomicError } from '../errors.ts';
import type { ImageReference, RegistryImage } from '../image/reference.ts';
import type { TransferApp } from './context.ts';
import type { RegistryAccess } from './pull-image.ts';

/**
 * What an image that was typed may stand for, in the order in which it is looked for: more than one only where several
 * registries are searched. `docker://NAME` is Docker Hub's, as in skopeo. A notice says how a short name was taken.
 * @throws AtomicError `reference-invalid` when short-name-mode wants a person to choose: none is asked; `usage` when
 * credentials would go to several registries
 * @see containers-registries.conf(5), "Short-Name Aliasing"
 */
export async function readCandidates(
  app: Pick<TransferApp, 'environment' | 'report'>,
  text: string,
  reference: ImageReference,
  access: Pick<RegistryAccess, 'credentials'>,
): Promise<readonly ImageReference[]> {
  if (reference.transport !== 'docker' || reference.image.qualified) return [reference];
  const { given, domain } = reference.image;
  const tell = (where: string): void => {
    const notice = `The image \`${given}\` is not fully qualified: it is pulled from ${where}`;
    app.report({ event: 'notice', text: notice });
  };
  if (text.startsWith('docker://')) {
    tell(domain);
    return [reference];
  }
  const { images, alias, isAmbiguous } = readShortName(
    reference.image,
    await readRegistriesConf(app.environment),
  );
  if (isAmbiguous) throw ambiguous(given, images);
  if (images.length > 1 && access.credentials !== undefined) throw whoseCredentials(given, images);
  tell(
    alias?.name === undefined
      ? images.map((image) => image.domain).join(', else from ')
      : `${alias.name}, as ${alias.file} says`,
  );
  return images.map((image) => (image === reference.image ? reference : { ...reference, image }));
}

function ambiguous(given: string, images: readonly RegistryImage[]): AtomicError {
  const names = images.map((image) => image.given);
  return new AtomicError('reference-invalid', `The image \`${given}\` may be any of ${names.join(', ')}`, {
    hint: 'Write which one is meant: registries.conf has short-name-mode = "enforcing".',
  });
}

function whoseCredentials(given: string, images: readonly RegistryImage[]): AtomicError {
  const domains = images.map((image) => image.domain).join(', ');
  return new AtomicError('usage', `Credentials for \`${given}\` would be shown to each of ${domains}`, {
    hint: 'Write which registry is meant, before the name of the image.',
  });
}

/**
 * Opens the first candidate that is there. The next one is tried only when a registry says that it has no such image,
 * or shows it to nobody: one that cannot be reached may have it, and others must not stand in for it.
 * @throws AtomicError of the last one tried; `image-not-found` when there are several and none has it
 */
export async function openFirst<T>(
  candidates: readonly ImageReference[],
  open: (reference: ImageReference) => Promise<T>,
): Promise<T> {
  const failures: AtomicError[] = [];
  for (const reference of candidates) {
    try {
      return await open(reference);
    } catch (error) {
      const isElsewhere =
        candidates.length > 1 &&
        isAtomicError(error, 'manifest-unknown', 'image-not-found', 'unauthorized', 'denied');
      if (!isElsewhere) throw error;
      failures.push(error);
    }
  }
  throw new AtomicError('image-not-found', 'None of the registries that are searched has the image', {
    details: failures.map(({ message }) => message).join('\n'),
    hint: 'Check its name; unqualified-search-registries in registries.conf says which ones are searched.',
    cause: failures[0],
  });
}
