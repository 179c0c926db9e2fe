import { AtomicError } from '../errors.ts';
import type { Descriptor } from '../image/descriptor.ts';
import type { ImageManifest } from '../image/manifest.ts';
import {
  canHoldLayer,
  DOCKER_MANIFEST,
  formatOf,
  isImageConfig,
  layerTypeOf,
  OCI_MANIFEST,
  type Compression,
  type ManifestFormat,
} from '../image/media-type.ts';
import type { DestinationTraits } from '../transport/transport.ts';

/** What a layer is to be at the destination: its stored bytes, compressed in whatever way, or exactly this. */
export type LayerWish = 'stored' | 'compressed' | Compression;

/** What the caller wants of a copy, beside that it arrives. */
export interface CopyWishes {
  /** The format of the manifests; the source's own when not given. */
  readonly format?: ManifestFormat;
  readonly layers?: Exclude<LayerWish, 'stored'>;
  /** Of the compressor; its own default when not given. */
  readonly level?: number;
  /** Makes every change of a manifest an error. */
  readonly preserveDigests?: boolean;
}

/** What is known of an image before its first layer is read. */
export interface Instance {
  /** Subject of an error's sentence: "docker://x". */
  readonly name: string;
  readonly manifest: ImageManifest;
  /** The layers as the source gives them, one for each of the manifest. */
  readonly layers: readonly Descriptor[];
  /** Whether nobody knows the layers by their digests: the source makes manifest or layers while it is read. */
  readonly isMade: boolean;
  readonly isSigned: boolean;
  /** Whether the source holds a manifest of the old schema 1, which is shown as another one. */
  readonly isSchema1: boolean;
}

export interface LayerPlan {
  readonly descriptor: Descriptor;
  /** The bytes tell whether anything has to be done for it. */
  readonly wish: LayerWish;
  /** A foreign layer that stays where its `urls` say. */
  readonly isLeft: boolean;
}

export interface InstancePlan {
  readonly format: ManifestFormat;
  readonly layers: readonly LayerPlan[];
  /** Why the manifest has to stay as it is; undefined when it may change. */
  readonly kept: KeptReason | undefined;
  /** Whether another format may be tried when the destination refuses this one. */
  readonly otherFormat: ManifestFormat | undefined;
}

export interface KeptReason {
  /** Completes "… cannot stay as it is, ": what is lost with its digest. */
  readonly why: string;
  readonly hint: string;
}

/**
 * Decides what becomes of an image: pure, from what its manifest says. Whether a layer is compressed already is told
 * by its bytes alone, so a layer's wish may turn out to be fulfilled.
 * @throws AtomicError `unsupported` for what the destination cannot hold; `digest-changes` for a change that is not allowed
 */
export function planInstance(
  instance: Instance,
  wishes: CopyWishes,
  traits: DestinationTraits,
): InstancePlan {
  const kept = whyKept(wishes.preserveDigests === true, instance.isSigned);
  const own = formatOf(instance.manifest.mediaType) ?? 'oci';
  const layers = instance.layers.map((descriptor, i) => planLayer(instance, descriptor, i, wishes, traits));
  const format = chooseFormat(instance, own, layers, wishes, traits);
  if (format !== own) {
    if (isArtifact(instance.manifest)) {
      throw new AtomicError(
        'unsupported',
        `${instance.name} is no container image, so its manifest cannot be converted to ${nameOf(format)}`,
        { hint: `Copy it to a destination that takes ${nameOf(own)}, and without --format.` },
      );
    }
    refuseChange(kept, instance.name, `it has to be converted to ${nameOf(format)}`);
  }
  if (instance.isSchema1) refuseChange(kept, instance.name, 'it has the old schema 1 format');
  if (instance.layers.some(({ digest }, i) => digest !== instance.manifest.layers[i]?.digest)) {
    refuseChange(kept, instance.name, 'its source has other bytes of its layers than the manifest names');
  }
  const isFree = kept === undefined && wishes.format === undefined && traits.manifestTypes === undefined;
  const other = otherOf(format);
  const isConvertible =
    !isArtifact(instance.manifest) && layers.every((layer) => canHoldLayer(other, compressionAfter(layer)));
  return { format, layers, kept, otherFormat: isFree && isConvertible ? other : undefined };
}

/** @throws AtomicError `digest-changes` when there is a reason to keep the manifest as it is */
export function refuseChange(kept: KeptReason | undefined, name: string, found: string): void {
  if (kept === undefined) return;
  throw new AtomicError('digest-changes', `${name} cannot keep its digest, ${kept.why}: ${found}`, {
    hint: kept.hint,
  });
}

