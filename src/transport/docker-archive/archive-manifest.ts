import { AtomicError, isAtomicError } from '../../errors.ts';
import { isRecord, optionalStringList, parseJson } from '../../image/json.ts';
import { parseRegistryImage } from '../../image/reference.ts';
import { limitExceeded, limitOf } from '../../limits.ts';
import { formatAvailable } from '../available-names.ts';

/** One image of a `docker save` file, as its manifest.json lists it. */
export interface ArchivedImage {
  /** Member name of the config. */
  readonly config: string;
  readonly repoTags: readonly string[];
  /** Member names of the layers, base first. */
  readonly layers: readonly string[];
}

/** An image, and which of its names was asked for; its first when none was. */
export interface ChosenImage extends ArchivedImage {
  readonly imageName: string | undefined;
}

/**
 * Reads manifest.json.
 * @throws AtomicError `archive-invalid`, `limit-exceeded`
 * @see moby image/spec/v1.2.md, "Combined Image JSON + Filesystem Changeset Format"
 */
export function parseArchiveManifest(bytes: Uint8Array, what: string): ArchivedImage[] {
  const document = parseJson(bytes, what, 'archive-invalid');
  if (!Array.isArray(document)) throw new AtomicError('archive-invalid', `${what} is not a list of images`);
  return document.map((item: unknown, i) => {
    const where = `${what}, image ${i + 1}`;
    if (!isRecord(item) || typeof item['Config'] !== 'string') {
      throw new AtomicError('archive-invalid', `${where}, names no Config`);
    }
    const list = (key: string): string[] =>
      optionalStringList(item[key], `${where}, ${key}`, 'archive-invalid') ?? [];
    const layers = list('Layers');
    const { length } = layers;
    if (length > limitOf('layers')) {
      const sentence = `${where}, has ${length} layers; the limit is ${limitOf('layers')}`;
      throw limitExceeded('layers', sentence, length);
    }
    return { config: item['Config'], repoTags: list('RepoTags'), layers };
  });
}

/**
 * The image with the wanted name (`NAME[:TAG]`, or `@N` for the N-th, from 0); without one, the only image there is.
 * Names are compared as Docker completes them: `busybox` is `docker.io/library/busybox:latest`.
 * @param what subject of the error's sentence: the archive.
 * @throws AtomicError `image-not-found` with the names that exist, `reference-invalid`
 */
export function chooseImage(
  images: readonly ArchivedImage[],
  wanted: string | undefined,
  what: string,
): ChosenImage {
  const chosen = wanted === undefined ? onlyOne(images) : findImage(images, wanted);
  if (chosen !== undefined) return chosen;
  if (images.length === 0) throw new AtomicError('image-not-found', `${what} holds no image`);
  const found = wanted === undefined ? `holds ${images.length} images` : `has no image "${wanted}"`;
  const names = images.flatMap(({ repoTags }) => repoTags);
  throw new AtomicError('image-not-found', `${what} ${found}: ${formatAvailable(names)}`, {
    hint: 'Append :NAME:TAG of one of them, or :@N for the N-th image, counted from 0.',
  });
}

function onlyOne(images: readonly ArchivedImage[]): ChosenImage | undefined {
  const [first] = images;
  return first === undefined || images.length > 1 ? undefined : { ...first, imageName: first.repoTags[0] };
}

function findImage(images: readonly ArchivedImage[], wanted: string): ChosenImage | undefined {
  if (/^@\d+$/.test(wanted)) {
    const image = images[Number(wanted.slice(1))];
    return image === undefined ? undefined : { ...image, imageName: image.repoTags[0] };
  }
  const complete = completeName(wanted);
  for (const image of images) {
    const imageName = image.repoTags.find((name) => isNamed(name, complete));
    if (imageName !== undefined) return { ...image, imageName };
  }
  return undefined;
}

/** Whether a name out of the archive is the wanted one; what is no valid name matches nothing. */
export function isNamed(name: string, complete: string): boolean {
  try {
    return completeName(name) === complete;
  } catch (error) {
    if (isAtomicError(error, 'reference-invalid')) return false;
    throw error;
  }
}

/** A name as Docker completes it, by which names are compared. @throws AtomicError `reference-invalid` */
export function completeName(name: string): string {
  const { domain, repository, tag } = parseRegistryImage(name);
  return `${domain}/${repository}:${tag ?? ''}`;
}
