/** What an image says of itself where it is: its layers stay there, and nothing is stored. */
import { AtomicError, isAtomicError } from '../errors.ts';
import { readBlob, resolveManifest } from '../copy/resolve.ts';
import { readTopManifest, type TopManifest } from '../copy/top-manifest.ts';
import { readConfigDocument } from '../image/config.ts';
import {
  isRecord,
  optionalStringList,
  optionalStringMap,
  parseJson,
  type JsonRecord,
} from '../image/json.ts';
import { DOCKER_CONFIG, DOCKER_MANIFEST, OCI_CONFIG } from '../image/media-type.ts';
import type { Platform } from '../image/platform.ts';
import { parseRegistryImage, type ImageReference } from '../image/reference.ts';
import { isSchema1, makeConfig, parseSchema1 } from '../image/schema1.ts';
import { parseEngineImage } from '../transport/docker-daemon/engine-image.ts';
import { listTags } from '../transport/registry/tags.ts';
import type { TransferApp } from './context.ts';
import { openForReading } from './open-image.ts';
import { openOptions, wantedPlatform, type RegistryAccess } from './pull-image.ts';
import { readPlace } from './read-place.ts';
import { openFirst, readCandidates } from './short-name.ts';

export interface InspectRequest {
  readonly image: string;
  readonly access: RegistryAccess;
  /** In place of this machine's. */
  readonly platform: Partial<Platform>;
}

/** What `skopeo inspect` tells of an image. */
export interface ImageReport extends Pick<Description, 'tag' | 'layers'> {
  /** `host/repository`; empty where images have no name of a registry. */
  readonly name: string;
  /** Of what the reference names: of the index, where there is one. */
  readonly digest: string;
  /** Of the whole repository. */
  readonly repoTags: readonly string[];
  /** As the image has it. */
  readonly created: string | undefined;
  readonly dockerVersion: string;
  /** Undefined when the image has none, as `env`. */
  readonly labels: Readonly<Record<string, string>> | undefined;
  readonly architecture: string;
  readonly os: string;
  readonly env: readonly string[] | undefined;
}

/** A manifest for one platform, of any format. */
interface Description {
  /** What a manifest of schema 1 says of its own tag. */
  readonly tag: string;
  readonly layers: readonly LayerReport[];
  /** Undefined for an artifact, whose config is no image's. */
  readonly config: JsonRecord | undefined;
  /** When it was made, if it does not say so. */
  readonly madeOtherwise: string | undefined;
}

export interface LayerReport {
  readonly mediaType: string;
  readonly digest: string;
  /** -1 where the manifest does not tell. */
  readonly size: number;
  readonly annotations: Readonly<Record<string, string>> | undefined;
}

/** As Go has a moment that nobody set. */
const NEVER = '0001-01-01T00:00:00Z';

/**
 * Describes an image; of an index the image for the platform. Of an artifact there are its name and layers only.
 * @param withTags whether the tags of its repository are listed, which a registry may refuse
 * @throws AtomicError of the transport; `manifest-invalid`, `config-invalid`, `platform-missing`, `digest-mismatch`
 */
export function inspectImage(
  app: TransferApp,
  request: InspectRequest,
  withTags: boolean,
): Promise<ImageReport> {
  return withImage(app, request, async (top, reference) => {
    const { config = {}, tag, layers, madeOtherwise } = await describe(app, request, top);
    const run = isRecord(config['config']) ? config['config'] : {};
    const what = `the config of ${top.source.name}`;
    return {
      name: nameOf(reference),
      tag,
      digest: top.digest,
      repoTags: withTags ? await findTags(app, reference, request.access) : [],
      created: text(config, 'created') ?? madeOtherwise,
      dockerVersion: text(config, 'docker_version') ?? '',
      labels: optionalStringMap(run['Labels'], `${what}, Labels`, 'config-invalid'),
      architecture: text(config, 'architecture') ?? '',
      os: text(config, 'os') ?? '',
      layers,
      env: optionalStringList(run['Env'], `${what}, Env`, 'config-invalid'),
    };
  });
}

/** The bytes of the manifest or index that a reference names, as they are. */
export function readRawManifest(app: TransferApp, request: InspectRequest): Promise<Uint8Array> {
  return withImage(app, request, async ({ raw }) => raw.bytes);
}

