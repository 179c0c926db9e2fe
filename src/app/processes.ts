/** What the processes of containers use: those that their runtimes count as theirs. */
import { join } from 'node:path';
import type { ContainerName } from '../container/name.ts';
import { AtomicError } from '../errors.ts';
import type { ProcessFacts } from '../host/ports.ts';
import { CONFIG_FILE_BYTES } from '../limits.ts';
import { listPids } from '../service/oci-runtime.ts';
import { requireRoot } from './change.ts';
import { unableToFind } from './containers.ts';
import type { App } from './context.ts';
import { findInstalled } from './find-installed.ts';
import { describeContainers } from './list-containers.ts';

export type ReadProcesses = (pids: readonly number[]) => Promise<readonly ProcessFacts[]>;

export interface ContainerProcess extends ProcessFacts {
  readonly container: ContainerName;
  /** By this host's accounts; the number of one that it does not know. */
  readonly user: string;
  /** Of one processor, over its whole life. */
  readonly cpuPercent: number;
  /** Of this host's memory. */
  readonly memoryPercent: number;
}

export interface ContainerStats {
  readonly container: ContainerName;
  readonly processes: number;
  readonly cpuSeconds: number;
  /** Of one processor, since its oldest process began. */
  readonly cpuPercent: number;
  readonly memoryBytes: number;
  /** Undefined for none. */
  readonly memoryLimitBytes: number | undefined;
  /** From and to disks; undefined where the kernel does not count them for it. */
  readonly readBytes: number | undefined;
  readonly writtenBytes: number | undefined;
}

const CGROUPS = '/sys/fs/cgroup';

/**
 * The processes of containers, by container and number.
 * @param names all that run when there are none
 * @throws AtomicError `container-not-found`, `not-running`
 */
export async function listProcesses(
  app: App,
  names: readonly ContainerName[],
  read: ReadProcesses,
): Promise<ContainerProcess[]> {
  const users = await readUsers(app);
  const memory = await readMemory(app);
  const found = await forEachRunning(app, names, read);
  return found.flatMap(({ container, processes }) =>
    processes.map((facts) => ({
      ...facts,
      container,
      user: users.get(facts.uid) ?? String(facts.uid),
      cpuPercent: percent(facts.cpuSeconds, facts.ageSeconds),
      memoryPercent: percent(facts.residentBytes, memory),
    })),
  );
}

/** The same added up, a line a container; by the kernel's own count where its cgroup has one. */
export async function listStats(
  app: App,
  names: readonly ContainerName[],
  read: ReadProcesses,
): Promise<ContainerStats[]> {
  const found = await forEachRunning(app, names, read);
  return Promise.all(
    found.map(async ({ container, processes }) => {
      const counted = await readCgroup(app, commonCgroup(processes));
      const sum = (of: (facts: ProcessFacts) => number): number =>
        processes.reduce((total, facts) => total + of(facts), 0);
      const cpuSeconds = counted.cpuSeconds ?? sum((facts) => facts.cpuSeconds);
      const age = Math.max(0, ...processes.map(({ ageSeconds }) => ageSeconds));
      return {
        container,
        processes: processes.length,
        cpuSeconds,
        cpuPercent: percent(cpuSeconds, age),
        memoryBytes: counted.memoryBytes ?? sum((facts) => facts.residentBytes),
        memoryLimitBytes: counted.memoryLimitBytes,
        readBytes: counted.readBytes,
        writtenBytes: counted.writtenBytes,
      };
    }),
  );
}

async function forEachRunning(
  app: App,
  names: readonly ContainerName[],
  read: ReadProcesses,
): Promise<{ container: ContainerName; processes: readonly ProcessFacts[] }[]> {
  requireRoot(app, 'look at the processes of system containers');
  const wanted = names.length > 0 ? names : await listRunning(app);
  const found = [];
  for (const container of wanted) {
    const runtime = await requireRunning(app, container);
    found.push({ container, processes: await read(await listPids(app.exec, runtime, container)) });
  }
  return found;
}

