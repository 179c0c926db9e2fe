/**
 * The engine behind every copy between two places where images live, as `skopeo copy` does it: read what the source's
 * name stands for, decide what of it is copied, and for each image plan, blobs, manifest, signatures; the name last.
 */
import type { Report } from '../events.ts';
import { AtomicError } from '../errors.ts';
import type { Descriptor } from '../image/descriptor.ts';
import type { Digest } from '../image/digest.ts';
import type { Platform } from '../image/platform.ts';
import { REQUEST_TRIES } from '../limits.ts';
import { checkLevel } from '../stream/compress.ts';
import type { ImageDestination, ImageSource } from '../transport/transport.ts';
import { copyIndex, takesIndexes } from './copy-index.ts';
import { copyInstance } from './copy-instance.ts';
import type { CopyRun, ZstdPrograms } from './copy-run.ts';
import type { CopyWishes } from './plan-instance.ts';
import { isIndex, readDocument, type SourceDocument } from './read-document.ts';
import { chooseInstance } from './resolve.ts';

export type { CopyWishes, LayerWish } from './plan-instance.ts';
export type { ZstdPrograms } from './copy-run.ts';

export interface CopyOptions {
  /** The image to take out of an index, unless all are wanted. */
  readonly platform: Platform;
  /** The digest that the source's reference names, which its document must have. */
  readonly expected?: Digest | undefined;
  /** Of an index: the platform's image (when not given), all with the index, or the index alone. */
  readonly which?: 'system' | 'all' | 'index-only';
  readonly wishes?: CopyWishes;
  readonly removeSignatures?: boolean;
  readonly zstd: ZstdPrograms;
  /** Tries of a blob whose upload breaks, the first included; REQUEST_TRIES when not given. */
  readonly tries?: number | undefined;
  /** Holds layers whose compression changes, one or several at a time, while they are on their way. */
  readonly tempFolder: string;
  readonly report: Report;
  readonly signal: AbortSignal;
  /** Told of what a destination on this host lacks, before the first byte of it; throws when it will not fit. */
  readonly requireRoom?: (missing: readonly Descriptor[]) => Promise<void>;
}

export interface CopyOutcome {
  /** Of the manifest or index that the destination's name stands for now. */
  readonly digest: Digest;
  readonly mediaType: string;
  /** Of what was copied, at its source: the same when nothing had to change. */
  readonly sourceDigest: Digest;
  /** Blobs that were copied, and those that were there. */
  readonly copied: number;
  readonly present: number;
  /** Layers that were compressed or decompressed. */
  readonly converted: number;
  /** Manifests and indexes that were stored. */
  readonly manifests: number;
}

/**
 * Copies an image, or all of an index, between two places: blobs first, each verified on its way, those that the
 * destination has already not at all; then manifests, with their bytes unchanged where nothing forces a change.
 * @throws AtomicError the first that went wrong; the destination's name then stands for what it stood for
 */
export async function copyImage(
  source: ImageSource,
  destination: ImageDestination,
  options: CopyOptions,
): Promise<CopyOutcome> {
  const { layers, level } = options.wishes ?? {};
  checkLevel(layers === undefined || layers === 'compressed' ? 'gzip' : layers, level);
  const counts = { copied: 0, present: 0, converted: 0, manifests: 0, entries: 0 };
  const run: CopyRun = {
    source,
    destination,
    wishes: options.wishes ?? {},
    removeSignatures: options.removeSignatures === true,
    zstd: options.zstd,
    tries: options.tries ?? REQUEST_TRIES,
    tempFolder: options.tempFolder,
    requireRoom: options.requireRoom ?? (() => Promise.resolve()),
    report: options.report,
    signal: options.signal,
    blobs: new Map(),
    counts,
  };
  const { document, copied } = await copyWanted(run, options).catch((error: unknown) => {
    // What an abort has ended fails in many ways; why it was is the first error.
    run.signal.throwIfAborted();
    throw error;
  });
  run.signal.throwIfAborted();
  await destination.commit();
  const { digest, mediaType } = copied;
  const { entries: _, ...summary } = counts;
  const sourceDigest = document.raw.madeFrom ?? document.digest;
  return { digest, mediaType, sourceDigest, ...summary };
}

interface Copied {
  readonly document: SourceDocument;
  readonly copied: Descriptor;
}

/** Decides what of the source is copied, and copies it under the destination's name. */
async function copyWanted(run: CopyRun, options: CopyOptions): Promise<Copied> {
  const { expected, platform, which = 'system' } = options;
  const document = await readDocument(run.source, expected);
  if (which !== 'system' && isIndex(document)) {
    if (!takesIndexes(run.destination.traits)) throw holdsNoIndex(run.destination.name, run.source.name);
    const entries = which === 'all' ? 'all' : 'none';
    return { document, copied: await copyIndex(run, document, 'reference', entries) };
  }
  const instance = await chooseInstance(run.source, document, platform);
  const isNamed = instance === document;
  return { document: instance, copied: await copyInstance(run, instance, 'reference', isNamed) };
}

function holdsNoIndex(destination: string, source: string): AtomicError {
  return new AtomicError(
    'unsupported',
    `${destination} holds the image of one platform, and ${source} is an index of several`,
    { hint: 'Leave --all out: then the image for this machine is copied, or name its platform.' },
  );
}
