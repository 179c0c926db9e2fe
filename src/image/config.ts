import { AtomicError } from '../errors.ts';
import { parseDigest, type Digest } from './digest.ts';
import { parseHealthcheck, type HealthCheck } from './health-check.ts';
import {
  isRecord,
  optionalStringList,
  optionalStringMap,
  parseJson,
  refuseRepeatedKeys,
  type JsonRecord,
} from './json.ts';

/** What an image says of how it runs, and the DiffIDs of its layers: image-spec config.md. */
export interface ImageConfig {
  readonly architecture: string;
  readonly os: string;
  readonly variant: string | undefined;
  readonly created: string | undefined;
  /** Digests of the layers' uncompressed tars, base first. */
  readonly diffIds: readonly Digest[];
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  readonly env: readonly string[];
  readonly user: string;
  readonly workingDir: string;
  /** Absolute paths inside the container. */
  readonly volumes: readonly string[];
  readonly stopSignal: string | undefined;
  /** Without a command: none. */
  readonly healthCheck: HealthCheck;
  readonly labels: Readonly<Record<string, string>>;
}

/**
 * Reads a config blob; Docker's and OCI's share the fields we use.
 * @param what subject of the error's sentence.
 * @throws AtomicError `config-invalid`
 */
export function parseImageConfig(bytes: Uint8Array, what: string): ImageConfig {
  const document = parseJson(bytes, what, 'config-invalid');
  if (!isRecord(document)) throw new AtomicError('config-invalid', `${what} is not a JSON object`);
  refuseRepeatedKeys(bytes, document, what, 'config-invalid');
  const rootfs = document['rootfs'];
  if (!isRecord(rootfs) || rootfs['type'] !== 'layers') {
    throw new AtomicError('config-invalid', `${what} has no rootfs of type "layers"`);
  }
  const diffIds = optionalStringList(rootfs['diff_ids'], `${what}, diff_ids`, 'config-invalid') ?? [];
  const run = isRecord(document['config']) ? document['config'] : {};
  const list = (key: string): string[] =>
    optionalStringList(run[key], `${what}, ${key}`, 'config-invalid') ?? [];
  return {
    architecture: text(document, 'architecture') ?? '',
    os: text(document, 'os') ?? '',
    variant: text(document, 'variant'),
    created: text(document, 'created'),
    diffIds: diffIds.map((id, i) => parseDigest(id, `${what}, diff_ids ${i + 1}`)),
    entrypoint: list('Entrypoint'),
    cmd: list('Cmd'),
    env: list('Env'),
    user: text(run, 'User') ?? '',
    workingDir: text(run, 'WorkingDir') ?? '',
    volumes: isRecord(run['Volumes']) ? Object.keys(run['Volumes']) : [],
    stopSignal: text(run, 'StopSignal'),
    healthCheck: parseHealthcheck(run['Healthcheck']),
    labels: optionalStringMap(run['Labels'], `${what}, Labels`, 'config-invalid') ?? {},
  };
}

function text(record: JsonRecord, key: string): string | undefined {
  const value = record[key];
  return typeof value === 'string' && value !== '' ? value : undefined;
}
