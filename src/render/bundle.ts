/**
 * From an image's /exports to the files of a deployment: config.json, the unit and the tmpfiles configuration. Pure; what
 * it needs to know of the host is handed in.
 */
import { AtomicError, messageOf } from '../errors.ts';
import type { Exports } from '../container/exports.ts';
import { formatExactJson, parseExactJson } from '../container/exact-json.ts';
import type { ImageFacts } from '../container/image-facts.ts';
import type { ContainerName } from '../container/name.ts';
import { computeValues, detaches, unitSupportsPidfile, type ValuesContext } from '../container/values.ts';
import type { Value, ValueSource } from '../container/variables.ts';
import type { ImageConfig } from '../image/config.ts';
import type { JsonRecord } from '../image/json.ts';
import { checkSpec } from './check-spec.ts';
import { normaliseSpec } from './normalise-spec.ts';
import type { Templates } from './own-template.ts';
import { generateSpec } from './runtime-spec.ts';
import { substitute } from './substitute.ts';
import { renderTmpfiles } from './tmpfiles.ts';
import { readStopSignal, renderDefaultUnit, renderUnit } from './unit.ts';
import type { Volume } from './volumes.ts';

export interface DeploymentInput {
  readonly name: ContainerName;
  readonly deploymentDirectory: string;
  /** The root file system as it will lie there: error sentences name templates in it. */
  readonly rootfs: string;
  /** The root file system is another's (--rootfs), and config.json has to name it. */
  readonly remote: boolean;
  readonly exports: Exports;
  readonly config: ImageConfig;
  /** Of `factPaths(config)`. */
  readonly facts: ImageFacts;
  readonly values: ValuesContext;
  readonly selinux: boolean;
  /** Whether a path of the host is not there; asked for bind mounts' sources. */
  readonly sourceMissing: (path: string) => boolean;
  /** The tmpfiles configuration of the deployment that is updated. */
  readonly previousTmpfiles?: string;
  readonly templates: Templates;
}

export interface DeploymentFile {
  /** Relative to the deployment. */
  readonly path: string;
  readonly role: 'config' | 'unit' | 'tmpfiles';
  readonly mode: number;
  readonly content: string;
}

export interface RenderedDeployment {
  readonly files: readonly DeploymentFile[];
  /** What config.json says; undefined when there is nothing to run and the image brings no configuration. */
  readonly spec: JsonRecord | undefined;
  readonly values: Readonly<Record<string, Value>>;
  readonly sources: Readonly<Record<string, ValueSource>>;
  /** The manifest's renameFiles, filled in. */
  readonly renameFiles: Readonly<Record<string, string>>;
  readonly warnings: readonly string[];
  readonly hasService: boolean;
}

interface RenderedSpec {
  readonly spec: JsonRecord;
  readonly text: string;
  readonly volumes: readonly Volume[];
  readonly warnings: readonly string[];
}

/**
 * Renders all of a deployment, or nothing.
 * @throws AtomicError `value-invalid`, `template-invalid`, `variable-unset`, `spec-invalid`, `unit-invalid`, `config-invalid`
 */
export function renderDeployment(input: DeploymentInput): RenderedDeployment {
  const { exports, name } = input;
  const hasService = !exports.manifest.noContainerService;
  const unitUsesPidfile = chooseDetached(exports);
  const { values, sources } = computeValues({
    ...input.values,
    name,
    deploymentDirectory: input.deploymentDirectory,
    unitUsesPidfile,
    manifestDefaults: exports.manifest.defaultValues,
  });
  const rendered = renderSpec(input, values);
  const unit = hasService ? chooseUnit(input, values, unitUsesPidfile) : undefined;
  const tmpfiles = chooseTmpfiles(input, values, rendered);
  const file = (role: DeploymentFile['role'], path: string, content: string | undefined): DeploymentFile[] =>
    content === undefined || content === '' ? [] : [{ role, path, mode: 0o644, content }];
  return {
    files: [
      ...file('config', 'config.json', rendered?.text),
      ...file('unit', `${name}.service`, unit),
      ...file('tmpfiles', `tmpfiles-${name}.conf`, tmpfiles),
    ],
    spec: rendered?.spec,
    values,
    sources,
    renameFiles: renderRenames(exports.manifest.renameFiles, values),
    warnings: rendered?.warnings ?? [],
    hasService,
  };
}

