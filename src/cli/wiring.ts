/** Where the ports get their implementations: the one place that imports from host/. */
import { readFile, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import type { App, LoginApp, TransferApp } from '../app/context.ts';
import { DEFAULT_CONF_PATH, readAtomicConf, type ReadFile } from '../config/atomic-conf.ts';
import { AtomicError, isAtomicError } from '../errors.ts';
import type { Report } from '../events.ts';
import { readKernelCapabilities } from '../host/capabilities.ts';
import { createExec } from '../host/exec.ts';
import { createFiles } from '../host/files.ts';
import { readIdentity } from '../host/identity.ts';
import { createLocks } from '../host/locks.ts';
import { resolvePaths } from '../host/paths.ts';
import type { HostFacts, HostFiles, ProcessFacts } from '../host/ports.ts';
import { createSelinux } from '../host/selinux.ts';
import { moveLimits, type LimitValues } from '../limits.ts';
import type { Templates } from '../render/own-template.ts';
import { createSystemd } from '../service/systemd.ts';
import { ImageStore } from '../store/image-store.ts';

interface SharedWiring {
  readonly version: string;
  readonly report: Report;
  /** Of the command line; they outrank atomic.conf's. */
  readonly limits: LimitValues;
  /** How others, who wait for our locks, are told of us: `atomic-ts update`. */
  readonly command: string;
}

export interface TransferWiring extends SharedWiring {
  /** The whole of it, when an image of the local storage is asked for. */
  readonly openLocal: () => Promise<App>;
}

export interface WiringOptions extends SharedWiring {
  readonly lockWaitMs: number;
}

/** The program's view of this host. */
export async function createApp({
  version,
  report,
  lockWaitMs,
  command,
  limits,
}: WiringOptions): Promise<App> {
  // What we make is for others to read; modes that matter are given with the file.
  process.umask(0o022);
  const environment = process.env;
  const exec = createExec();
  const selinux = createSelinux(exec);
  const files = createFiles(exec, selinux);
  const conf = await readAtomicConf(environment, (path, cap) => files.readIfExists(path, cap));
  moveLimits({ ...conf.limits, ...limits });
  const paths = await resolvePaths({ environment, conf, files });
  const mode = readIdentity().uid === 0 ? 'bare' : 'bare-user';
  const app: App = {
    exec,
    files,
    selinux,
    locks: createLocks(command),
    identity: readIdentity(),
    paths,
    conf,
    environment: withProxies(environment, conf),
    store: new ImageStore(paths.repository, exec, { labels: selinux.isOn, mode }),
    services: createSystemd(exec),
    report,
    signal: abortOnSignals(),
    program: await findProgram(),
    userAgent: `atomic-ts/${version}`,
    lockWaitMs,
    findRepository: () => Promise.resolve(paths.repository),
    openLocal: () => Promise.resolve(app),
    loadTemplates,
    readKernelCapabilities,
  };
  return app;
}

/**
 * The same for commands that need nothing of this host. Files are made as the user's umask says; of atomic.conf counts
 * what this user may read.
 */
export async function createTransferApp({
  version,
  report,
  limits,
  command,
  openLocal,
}: TransferWiring): Promise<TransferApp & Pick<App, 'files'>> {
  const environment = process.env;
  const exec = createExec();
  const files = createFiles(exec);
  const conf = await readAtomicConf(environment, readWhereAllowed(files));
  moveLimits({ ...conf.limits, ...limits });
  return {
    exec,
    files,
    locks: createLocks(command),
    identity: readIdentity(),
    environment: withProxies(environment, conf),
    report,
    signal: abortOnSignals(),
    userAgent: `atomic-ts/${version}`,
    findRepository: async () => (await resolvePaths({ environment, conf, files })).repository,
    openLocal,
  };
}

/** The same for commands that change the user's auth file. */
export async function createLoginApp(options: WiringOptions & TransferWiring): Promise<LoginApp> {
  return { ...(await createTransferApp(options)), lockWaitMs: options.lockWaitMs };
}

/** A default atomic.conf that is root's alone is none for others; one that was asked for by name has to be readable. */
export function readWhereAllowed(files: Pick<HostFiles, 'readIfExists'>): ReadFile {
  return async (path, cap) => {
    try {
      return await files.readIfExists(path, cap);
    } catch (error) {
      if (path === DEFAULT_CONF_PATH && isAtomicError(error, 'not-root')) return undefined;
      throw error;
    }
  };
}

/** What `doctor` judges; loaded for it alone. */
export async function gatherHostFacts({ exec, paths, files }: App): Promise<HostFacts> {
  const { gatherFacts } = await import('../host/facts.ts');
  return gatherFacts(exec, paths, files);
}

/** What `top` and `stats` count; loaded for them alone. */
export async function readProcesses(pids: readonly number[]): Promise<readonly ProcessFacts[]> {
  const { readProcesses: read } = await import('../host/processes.ts');
  return read(pids);
}

/** atomic.conf's proxies count where the environment names none. */
function withProxies(environment: NodeJS.ProcessEnv, conf: App['conf']): App['environment'] {
  const named = (name: string): boolean =>
    [name, name.toLowerCase()].some((key) => (environment[key] ?? '') !== '');
  return {
    ...environment,
    ...(conf.httpProxy === undefined || named('HTTP_PROXY') ? {} : { HTTP_PROXY: conf.httpProxy }),
    ...(conf.httpsProxy === undefined || named('HTTPS_PROXY') ? {} : { HTTPS_PROXY: conf.httpsProxy }),
    ...(conf.noProxy === undefined || named('NO_PROXY') ? {} : { NO_PROXY: conf.noProxy }),
  };
}

/** The first signal ends the work in good order; a second one ends the process, and the journal tells what is open. */
function abortOnSignals(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => {
      controller.abort(new AtomicError('interrupted', `Interrupted by ${name}: what was begun is undone`));
    });
  }
  return controller.signal;
}

/** Units name us by the path we were started by, which outlives an update of the package. */
async function findProgram(): Promise<string> {
  const script = process.argv[1] ?? '';
  return realpath(script).catch(() => script);
}

async function loadTemplates(): Promise<Templates> {
  const read = (name: string): Promise<string> => readFile(join(templateFolder(), name), 'utf8');
  return { service: await read('service.ejs'), tmpfiles: await read('tmpfiles.ejs') };
}

/** Beside the bundle's entry; chunks lie a folder deeper. */
function templateFolder(): string {
  return join(import.meta.dirname.replace(/\/chunks$/, ''), 'templates');
}
