import { AtomicError } from '../errors.ts';
import type { ContainerName } from './name.ts';
import { keepStored, type StoredValues } from './stored-values.ts';
import { FORCED_VARIABLES, pidFileIn, type Value, type ValueSource } from './variables.ts';

export interface RuntimeFeatures {
  /** The runtime knows --systemd-cgroup. */
  readonly systemdCgroup: boolean;
  /** `run` knows --pid-file. */
  readonly pidFile: boolean;
}

/** What is known of the host and of the user's wishes before the image is looked at. */
export interface ValuesContext {
  readonly runtime: string;
  readonly runtimeFeatures: RuntimeFeatures;
  readonly imageName: string;
  /** The manifest digest's hex. */
  readonly imageId: string;
  /** What --set gave. */
  readonly set: Readonly<Record<string, string>>;
  /** Of the deployment before, on an update. */
  readonly stored?: StoredValues;
  readonly identity: { readonly uid: number; readonly gid: number };
  readonly directories: { readonly run: string; readonly conf: string; readonly state: string };
  /** Of the running kernel, in its order: CAP_CHOWN… */
  readonly allCapabilities: readonly string[];
  /** Path of this executable. */
  readonly program: string;
  readonly uuid: () => string;
}

export interface ValuesInput extends ValuesContext {
  readonly name: ContainerName;
  readonly deploymentDirectory: string;
  /** Whether the unit lets the runtime detach: see `unitSupportsPidfile`. */
  readonly unitUsesPidfile: boolean;
  readonly manifestDefaults: Readonly<Record<string, string>>;
}

export interface ComputedValues {
  readonly values: Readonly<Record<string, Value>>;
  readonly sources: Readonly<Record<string, ValueSource>>;
}

/** Whether a unit template takes the detached form of the runtime's commands; atomic looks for just these two spellings. */
export function unitSupportsPidfile(template: string): boolean {
  return template.includes('$EXEC_STOPPOST') && template.includes('$PIDFILE');
}

/** Whether the runtime will detach and write its container's pid. */
export function detaches(input: Pick<ValuesInput, 'unitUsesPidfile' | 'runtimeFeatures'>): boolean {
  return input.unitUsesPidfile && input.runtimeFeatures.pidFile;
}

/**
 * Reads the text of one --set; the value may be empty and may contain `=`.
 * @throws AtomicError `value-invalid`
 */
export function parseSetOption(text: string): [name: string, value: string] {
  const at = text.indexOf('=');
  if (at > 0) return [text.slice(0, at), text.slice(at + 1)];
  throw new AtomicError('value-invalid', `Invalid value '${text}'.  Expected form NAME=VALUE`);
}

/**
 * The value of every template variable, and where each comes from; in the order in which atomic wrote them to `info`.
 *
 * --set goes before what was kept of an earlier deployment, that before what the host gives, that before the image's
 * defaults; a UUID of the image goes before a drawn one.
 * @throws AtomicError `value-invalid` when --set names a variable that is always ours. atomic took such a --set and
 * ignored it: nobody can have meant that.
 */
export function computeValues(input: ValuesInput): ComputedValues {
  for (const name of Object.keys(input.set)) {
    if (!FORCED_VARIABLES.has(name)) continue;
    throw new AtomicError('value-invalid', `${name} cannot be set: it is always filled in by the program`, {
      hint: name === 'NAME' ? 'Name the container with --name.' : `Leave out --set ${name}=….`,
    });
  }
  const table = new Map<string, readonly [Value, ValueSource]>();
  const offer = (name: string, value: Value, source: ValueSource): void => {
    if (!table.has(name)) table.set(name, [value, source]);
  };
  const host = hostDefaults(input);
  const kept = keepStored(input.stored, { name: input.name, host, defaults: input.manifestDefaults });
  for (const [name, value] of Object.entries(input.set)) offer(name, value, 'set');
  for (const [name, value] of kept.set) offer(name, value, 'set');
  // A PIDFILE follows the RUN_DIRECTORY that is in force.
  const run = table.get('RUN_DIRECTORY')?.[0] ?? input.directories.run;
  for (const [name, value] of Object.entries({ ...host, PIDFILE: pidFileIn(String(run), input.name) }))
    offer(name, value, 'host');
  for (const [name, value] of kept.generated) offer(name, value, 'generated');
  for (const [name, value] of Object.entries(input.manifestDefaults)) offer(name, value, 'manifest');
  for (const [name, value] of kept.defaults) offer(name, value, 'manifest');
  offer('UUID', input.uuid(), 'generated');
  const pidFile = String(table.get('PIDFILE')?.[0]);
  for (const [name, value] of Object.entries(forcedValues(input, pidFile)))
    table.set(name, [value, 'forced']);
  return {
    values: Object.fromEntries([...table].map(([name, [value]]) => [name, value])),
    sources: Object.fromEntries([...table].map(([name, [, source]]) => [name, source])),
  };
}

/** What the host gives to variables that nobody set. */
export function hostDefaults(
  input: Pick<ValuesInput, 'directories' | 'name' | 'allCapabilities' | 'runtime' | 'program'>,
): Record<string, string> {
  const { directories, name, allCapabilities } = input;
  return {
    RUN_DIRECTORY: directories.run,
    PIDFILE: pidFileIn(directories.run, name),
    CONF_DIRECTORY: directories.conf,
    STATE_DIRECTORY: directories.state,
    ALL_PROCESS_CAPABILITIES: `${allCapabilities.map((capability) => `"${capability}"`).join(',\n')}\n`,
    RUNTIME: input.runtime,
    ATOMIC: input.program,
  };
}

/** The variables that are always ours. The commands have atomic's exact spacing: two blanks before a detached `run`'s options. */
function forcedValues(input: ValuesInput, pidFile: string): Record<string, Value> {
  const { runtime, name } = input;
  const cgroup = input.runtimeFeatures.systemdCgroup ? ' --systemd-cgroup' : '';
  const detached = detaches(input);
  return {
    DESTDIR: input.deploymentDirectory,
    NAME: name,
    EXEC_START: detached
      ? `${runtime} ${cgroup} run -d --pid-file ${pidFile} '${name}'`
      : `${runtime}${cgroup} run '${name}'`,
    EXEC_STOP: detached ? '' : `${runtime}${cgroup} kill '${name}'`,
    EXEC_STARTPRE: '',
    EXEC_STOPPOST: detached ? `${runtime} delete '${name}'` : '',
    HOST_UID: input.identity.uid,
    HOST_GID: input.identity.gid,
    IMAGE_NAME: input.imageName,
    IMAGE_ID: input.imageId,
  };
}
