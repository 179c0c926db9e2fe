import type { Descriptor } from './descriptor.ts';
import { isRecord } from './json.ts';

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
  if (platform.architecture === 'arm') {
    const level = Number(platform.variant?.slice(1) ?? 7);
    const variants: (string | undefined)[] = [];
    for (let v = level; v >= 5; v--) variants.push(`v${v}`);
    return [...variants, undefined];
  }
  if (platform.architecture === 'arm64') return [platform.variant ?? 'v8', 'v8', undefined];
  return platform.variant === undefined ? [undefined] : [platform.variant, undefined];
}

/**
 * The entry of an index that fits the wanted platform best; undefined when none does.
 * Among equals the first one wins, as the specification asks.
 */
export function choosePlatform(manifests: readonly Descriptor[], wanted: Platform): Descriptor | undefined {
  const fitting = manifests.filter(
    ({ platform }) => platform?.os === wanted.os && platform.architecture === wanted.architecture,
  );
  for (const variant of acceptableVariants(wanted)) {
    const match = fitting.find(({ platform }) => platform?.variant === variant);
    if (match !== undefined) return match;
  }
  return undefined;
}
