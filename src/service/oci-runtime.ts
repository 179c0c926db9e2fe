import { AtomicError, isAtomicError } from '../errors.ts';
import type { Exec } from '../host/ports.ts';
import { parseJson } from '../image/json.ts';

export interface Runtime {
  /** Absolute. */
  readonly path: string;
  readonly features: RuntimeFeatures;
}

export interface RuntimeFeatures {
  /** Takes `--systemd-cgroup`. */
  readonly systemdCgroup: boolean;
  /** `run` takes `--pid-file`: the runtime can detach. */
  readonly pidFile: boolean;
}

export interface RuntimeSources {
  /** `--runtime` */
  readonly option: string | undefined;
  /** RUNC_PATH */
  readonly environment: string | undefined;
  /** `runtime` of atomic.conf */
  readonly conf: string | undefined;
}

/** Fedora's place of runc goes first: it is what units of old hosts name. */
const DEFAULTS = ['/usr/bin/runc', '/usr/sbin/runc', 'runc', '/usr/bin/crun', 'crun'];
/** Any status is an answer: some programs print their help and fail. */
const ANY_STATUS = Array.from({ length: 256 }, (_, status) => status);
const HELP_LIMIT_MS = 10_000;

/**
 * The runtime that a container is to be run by: the option, else RUNC_PATH, else atomic.conf, else runc, else crun.
 * One that was named has to be there: another is no substitute for it.
 * @throws AtomicError `tool-missing`
 */
export async function findRuntime(exec: Exec, sources: RuntimeSources): Promise<Runtime> {
  const path = await locateRuntime(exec, sources, 'install the container');
  return { path, features: await probeFeatures(exec, path) };
}

/**
 * The same without a look at what it can do.
 * @param purpose behind "Cannot": `install the container`
 * @throws AtomicError `tool-missing`
 */
export async function locateRuntime(
  exec: Exec,
  { option, environment, conf }: RuntimeSources,
  purpose: string,
): Promise<string> {
  const named = [option, environment, conf].find((name) => name !== undefined && name !== '');
  for (const candidate of named === undefined ? DEFAULTS : [named]) {
    const path = await exec.find(candidate);
    if (path !== undefined) return path;
  }
  const missing = named ?? 'runc';
  throw new AtomicError('tool-missing', `Cannot ${purpose}: the runtime ${missing} is not installed`, {
    hint:
      named === undefined
        ? 'Install it: dnf install runc, or apt-get install runc.'
        : 'Install it, or name another with --runtime, RUNC_PATH or `runtime` in atomic.conf.',
  });
}

/** Containers as the runtimes themselves know them; a runtime that is gone has none. */
export interface RuntimeContainers {
  exists(runtime: string, container: string): Promise<boolean>;
  remove(runtime: string, container: string): Promise<void>;
}

export function createRuntimeContainers(exec: Exec): RuntimeContainers {
  const ask = async (runtime: string, args: readonly string[]): Promise<number | undefined> => {
    try {
      return (await exec.run(runtime, args, { accept: ANY_STATUS })).exitCode;
    } catch (error) {
      if (isAtomicError(error, 'command-failed', 'tool-missing')) return undefined;
      throw error;
    }
  };
  return {
    exists: async (runtime, container) => (await ask(runtime, ['state', container])) === 0,
    remove: async (runtime, container) => void (await ask(runtime, ['delete', '--force', container])),
  };
}

/**
 * Runs a process in a container that runs, on our terminal or detached from it.
 * @param process runtime-spec's process, as JSON. Without one crun gives root's rights in /, whatever the container's own
 * process has; so it is given whole.
 * @returns the process's exit status, or the runtime's
 */
export async function execProcess(
  exec: Exec,
  runtime: string,
  container: string,
  { process, detach }: { readonly process: string; readonly detach: boolean },
): Promise<number> {
  const how = detach ? ['--detach'] : [];
  const args = ['exec', ...how, '--process', '/proc/self/fd/3', container];
  return exec.attach(runtime, args, { document: process, silent: detach });
}

/**
 * The processes of a container that runs, as this host numbers them.
 * @throws AtomicError `command-failed` with the runtime's own words, also for an answer that is no list of numbers
 */
export async function listPids(exec: Exec, runtime: string, container: string): Promise<number[]> {
  const { stdout } = await exec.run(runtime, ['ps', '--format=json', container]);
  const pids = parseJson(stdout, `What ${runtime} ps says of ${container}`, 'command-failed');
  // runc says null of a container that has just ended.
  if (pids === null) return [];
  if (Array.isArray(pids) && pids.every((pid) => Number.isInteger(pid))) return pids as number[];
  throw new AtomicError('command-failed', `What ${runtime} ps says of ${container} is no list of numbers`);
}

/** What a runtime can do, told by its help texts, as atomic did: a runtime may be any program. */
async function probeFeatures(exec: Exec, path: string): Promise<RuntimeFeatures> {
  const [general, run] = await Promise.all([readHelp(exec, path, []), readHelp(exec, path, ['run'])]);
  return { systemdCgroup: general.includes('--systemd-cgroup'), pidFile: run.includes('--pid-file') };
}

async function readHelp(exec: Exec, path: string, command: readonly string[]): Promise<string> {
  try {
    const options = { accept: ANY_STATUS, timeoutMs: HELP_LIMIT_MS };
    const { stdout, stderr } = await exec.run(path, [...command, '--help'], options);
    return stdout + stderr;
  } catch (error) {
    if (isAtomicError(error, 'command-failed')) return '';
    throw error;
  }
}
