import { AtomicError } from '../errors.ts';
import {
  isRecord,
  optionalStringList,
  optionalStringMap,
  parseJson,
  type JsonRecord,
} from '../image/json.ts';
import { formatHealthCheck, readHealthCheck, type ChosenCheck } from './health-check.ts';
import { formatExactJson } from './exact-json.ts';
import type { Value, ValueSource } from './variables.ts';

/** What a deployment knows of itself: the file `info` beside its rootfs. */
export interface ContainerInfo {
  /** As the ostree ref spells it. */
  readonly image: string;
  /** The manifest digest's hex. */
  readonly revision: string | undefined;
  readonly ostreeCommit: string | undefined;
  /** Seconds since 1970. */
  readonly created: number;
  readonly values: Readonly<Record<string, Value>>;
  readonly hasContainerService: boolean;
  /** Host files that belong to it, in the order they were made. */
  readonly installedFiles: readonly string[];
  /** sha256 of each; "0" for directories and broken links, "" when it was never taken. */
  readonly installedFilesChecksum: Readonly<Record<string, string>>;
  readonly installedFilesTemplate: readonly string[];
  readonly renameInstalledFiles: Readonly<Record<string, string>>;
  /** The package's file in the deployment. */
  readonly rpmInstalled: string | undefined;
  /** yes, no or absent. */
  readonly systemPackage: string;
  /** The folder of a rootfs elsewhere. */
  readonly remote: string | undefined;
  readonly useLinks: boolean;
  readonly runtime: string | undefined;
  /** From here on: keys atomic did not write. */
  readonly valueSources: Readonly<Record<string, ValueSource>> | undefined;
  /** The reference the image was pulled from, in a text that parses to it. */
  readonly source: string | undefined;
  readonly manifestDigest: string | undefined;
  /** What its service has to pass to count as started. */
  readonly healthCheck: ChosenCheck | undefined;
  /** sha256 of config.json, the unit and the tmpfiles configuration as they were rendered, by their names here. */
  readonly filesChecksum: Readonly<Record<string, string>> | undefined;
  /** Of a rootfs elsewhere: sha256 of what was read out of its /exports. */
  readonly exportsChecksum?: string | undefined;
  /** Whether its service was enabled and started by whoever installed it; undefined where that is not known. */
  readonly enabled: boolean | undefined;
  readonly started: boolean | undefined;
  /** Whether a package of the image's own, or one made by its spec, was asked for. */
  readonly foreignPackage: boolean | undefined;
}

const SOURCES: ReadonlySet<unknown> = new Set<ValueSource>([
  'forced',
  'set',
  'host',
  'manifest',
  'generated',
]);

/**
 * Reads an `info`; the caller has capped it at OWN_JSON_BYTES. Keys that older versions did not write get what those
 * versions meant by their absence; unknown keys are passed over.
 * @param path the file, for the error's sentence.
 * @throws AtomicError `store-invalid`
 */
export function parseInfo(text: string, path: string): ContainerInfo {
  const what = `The file ${path}`;
  const document = parseJson(text, what, 'store-invalid');
  if (!isRecord(document)) throw new AtomicError('store-invalid', `${what} is not a JSON object`);
  const list = (key: string): string[] =>
    optionalStringList(document[key], `${what}, ${key},`, 'store-invalid') ?? [];
  const map = (key: string): Record<string, string> | undefined =>
    optionalStringMap(document[key], `${what}, ${key},`, 'store-invalid');
  const installedFiles = list('installed-files');
  const rpmInstalled = textOf(document, 'rpm-installed');
  return {
    image: textOf(document, 'image') ?? '',
    revision: textOf(document, 'revision'),
    ostreeCommit: textOf(document, 'ostree-commit'),
    created: typeof document['created'] === 'number' ? document['created'] : 0,
    values: readValues(document['values'], what),
    hasContainerService: flagOf(document, 'has-container-service', true),
    installedFiles,
    installedFilesChecksum:
      map('installed-files-checksum') ?? Object.fromEntries(installedFiles.map((file) => [file, ''])),
    installedFilesTemplate: list('installed-files-template'),
    renameInstalledFiles: map('rename-installed-files') ?? {},
    rpmInstalled,
    systemPackage: textOf(document, 'system-package') ?? (rpmInstalled === undefined ? 'no' : 'yes'),
    remote: textOf(document, 'remote'),
    // Before the key there were only copies.
    useLinks: flagOf(document, 'use-links', false),
    runtime: textOf(document, 'runtime'),
    valueSources: readSources(document['value-sources']),
    source: textOf(document, 'source'),
    manifestDigest: textOf(document, 'manifest-digest'),
    healthCheck: readHealthCheck(document['health-check']),
    filesChecksum: map('files-checksum'),
    exportsChecksum: textOf(document, 'exports-checksum'),
    enabled: knownFlagOf(document, 'enabled'),
    started: knownFlagOf(document, 'started'),
    foreignPackage: knownFlagOf(document, 'foreign-package'),
  };
}

/** The text of an `info`: atomic's keys in atomic's order, then ours; a newline at its end. */
export function formatInfo(info: ContainerInfo): string {
  const document = {
    image: info.image,
    revision: info.revision ?? null,
    'ostree-commit': info.ostreeCommit ?? null,
    created: info.created,
    values: info.values,
    'has-container-service': info.hasContainerService,
    'installed-files': info.installedFiles,
    'installed-files-checksum': info.installedFilesChecksum,
    'installed-files-template': info.installedFilesTemplate,
    'rename-installed-files': info.renameInstalledFiles,
    'rpm-installed': info.rpmInstalled ?? null,
    'system-package': info.systemPackage,
    remote: info.remote ?? null,
    'use-links': info.useLinks,
    runtime: info.runtime ?? null,
    'value-sources': info.valueSources,
    source: info.source,
    'manifest-digest': info.manifestDigest,
    'health-check': formatHealthCheck(info.healthCheck),
    'files-checksum': info.filesChecksum,
    'exports-checksum': info.exportsChecksum,
    enabled: info.enabled,
    started: info.started,
    'foreign-package': info.foreignPackage,
  };
  return `${formatExactJson(document)}\n`;
}

function readValues(value: unknown, what: string): Record<string, Value> {
  if (value === undefined || value === null) return {};
  if (!isRecord(value)) throw new AtomicError('store-invalid', `${what}, values, is not an object`);
  const entries = Object.entries(value).map(([name, item]): [string, Value] => {
    if (typeof item === 'string' || typeof item === 'number') return [name, item];
    // atomic stored a manifest's true and null as they were, and rendered them as Python spells them.
    if (typeof item === 'boolean') return [name, item ? 'True' : 'False'];
    if (item === null) return [name, 'None'];
    throw new AtomicError('store-invalid', `${what}, values, ${JSON.stringify(name)} is a list or an object`);
  });
  return Object.fromEntries(entries);
}

/** Sources that are not known words are passed over: the value then counts as one of unknown source. */
function readSources(value: unknown): Record<string, ValueSource> | undefined {
  if (!isRecord(value)) return undefined;
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, ValueSource] => SOURCES.has(entry[1])),
  );
}

function textOf(document: JsonRecord, key: string): string | undefined {
  const value = document[key];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function flagOf(document: JsonRecord, key: string, otherwise: boolean): boolean {
  return knownFlagOf(document, key) ?? otherwise;
}

function knownFlagOf(document: JsonRecord, key: string): boolean | undefined {
  const value = document[key];
  return typeof value === 'boolean' ? value : undefined;
}
