import { AtomicError } from '../errors.ts';
import { parseDigest, type Digest } from './digest.ts';
import { isRecord, optionalStringMap, refuseOtherSpellings, type JsonRecord } from './json.ts';
import { parsePlatform, type Platform } from './platform.ts';

/** Points at content by type, digest and size (bytes): image-spec descriptor.md. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  readonly platform?: Platform;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly urls?: readonly string[];
  /** What it is, where it points at something else than an image. */
  readonly artifactType?: string;
}

const FIELDS = ['mediaType', 'digest', 'size', 'platform', 'annotations', 'urls', 'artifactType'];

/** The size of a layer that its manifest does not tell (schema 1's): only `getBlob` is ever given it. */
export const UNKNOWN_SIZE = -1;

/**
 * Reads a descriptor out of parsed JSON.
 * @param where what holds it, for the error's sentence.
 * @throws AtomicError `manifest-invalid`
 */
export function parseDescriptor(value: unknown, where: string): Descriptor {
  if (!isRecord(value)) throw new AtomicError('manifest-invalid', `${where} is not a descriptor object`);
  refuseOtherSpellings(value, FIELDS, where);
  const size = value['size'];
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    throw new AtomicError('manifest-invalid', `${where} has no valid size`);
  }
  const annotations = optionalStringMap(value['annotations'], `${where}, annotations`);
  const urls = parseUrls(value, where);
  const platform = value['platform'] ?? undefined;
  const artifactType = value['artifactType'];
  return {
    mediaType: typeof value['mediaType'] === 'string' ? value['mediaType'] : '',
    digest: parseDigest(value['digest'], where),
    size,
    ...(platform === undefined ? {} : { platform: parsePlatform(platform) }),
    ...(annotations === undefined ? {} : { annotations }),
    ...(urls === undefined ? {} : { urls }),
    ...(typeof artifactType === 'string' ? { artifactType } : {}),
  };
}

function parseUrls(value: JsonRecord, where: string): string[] | undefined {
  const urls = value['urls'];
  if (urls === undefined || urls === null) return undefined;
  if (!Array.isArray(urls) || !urls.every((url) => typeof url === 'string')) {
    throw new AtomicError('manifest-invalid', `${where} has urls that are no list of strings`);
  }
  return urls;
}
