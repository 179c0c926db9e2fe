import { AtomicError } from '../../errors.ts';
import { parseDescriptor, type Descriptor } from '../../image/descriptor.ts';
import { isRecord, parseJson, writeJson, type JsonRecord } from '../../image/json.ts';
import { OCI_INDEX } from '../../image/media-type.ts';
import { formatAvailable } from '../available-names.ts';

/** The annotation of an entry of index.json that is its tag: image-spec image-layout.md, annotations.md. */
export const REF_NAME = 'org.opencontainers.image.ref.name';

/** The parsed index.json of a layout. Fields and entries that we do not know stay as they are. */
export interface LayoutIndex {
  readonly document: JsonRecord;
  readonly entries: readonly JsonRecord[];
}

export const EMPTY_LAYOUT_INDEX: LayoutIndex = {
  document: { schemaVersion: 2, mediaType: OCI_INDEX },
  entries: [],
};

/** @throws AtomicError `archive-invalid` */
export function parseLayoutIndex(bytes: Uint8Array, what: string): LayoutIndex {
  const document = parseJson(bytes, what, 'archive-invalid');
  if (!isRecord(document) || document['schemaVersion'] !== 2) {
    throw new AtomicError('archive-invalid', `${what} is not an index of schemaVersion 2`);
  }
  const entries = document['manifests'];
  if (!Array.isArray(entries) || !entries.every(isRecord)) {
    throw new AtomicError('archive-invalid', `${what} has no list of manifests`);
  }
  return { document, entries };
}

/**
 * Checks the file that marks a layout.
 * @throws AtomicError `archive-invalid`
 * @see image-spec image-layout.md, "oci-layout file"
 */
export function checkLayoutVersion(bytes: Uint8Array, what: string): void {
  const document = parseJson(bytes, what, 'archive-invalid');
  const version = isRecord(document) ? document['imageLayoutVersion'] : undefined;
  if (typeof version === 'string' && /^1\.\d+\.\d+$/.test(version)) return;
  throw new AtomicError('archive-invalid', `${what} does not say imageLayoutVersion 1.x`);
}

/**
 * The entry with the tag, or the only entry when no tag is given. Of several with one tag the first counts, as in skopeo.
 * @param what subject of the error's sentence: the layout.
 * @throws AtomicError `image-not-found` with the tags that exist; `manifest-invalid`
 */
export function chooseEntry(index: LayoutIndex, tag: string | undefined, what: string): Descriptor {
  const { entries } = index;
  const entry =
    tag === undefined
      ? entries.length === 1
        ? entries[0]
        : undefined
      : entries.find((entry) => tagOf(entry) === tag);
  if (entry !== undefined) return parseDescriptor(entry, `${what}, index.json`);
  if (entries.length === 0) throw new AtomicError('image-not-found', `${what} holds no image`);
  const tags = entries.map(tagOf).filter((tag) => tag !== undefined);
  const found = tag === undefined ? `holds ${entries.length} images` : `has no image with the tag "${tag}"`;
  throw new AtomicError('image-not-found', `${what} ${found}: ${formatAvailable(tags)}`, {
    hint: 'Append the tag of one of them after a colon.',
  });
}

const COMPONENT = '[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*';
const TAG = new RegExp(`^${COMPONENT}(?:/${COMPONENT})*$`);

/**
 * Refuses to write a tag that other tools cannot be asked for: skopeo and podman take no other ones.
 * @throws AtomicError `reference-invalid`
 * @see image-spec annotations.md, `org.opencontainers.image.ref.name`
 */
export function requireTag(tag: string): void {
  if (TAG.test(tag)) return;
  throw new AtomicError(
    'reference-invalid',
    `${JSON.stringify(tag)} is no tag for an image in an OCI layout`,
    {
      hint: 'It is made of letters and digits, with one of - . _ : @ + / between them.',
    },
  );
}

/**
 * index.json with an entry put in: it replaces those with its tag, or without a tag those of its digest without one.
 * @throws AtomicError `manifest-invalid` when what is there nests deeper than can be written
 */
export function replaceEntry(index: LayoutIndex, descriptor: Descriptor, tag: string | undefined): Buffer {
  const entry = {
    mediaType: descriptor.mediaType,
    digest: descriptor.digest,
    size: descriptor.size,
    ...(tag === undefined ? {} : { annotations: { [REF_NAME]: tag } }),
  };
  const kept = index.entries.filter(
    (old) => tagOf(old) !== tag || (tag === undefined && old['digest'] !== entry.digest),
  );
  return writeJson({ ...index.document, manifests: [...kept, entry] }, 'the index.json that is there');
}

export function tagOf(entry: JsonRecord): string | undefined {
  const annotations = entry['annotations'];
  const tag = isRecord(annotations) ? annotations[REF_NAME] : undefined;
  return typeof tag === 'string' && tag !== '' ? tag : undefined;
}
