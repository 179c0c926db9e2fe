import { AtomicError } from '../errors.ts';
import { parseDigest, type Digest } from './digest.ts';
import { parseHealthcheck, type HealthCheck } from './health-check.ts';
import {
  isRecord,
  optionalStringList,
  optionalStringMap,
  parseJson,
  refuseRepeatedKeys,
  spellAsKnown,
  type JsonRecord,
} from './json.ts';

/** What is read of a config and of its parts, in the spelling of the specifications. */
const FIELDS =
  'architecture os os.version os.features variant created author docker_version rootfs config history';
const ROOTFS_FIELDS = 'type diff_ids';
const RUN_FIELDS =
  'User ExposedPorts Env Entrypoint Cmd Volumes WorkingDir Labels StopSignal ArgsEscaped Healthcheck';
const HEALTH_FIELDS = 'Test Interval Timeout StartPeriod StartInterval Retries';

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
 * Reads a config blob as a document. Keys have the specification's spelling, whatever their case was: for tools in Go
 * `user` is `User`, and a container must not run as root with us and as somebody else with them.
 * @param what subject of the error's sentence.
 * @throws AtomicError `config-invalid`, also for a key that is there twice
 * @see image-spec config.md; Go's encoding/json, Unmarshal
 */
export function readConfigDocument(bytes: Uint8Array, what: string): JsonRecord {
  const document = parseJson(bytes, what, 'config-invalid');
  if (!isRecord(document)) throw new AtomicError('config-invalid', `${what} is not a JSON object`);
  refuseRepeatedKeys(bytes, document, what, 'config-invalid');
  const spelled = spell(document, FIELDS, what);
  const run = (value: JsonRecord): JsonRecord =>
    change(spell(value, RUN_FIELDS, `${what}, config,`), 'Healthcheck', (check) =>
      spell(check, HEALTH_FIELDS, `${what}, Healthcheck,`),
    );
  const rootfs = (value: JsonRecord): JsonRecord => spell(value, ROOTFS_FIELDS, `${what}, rootfs,`);
  return change(change(spelled, 'rootfs', rootfs), 'config', run);
}

function spell(record: JsonRecord, fields: string, what: string): JsonRecord {
  return spellAsKnown(record, fields.split(' '), what, 'config-invalid');
}

/** The same with one of its parts changed, where that is an object. */
function change(record: JsonRecord, key: string, edit: (part: JsonRecord) => JsonRecord): JsonRecord {
  const part = record[key];
  return isRecord(part) ? { ...record, [key]: edit(part) } : record;
}

/**
 * Reads a config blob; Docker's and OCI's share the fields we use.
 * @param what subject of the error's sentence.
 * @throws AtomicError `config-invalid`
 */
export function parseImageConfig(bytes: Uint8Array, what: string): ImageConfig {
  const document = readConfigDocument(bytes, what);
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
