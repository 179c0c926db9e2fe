import type { Descriptor } from './descriptor.ts';
import { isRecord } from './json.ts';
import { formatOf } from './media-type.ts';

/** What a manifest was built for, in GOOS/GOARCH spelling: image-spec image-index.md. */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
}

/** Reads a platform leniently: what is missing is the empty string and matches nothing. */
export function parsePlatform(value: unknown): Platform {
  if (!isRecord(value)) return { os: '', architecture: '' };
  const text = (key: string): string => (typeof value[key] === 'string' ? value[key] : '');
  const variant = text('variant');
  return { os: text('os'), architecture: text('architecture'), ...(variant === '' ? {} : { variant }) };
}

export function formatPlatform(platform: Platform): string {
  return [platform.os, platform.architecture, platform.variant].filter(Boolean).join('/');
}

/** Variants that a host can run, best first: an arm v7 runs v6 and v5 images; arm64's v8 is its default. */
function acceptableVariants(platform: Platform): (string | undefined)[] {
  const { architecture, variant } = platform;
  if (architecture === 'arm') {
    const below = ARM_VARIANTS.indexOf(variant ?? 'v7');
    return below === -1 ? [variant, undefined] : [...ARM_VARIANTS.slice(below), undefined];
  }
  if (architecture === 'arm64') return [variant ?? 'v8', 'v8', undefined];
  return variant === undefined ? [undefined] : [variant, undefined];
}

const ARM_VARIANTS = ['v8', 'v7', 'v6', 'v5'];

/** What an entry says that is the same image as another one, with layers that older tools cannot read. */
export const ZSTD_VARIANT = 'io.github.containers.compression.zstd';
/** What BuildKit's entries say that are about an image: attestations. */
const REFERENCE_TYPE = 'vnd.docker.reference.type';

/**
 * The entry of an index that fits the wanted platform best; undefined when none does. Among equals the first one wins,
 * as the specification asks, and gzip wins over zstd, as with containers/image. `os.version` and `os.features` are not
 * looked at: Linux has neither. Entries that are no image are never chosen. Where none fits, it is the first that does
 * not say what it is for, nor that it is an artifact: the specification lets it, and the image's config tells.
 */
export function choosePlatform(manifests: readonly Descriptor[], wanted: Platform): Descriptor | undefined {
  const images = manifests.filter(isImageEntry);
  const fitting = images.filter(
    ({ platform }) =>
      hasPlatform(platform) && platform.os === wanted.os && platform.architecture === wanted.architecture,
  );
  for (const variant of acceptableVariants(wanted)) {
    const matches = fitting.filter(({ platform }) => platform?.variant === variant);
    const match = matches.find(({ annotations }) => annotations?.[ZSTD_VARIANT] !== 'true') ?? matches[0];
    if (match !== undefined) return match;
  }
  return images.find(({ platform, artifactType }) => platform === undefined && artifactType === undefined);
}

/** Those that an index has images for. */
export function platformsOf(manifests: readonly Descriptor[]): Platform[] {
  return manifests.filter(isImageEntry).flatMap(({ platform }) => (hasPlatform(platform) ? platform : []));
}

/** Whether an entry of an index can be an image. */
function isImageEntry({ mediaType, annotations }: Descriptor): boolean {
  if (annotations?.[REFERENCE_TYPE] !== undefined) return false;
  return mediaType === '' || formatOf(mediaType) !== undefined;
}

function hasPlatform(platform: Platform | undefined): platform is Platform {
  return platform !== undefined && platform.os !== '' && platform.os !== 'unknown';
}