export function whyKept(preserveDigests: boolean, isSigned: boolean): KeptReason | undefined {
  if (preserveDigests) {
    const hint = 'Copy without --preserve-digests, or to a destination that takes the image as it is.';
    return { why: 'which was asked for', hint };
  }
  if (isSigned) {
    return { why: 'without which its signatures are void', hint: 'Copy with --remove-signatures.' };
  }
  return undefined;
}

export function nameOf(format: ManifestFormat): string {
  return format === 'oci' ? "OCI's format" : "Docker's format (v2s2)";
}

export function otherOf(format: ManifestFormat): ManifestFormat {
  return format === 'oci' ? 'v2s2' : 'oci';
}

/** Whether it is something else than a container image: then its blobs are bytes that mean nothing to us. */
export function isArtifact({ mediaType: manifestType, config, layers }: ImageManifest): boolean {
  const isImage = isImageConfig(config.mediaType, manifestType);
  return !isImage || layers.some(({ mediaType }) => layerTypeOf(mediaType) === undefined);
}

function planLayer(
  { name, manifest, isMade }: Instance,
  descriptor: Descriptor,
  position: number,
  wishes: CopyWishes,
  traits: DestinationTraits,
): LayerPlan {
  const isForeign = (manifest.layers[position]?.urls ?? []).length > 0;
  if (isForeign && traits.foreignLayers) return { descriptor, wish: 'stored', isLeft: true };
  if (isArtifact(manifest)) {
    if (traits.layers !== 'plain') return { descriptor, wish: 'stored', isLeft: false };
    throw new AtomicError(
      'unsupported',
      `${name} is no container image, and the destination holds nothing else`,
      { hint: 'Copy it to docker://, oci: or dir:.' },
    );
  }
  return { descriptor, wish: wishFor(isMade, wishes, traits), isLeft: false };
}

function wishFor(isMade: boolean, wishes: CopyWishes, traits: DestinationTraits): LayerWish {
  if (traits.layers === 'plain') return 'none';
  if (wishes.layers !== undefined) return wishes.layers;
  // A destination of compressed layers takes plain ones, too: nothing forces that change.
  const isFree = isMade && wishes.preserveDigests !== true;
  return traits.layers === 'compressed' && isFree ? 'compressed' : 'stored';
}

function chooseFormat(
  { name }: Instance,
  own: ManifestFormat,
  layers: readonly LayerPlan[],
  { format: asked }: CopyWishes,
  { manifestTypes }: DestinationTraits,
): ManifestFormat {
  const takes = (format: ManifestFormat): boolean =>
    manifestTypes === undefined || manifestTypes.includes(format === 'oci' ? OCI_MANIFEST : DOCKER_MANIFEST);
  if (asked !== undefined && !takes(asked)) {
    throw new AtomicError('unsupported', `The destination does not take ${nameOf(asked)}`, {
      hint: 'Leave --format out: the image is converted as far as that is needed.',
    });
  }
  const preferred = manifestTypes === undefined ? own : (formatOf(manifestTypes[0] ?? '') ?? own);
  const format = asked ?? (takes(own) ? own : preferred);
  // What stands in a manifest already, by whatever tool, may stay there.
  const withZstd = layers.findIndex((layer) => {
    const after = compressionAfter(layer);
    const isNew = format !== own || after !== compressionSaid(layer.descriptor);
    return isNew && !canHoldLayer(format, after);
  });
  if (withZstd === -1) return format;
  // Docker's format has no word for zstd; where nobody asked for it, OCI's does.
  if (asked === undefined && layers[withZstd]?.wish === 'zstd' && takes('oci')) return 'oci';
  throw new AtomicError(
    'unsupported',
    `Layer ${withZstd + 1} of ${layers.length} of ${name} is compressed with zstd, which ${nameOf(format)} cannot say`,
    { hint: "Copy with --dest-compress-format gzip, or in OCI's format." },
  );
}

function compressionSaid({ mediaType }: Descriptor): Compression {
  return layerTypeOf(mediaType)?.compression ?? 'none';
}

/** How a layer will be compressed, by what is said of it. */
function compressionAfter({ descriptor, wish, isLeft }: LayerPlan): Compression {
  const said = compressionSaid(descriptor);
  if (isLeft || wish === 'stored') return said;
  if (wish === 'compressed') return said === 'none' ? 'gzip' : said;
  return wish;
}