async function listRunning(app: App): Promise<ContainerName[]> {
  const listed = await describeContainers(app, { all: false, filters: [] });
  return listed.filter(({ state }) => state === 'running').map(({ id }) => id);
}

/** @returns the runtime that runs it */
async function requireRunning(app: App, name: ContainerName): Promise<string> {
  const container = await findInstalled(app, name);
  if (container === undefined) throw unableToFind(name);
  const { hasContainerService, runtime = 'runc' } = container.info;
  if (hasContainerService && (await app.services.isActive(name))) return runtime;
  const hint = hasContainerService ? `atomic-ts run ${name} starts it.` : 'It has no service.';
  throw new AtomicError('not-running', `The container ${name} is not running, so it has no processes`, {
    hint,
  });
}

/** passwd(5) of this host, as ps(1) shows it. */
async function readUsers(app: App): Promise<ReadonlyMap<number, string>> {
  const text = (await app.files.readIfExists('/etc/passwd', CONFIG_FILE_BYTES))?.toString('utf8') ?? '';
  const entries = text.split('\n').map((line): [number, string] => {
    const [name = '', , uid = ''] = line.split(':');
    return [Number.parseInt(uid, 10), name];
  });
  return new Map(entries.reverse());
}

async function readMemory(app: App): Promise<number> {
  const text = (await app.files.readIfExists('/proc/meminfo', CONFIG_FILE_BYTES))?.toString('utf8') ?? '';
  return Number(/^MemTotal:\s*(\d+)/m.exec(text)?.[1] ?? '0') * 1024;
}

function percent(part: number, whole: number): number {
  return whole === 0 ? 0 : Math.round((part / whole) * 1000) / 10;
}

/** The container's own: what all of its processes are in, or below. The root of all is nobody's. */
export function commonCgroup(processes: readonly Pick<ProcessFacts, 'cgroup'>[]): string | undefined {
  const paths = processes.map(({ cgroup = '/' }) => cgroup.split('/'));
  const [first = []] = paths;
  const differs = first.findIndex((part, i) => paths.some((path) => path[i] !== part));
  const common = (differs === -1 ? first : first.slice(0, differs)).join('/');
  return common === '' || common === '/' || common.split('/').includes('..') ? undefined : common;
}

type Counted = Partial<
  Record<'cpuSeconds' | 'memoryBytes' | 'memoryLimitBytes' | 'readBytes' | 'writtenBytes', number | undefined>
>;

/** cgroup v2 as the kernel's documentation has it; files of controllers that are off are absent. */
async function readCgroup(app: App, path: string | undefined): Promise<Counted> {
  if (path === undefined) return {};
  const readFile = async (name: string): Promise<string | undefined> =>
    (await app.files.readIfExists(join(CGROUPS, path, name), CONFIG_FILE_BYTES))?.toString('utf8');
  const [cpu, current, limit, io] = await Promise.all(
    ['cpu.stat', 'memory.current', 'memory.max', 'io.stat'].map(readFile),
  );
  return parseCgroup({ cpu, current, limit, io });
}

/** Of the texts of cpu.stat, memory.current, memory.max and io.stat. */
export function parseCgroup(
  texts: Readonly<Record<'cpu' | 'current' | 'limit' | 'io', string | undefined>>,
): Counted {
  const number = (text: string | undefined): number | undefined =>
    text !== undefined && /^\d+$/.test(text.trim()) ? Number(text) : undefined;
  const usage = number(/^usage_usec (\d+)/m.exec(texts.cpu ?? '')?.[1]);
  const total = (key: string): number | undefined =>
    texts.io === undefined
      ? undefined
      : [...texts.io.matchAll(new RegExp(`\\b${key}=(\\d+)`, 'g'))].reduce(
          (sum, [, bytes]) => sum + Number(bytes),
          0,
        );
  return {
    cpuSeconds: usage === undefined ? undefined : usage / 1e6,
    memoryBytes: number(texts.current),
    memoryLimitBytes: number(texts.limit),
    readBytes: total('rbytes'),
    writtenBytes: total('wbytes'),
  };
}