/** The bytes of an image's config, whatever is in them. Throws as `inspectImage`. */
export function readRawConfig(app: TransferApp, request: InspectRequest): Promise<Uint8Array> {
  return withImage(app, request, async (top) => {
    if (isSchema1(top.raw.bytes))
      throw new AtomicError('unsupported', `${top.source.name} has no config: it is of schema 1`);
    const { manifest } = await resolveManifest(top.source, wantedPlatform(app, request.platform), top.digest);
    return readBlob(top.source, manifest.config, 'config-size', `the config of ${top.source.name}`);
  });
}

/** An image's config as a document. @throws AtomicError as `inspectImage`; `unsupported` for an artifact */
export function readImageConfig(app: TransferApp, request: InspectRequest): Promise<JsonRecord> {
  return withImage(app, request, async (top) => {
    const { config } = await describe(app, request, top);
    if (config !== undefined) return config;
    throw new AtomicError(
      'unsupported',
      `${top.source.name} is no container image: it has no config of one`,
      {
        hint: 'With --raw it is printed as it is.',
      },
    );
  });
}

async function withImage<T>(
  app: TransferApp,
  { image, access }: InspectRequest,
  use: (top: TopManifest, reference: ImageReference) => Promise<T>,
): Promise<T> {
  return openFirst(await readCandidates(app, image, readPlace(image), access), async (reference) => {
    const { source } = await openForReading(app, reference, access);
    try {
      const expected = reference.transport === 'docker' ? reference.image.digest : undefined;
      return await use(await readTopManifest(source, expected), reference);
    } finally {
      await source.close();
    }
  });
}

async function describe(
  app: TransferApp,
  request: InspectRequest,
  { raw, digest, source }: TopManifest,
): Promise<Description> {
  const what = `the config of ${source.name}`;
  if (isSchema1(raw.bytes)) return describeSchema1(raw.bytes, source.name);
  const { manifest } = await resolveManifest(source, wantedPlatform(app, request.platform), digest);
  const { config, layers } = manifest;
  const isDocker = manifest.mediaType === DOCKER_MANIFEST;
  // Registries have seen odd types on Docker's configs, and an old OCI image may name none.
  const isImage = isDocker || ['', OCI_CONFIG, DOCKER_CONFIG].includes(config.mediaType);
  const document = isImage
    ? readConfigDocument(await readBlob(source, config, 'config-size', what), what)
    : undefined;
  return {
    tag: '',
    layers: layers.map(({ mediaType, digest, size, annotations }) => ({
      mediaType,
      digest,
      size,
      // Docker's descriptors have none, whatever is written there.
      annotations: isDocker ? undefined : annotations,
    })),
    config: document,
    madeOtherwise: isDocker ? NEVER : undefined,
  };
}

/** Without its layers, which would have to be fetched for their sizes and DiffIDs. */
function describeSchema1(bytes: Uint8Array, name: string): Description {
  const what = `the manifest of ${name}`;
  const schema1 = parseSchema1(bytes, what);
  const config = parseJson(makeConfig(schema1, [], what), what);
  return {
    tag: schema1.tag,
    layers: schema1.layers.map(({ blobSum }) => ({
      mediaType: '',
      digest: blobSum,
      size: -1,
      annotations: undefined,
    })),
    config: isRecord(config) ? config : undefined,
    madeOtherwise: NEVER,
  };
}

function text(record: JsonRecord, key: string): string | undefined {
  const value = record[key];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** As skopeo has it: a registry's repository, also where an archive or the daemon is asked for an image by such a name. */
function nameOf(reference: ImageReference): string {
  const given = 'image' in reference ? reference.image : undefined;
  if (given === undefined || reference.transport === 'ostree') return '';
  try {
    // An image's id is no name, though it looks like one.
    if (reference.transport === 'docker-daemon' && parseEngineImage(reference.image).id !== undefined)
      return '';
    const { domain, repository } = typeof given === 'string' ? parseRegistryImage(given) : given;
    return `${domain}/${repository}`;
  } catch (error) {
    // Nor is an image's place in an archive.
    if (isAtomicError(error, 'reference-invalid')) return '';
    throw error;
  }
}

/** The tags beside the image's own; a registry that keeps them to itself is no failure. */
async function findTags(
  app: TransferApp,
  reference: ImageReference,
  access: RegistryAccess,
): Promise<string[]> {
  if (reference.transport !== 'docker') return [];
  const { image, plainHttp } = reference;
  try {
    return await listTags(image, { ...openOptions(app, access), plainHttp });
  } catch (error) {
    if (!isAtomicError(error, 'denied', 'unauthorized', 'unsupported', 'image-not-found')) throw error;
    app.report({ event: 'warning', text: `RepoTags are left out: ${error.message}` });
    return [];
  }
}
