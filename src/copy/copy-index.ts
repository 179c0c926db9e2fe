import { AtomicError } from '../errors.ts';
import type { Descriptor } from '../image/descriptor.ts';
import type { Digest } from '../image/digest.ts';
import { editIndex } from '../image/edit-index.ts';
import type { ImageIndex } from '../image/manifest.ts';
import { DOCKER_LIST, formatOf, OCI_INDEX, type ManifestFormat } from '../image/media-type.ts';
import { limitExceeded, limitOf } from '../limits.ts';
import { verifyBytes } from '../stream/verify.ts';
import type { DestinationTraits, ImageDestination } from '../transport/transport.ts';
import { copyInstance } from './copy-instance.ts';
import type { CopyRun } from './copy-run.ts';
import { nameOf, otherOf, refuseChange, whyKept, type CopyWishes, type KeptReason } from './plan-instance.ts';
import { putManifest } from './put-manifest.ts';
import { isIndex, isManifest, readDocument, type SourceDocument } from './read-document.ts';
import { putSignatures, readSignatures } from './signatures.ts';

/**
 * Copies an index: the images of its entries, those of nested indexes too, then the index itself, edited where an entry
 * has another digest now.
 * @param entries `none` copies the index alone, for a destination that has the images already
 * @returns the index as it stands at the destination
 */
export async function copyIndex(
  run: CopyRun,
  document: SourceDocument<ImageIndex>,
  role: 'reference' | 'entry',
  entries: 'all' | 'none',
  depth = 1,
): Promise<Descriptor> {
  const { name } = run.source;
  const depths = limitOf('index-depth');
  if (depth > depths) throw limitExceeded('index-depth', `${name} nests more than ${depths} indexes`);
  const { raw, digest, content } = document;
  const signatures = await readSignatures(run, role === 'reference' ? undefined : digest);
  const plan = planIndex(content, run.wishes, run.destination, signatures.length > 0);
  if (plan.format !== formatOf(content.mediaType)) {
    refuseChange(plan.kept, `the index of ${name}`, `it has to be converted to ${nameOf(plan.format)}`);
  }
  const replaced = entries === 'all' ? await copyEntries(run, content, depth) : new Map<Digest, Descriptor>();
  for (const from of replaced.keys()) {
    refuseChange(plan.kept, `the index of ${name}`, `its entry ${from} has to be changed`);
  }
  const stored = await putManifest(run, {
    write: (format) => editIndex(raw, { format, replaced }, `the index of ${name}`),
    format: plan.format,
    otherFormat: plan.otherFormat,
    source: document,
    role,
  });
  await putSignatures(run, signatures, stored.digest, role);
  return stored;
}

/** Whether a destination can hold more than one image under its name. */
export function takesIndexes({ manifestTypes }: DestinationTraits): boolean {
  return (
    manifestTypes === undefined || manifestTypes.some((type) => type === OCI_INDEX || type === DOCKER_LIST)
  );
}

interface IndexPlan {
  readonly format: ManifestFormat;
  readonly otherFormat: ManifestFormat | undefined;
  readonly kept: KeptReason | undefined;
}

/** @throws AtomicError `unsupported` for a destination that does not take the format asked for */
export function planIndex(
  { mediaType }: ImageIndex,
  { format: asked, preserveDigests }: CopyWishes,
  { name, traits: { manifestTypes } }: Pick<ImageDestination, 'name' | 'traits'>,
  isSigned: boolean,
): IndexPlan {
  const kept = whyKept(preserveDigests === true, isSigned);
  const takes = (format: ManifestFormat): boolean =>
    manifestTypes === undefined || manifestTypes.includes(format === 'oci' ? OCI_INDEX : DOCKER_LIST);
  const own = formatOf(mediaType) ?? 'oci';
  const format = asked ?? (takes(own) ? own : otherOf(own));
  if (!takes(format)) {
    throw new AtomicError('unsupported', `${name} takes no index in ${nameOf(format)}`, {
      hint: 'Leave --format out: what is copied is converted as far as that is needed.',
    });
  }
  const isFree = kept === undefined && asked === undefined && manifestTypes === undefined;
  return { format, kept, otherFormat: isFree ? otherOf(format) : undefined };
}

/** Copies what the entries point at, each once; gives those whose digest has changed. */
async function copyEntries(
  run: CopyRun,
  { manifests }: ImageIndex,
  depth: number,
): Promise<Map<Digest, Descriptor>> {
  const { source, counts } = run;
  counts.entries += manifests.length;
  const limit = limitOf('index-entries');
  if (counts.entries > limit) {
    const sentence = `${source.name} has ${counts.entries} entries in its indexes; the limit is ${limit}`;
    throw limitExceeded('index-entries', sentence, counts.entries);
  }
  const replaced = new Map<Digest, Descriptor>();
  for (const [digest, { size }] of new Map(manifests.map((entry) => [entry.digest, entry]))) {
    run.signal.throwIfAborted();
    const document = await readDocument(source, digest);
    const { bytes, madeFrom } = document.raw;
    const what = `the manifest ${digest} of ${source.name}`;
    if (madeFrom === undefined) verifyBytes(bytes, { digest, size, what });
    const stored = isManifest(document)
      ? await copyInstance(run, document, 'entry', false)
      : isIndex(document)
        ? await copyIndex(run, document, 'entry', 'all', depth + 1)
        : undefined;
    if (stored !== undefined && stored.digest !== digest) replaced.set(digest, stored);
  }
  return replaced;
}
