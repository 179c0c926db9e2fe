import { AtomicError } from '../errors.ts';
import type { ImageReference } from '../image/reference.ts';
import { listArchiveNames } from '../transport/docker-archive/list-names.ts';
import { listTags } from '../transport/registry/tags.ts';
import { adviseTransport } from '../transport/wrong-transport.ts';
import type { TransferApp } from './context.ts';
import { openOptions, type RegistryAccess } from './pull-image.ts';
import { readPlace } from './read-place.ts';
import { openFirst, readCandidates } from './short-name.ts';

type ArchiveReference = Extract<ImageReference, { transport: 'docker-archive' }>;

export interface TagList {
  /** `host/repository`; undefined for an archive. */
  readonly repository: string | undefined;
  /** Of an archive the whole names of its images. */
  readonly tags: readonly string[];
}

/**
 * The tags of a repository in a registry, or the names of the images in a `docker save` file.
 * @throws AtomicError of the transport; `reference-invalid` when one image is named; `unsupported`
 */
export async function listRemoteTags(
  app: TransferApp,
  text: string,
  access: RegistryAccess,
): Promise<TagList> {
  const reference = readPlace(text);
  switch (reference.transport) {
    case 'docker': {
      const { image, plainHttp } = reference;
      const { digest, given } = image;
      if (digest !== undefined || /:[^/]*$/.test(given)) {
        const name = given.replace(/(?:@.*|:[^/]*)$/s, '');
        throw new AtomicError('reference-invalid', `${text} is one image: tags are listed of a repository`, {
          hint: `Leave tag and digest away: atomic-ts list-tags ${plainHttp ? 'http:' : 'docker://'}${name}`,
        });
      }
      return openFirst(await readCandidates(app, text, reference, access), (candidate) =>
        listRepository(app, candidate, access),
      );
    }
    case 'docker-archive':
      return { repository: undefined, tags: await listNames(app, reference) };
    default:
      throw new AtomicError('unsupported', `Images of ${reference.transport}: have no list of tags`, {
        hint: 'Tags are listed of docker://REPOSITORY, and names of docker-archive:FILE.',
      });
  }
}

function listNames(app: TransferApp, reference: ArchiveReference): Promise<string[]> {
  return listArchiveNames(reference.path, app).catch(async (error: unknown) => {
    throw await adviseTransport(reference, error, app);
  });
}

async function listRepository(
  app: TransferApp,
  reference: ImageReference,
  access: RegistryAccess,
): Promise<TagList> {
  if (reference.transport !== 'docker') throw new AtomicError('internal', 'a short name is a registry’s');
  const { image, plainHttp } = reference;
  const tags = await listTags(image, { ...openOptions(app, access), plainHttp });
  return { repository: `${image.domain}/${image.repository}`, tags };
}