/**
 * Whether the unit lets the runtime detach. An image's own unit says so itself; without one, a container with a
 * configuration of its own is detached, as atomic's default unit had it.
 *
 * An ordinary image is not: detached, its output is the journal's socket, which nobody can open by path, and nginx, httpd
 * and their like write to /dev/stdout or /proc/self/fd/2. Attached, runc gives it pipes.
 */
function chooseDetached({ serviceTemplate, configJson, configTemplate }: Exports): boolean {
  if (serviceTemplate !== undefined) return unitSupportsPidfile(serviceTemplate);
  return configJson !== undefined || configTemplate !== undefined;
}

/** config.json goes before its template, that before what is made of the image's own config. */
function renderSpec(
  input: DeploymentInput,
  values: Readonly<Record<string, Value>>,
): RenderedSpec | undefined {
  const { configJson, configTemplate, manifest } = input.exports;
  const path = `${input.rootfs}/exports/config.json`;
  if (configJson !== undefined) return readSpec(configJson, path, input);
  if (configTemplate !== undefined) {
    const template = `${path}.template`;
    return readSpec(substitute(configTemplate, template, values), template, input);
  }
  // Host files alone need no configuration, and their image often names no command.
  if (manifest.noContainerService) return undefined;
  const stateDirectory = String(values['STATE_DIRECTORY']);
  const { spec, volumes, warnings } = generateSpec({ ...input, stateDirectory });
  const placed = placeRoot(spec, input);
  return { spec: placed, text: formatExactJson(placed), volumes, warnings };
}

/** What the image gives stays byte for byte, unless something had to be changed. */
function readSpec(text: string, path: string, input: DeploymentInput): RenderedSpec {
  const given = parseSpec(text, path);
  checkSpec(given, path, input.remote);
  const { spec, warnings } = normaliseSpec(given, {
    capabilities: input.values.allCapabilities,
    selinux: input.selinux,
  });
  const placed = placeRoot(spec, input);
  return { spec: placed, text: placed === given ? text : formatExactJson(placed), volumes: [], warnings };
}

function parseSpec(text: string, path: string): unknown {
  try {
    return parseExactJson(text);
  } catch (error) {
    throw new AtomicError(
      'spec-invalid',
      `The runtime configuration made from ${path} is not valid JSON: ${messageOf(error)}`,
      { cause: error, hint: 'Values are inserted as they are: check those given with --set.' },
    );
  }
}

function placeRoot(spec: JsonRecord, { remote, rootfs }: DeploymentInput): JsonRecord {
  return remote ? { ...spec, root: { ...Object(spec['root']), path: rootfs } } : spec;
}

function chooseUnit(
  input: DeploymentInput,
  values: Readonly<Record<string, Value>>,
  unitUsesPidfile: boolean,
): string {
  const { exports, config, templates } = input;
  const path = `${input.rootfs}/exports/service.template`;
  if (exports.serviceTemplate !== undefined) return renderUnit(exports.serviceTemplate, path, values);
  const detached = detaches({ unitUsesPidfile, runtimeFeatures: input.values.runtimeFeatures });
  const stopSignal = readStopSignal(config.stopSignal);
  return renderDefaultUnit(values, { detached, stopSignal, runtime: input.values.runtime }, templates);
}

function chooseTmpfiles(
  input: DeploymentInput,
  values: Readonly<Record<string, Value>>,
  rendered: RenderedSpec | undefined,
): string | undefined {
  const { tmpfilesTemplate } = input.exports;
  if (tmpfilesTemplate !== undefined)
    return substitute(tmpfilesTemplate, `${input.rootfs}/exports/tmpfiles.template`, values);
  if (rendered === undefined) return undefined;
  return renderTmpfiles({
    spec: rendered.spec,
    volumes: rendered.volumes,
    identity: input.values.identity,
    sourceMissing: input.sourceMissing,
    previous: input.previousTmpfiles,
    templates: input.templates,
  });
}

function renderRenames(
  renames: Readonly<Record<string, string>>,
  values: Readonly<Record<string, Value>>,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(renames).map(([from, to]) => [from, substitute(to, 'manifest.json', values)]),
  );
}
