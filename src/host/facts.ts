import { readFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { isAtomicError } from '../errors.ts';
import type { Exec, HostFacts, HostFiles, HostPaths, IdRange, PlaceFacts, ToolFacts } from './ports.ts';

const TOOLS = ['ostree', 'runc', 'crun', 'systemctl', 'flock', 'zstd', 'rpmbuild'];
/** systeminformation runs shells: they get this PATH and no other. */
const FIXED_PATH = '/usr/sbin:/usr/bin:/sbin:/bin';
const VERSION_LIMIT_MS = 10_000;

/**
 * Gathers what may explain why something does not work on this host. Slow (systeminformation runs dozens of
 * programs), so for people who ask for it and for nothing else.
 */
export async function gatherFacts(
  exec: Exec,
  paths: Pick<HostPaths, 'checkouts' | 'repository'>,
  files: Pick<HostFiles, 'exists' | 'freeBytes' | 'sameFilesystem'>,
): Promise<HostFacts> {
  const { system, mounts } = await askSystem();
  const tools: ToolFacts[] = [];
  for (const name of TOOLS) tools.push(await askTool(exec, name));
  const place = async (path: string): Promise<PlaceFacts> => ({
    path,
    exists: await unlessForbidden(() => files.exists(path)),
    filesystem: mountOf(path, mounts)?.type,
    sizeBytes: mountOf(path, mounts)?.size,
    freeBytes: await unlessForbidden(() => files.freeBytes(path)),
  });
  return {
    system: { ...system, cgroupVersion: await readCgroupVersion(files), selinux: await readSelinux() },
    tools,
    checkouts: await place(paths.checkouts),
    repository: await place(paths.repository),
    sameFilesystem: await unlessForbidden(() => files.sameFilesystem(paths.checkouts, paths.repository)),
    subordinateIds: {
      user: userInfo().username,
      uids: await readIdRanges('/etc/subuid'),
      gids: await readIdRanges('/etc/subgid'),
    },
  };
}

async function unlessForbidden<T>(look: () => Promise<T>): Promise<T | undefined> {
  try {
    return await look();
  } catch (error) {
    if (isAtomicError(error, 'not-root')) return undefined;
    throw error;
  }
}

export interface Mount {
  readonly mount: string;
  readonly type: string;
  /** Bytes in all. */
  readonly size: number;
}

/** The file system that a path stands on: the mount point that is the longest part of it. */
export function mountOf(path: string, mounts: readonly Mount[]): Mount | undefined {
  const above = mounts.filter(({ mount }) => mount === '/' || path === mount || path.startsWith(`${mount}/`));
  return above.sort((a, b) => b.mount.length - a.mount.length)[0];
}

/** The lines `OWNER:START:COUNT` of a file; none where there is no such file, and no lines that are something else. */
async function readIdRanges(path: string): Promise<IdRange[]> {
  const text = await readFile(path, 'utf8').catch(() => '');
  return parseIdRanges(text);
}

export function parseIdRanges(text: string): IdRange[] {
  return [...text.matchAll(/^([^:#\s]+):(\d{1,10}):(\d{1,10})$/gm)].map(([, owner = '', start, count]) => ({
    owner,
    start: Number(start),
    count: Number(count),
  }));
}

/** The first thing in a program's `--version` that looks like a version, with a dot where there is one. */
export function findVersion(text: string): string | undefined {
  return (/\d+\.\d+[\w.+~-]*/.exec(text) ?? /\d+/.exec(text))?.[0];
}

async function askSystem(): Promise<{
  readonly system: Omit<HostFacts['system'], 'cgroupVersion' | 'selinux'>;
  readonly mounts: readonly Mount[];
}> {
  const information = await import('./systeminformation.ts');
  const path = process.env['PATH'];
  process.env['PATH'] = FIXED_PATH;
  try {
    const [os, cpu, memory, mounts] = await Promise.all([
      information.osInfo(),
      information.cpu(),
      information.mem(),
      information.fsSize(),
    ]);
    const system = {
      os: `${os.distro} ${os.release}`.trim(),
      kernel: os.kernel,
      architecture: os.arch,
      processor: `${cpu.manufacturer} ${cpu.brand}`.trim(),
      cores: cpu.cores,
      memory: memory.total,
      memoryAvailable: memory.available,
    };
    return { system, mounts };
  } finally {
    if (path === undefined) delete process.env['PATH'];
    else process.env['PATH'] = path;
  }
}

async function askTool(exec: Exec, name: string): Promise<ToolFacts> {
  const path = await exec.find(name);
  if (path === undefined) return { name, path, version: undefined };
  try {
    const { stdout } = await exec.run(path, ['--version'], { timeoutMs: VERSION_LIMIT_MS });
    return { name, path, version: findVersion(stdout) };
  } catch (error) {
    if (isAtomicError(error)) return { name, path, version: undefined };
    throw error;
  }
}

/** cgroups(7): only the unified hierarchy has cgroup.controllers at its root. */
async function readCgroupVersion(files: Pick<HostFiles, 'exists'>): Promise<1 | 2 | undefined> {
  if (await files.exists('/sys/fs/cgroup/cgroup.controllers')) return 2;
  return (await files.exists('/sys/fs/cgroup')) ? 1 : undefined;
}

async function readSelinux(): Promise<'enforcing' | 'permissive' | 'off'> {
  try {
    return (await readFile('/sys/fs/selinux/enforce', 'latin1')).startsWith('1') ? 'enforcing' : 'permissive';
  } catch {
    return 'off';
  }
}
