import type { DirectoryFact, ImageFacts } from '../container/image-facts.ts';
import type { Volume } from './volumes.ts';

export interface Mount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

/**
 * Directories that ordinary images write to while they run, under a root that is read-only. Each that the image has as a
 * directory of its own becomes a tmpfs that begins as a copy of it (`tmpcopyup`), so that nginx finds /var/cache/nginx
 * and /run keeps its /run/lock. What must outlast a restart belongs into a volume.
 */
export const WRITABLE_DIRECTORIES: readonly string[] = [
  '/run',
  '/tmp',
  '/var/cache',
  '/var/lock',
  '/var/log',
  '/var/run',
  '/var/tmp',
];

/** Files of the host that name resolution on the host's network needs. */
const HOST_FILES = ['/etc/resolv.conf', '/etc/hosts'];

/**
 * The mounts of a generated configuration, in the order in which they are to be made.
 * @param sourceMissing whether a path of the host is not there; what the host lacks is not mounted.
 */
export function listMounts(
  facts: ImageFacts,
  volumes: readonly Volume[],
  sourceMissing: (path: string) => boolean,
): readonly Mount[] {
  const taken = new Set(volumes.map(({ path }) => path));
  const writable = WRITABLE_DIRECTORIES.flatMap((path) => {
    const fact = facts.directories.get(path);
    // A link (/var/run -> /run) is written to where it leads; a declared volume outlasts what a tmpfs would lose.
    return fact === undefined || fact.linked || taken.has(path) ? [] : [writableMount(path, fact)];
  });
  const hostFiles = HOST_FILES.filter((path) => !sourceMissing(path)).map((path) => bind(path, path, 'ro'));
  const own = volumes.map(({ path, source }) => bind(source, path, 'rw', 'nosuid', 'nodev'));
  // Volumes may lie below a tmpfs, and the other way round: what is above goes first.
  const below = [...writable, ...own].sort((a, b) => depth(a.destination) - depth(b.destination));
  return [...KERNEL_MOUNTS, ...below, ...hostFiles];
}

const KERNEL_MOUNTS: readonly Mount[] = [
  mount('/proc', 'proc', 'proc'),
  mount('/dev', 'tmpfs', 'tmpfs', 'nosuid', 'strictatime', 'mode=755', 'size=65536k'),
  mount(
    '/dev/pts',
    'devpts',
    'devpts',
    'nosuid',
    'noexec',
    'newinstance',
    'ptmxmode=0666',
    'mode=0620',
    'gid=5',
  ),
  mount('/dev/shm', 'tmpfs', 'shm', 'nosuid', 'noexec', 'nodev', 'mode=1777', 'size=65536k'),
  mount('/dev/mqueue', 'mqueue', 'mqueue', 'nosuid', 'noexec', 'nodev'),
  mount('/sys', 'sysfs', 'sysfs', 'nosuid', 'noexec', 'nodev', 'ro'),
  mount('/sys/fs/cgroup', 'cgroup', 'cgroup', 'nosuid', 'noexec', 'nodev', 'relatime', 'ro'),
];

function mount(destination: string, type: string, source: string, ...options: string[]): Mount {
  return { destination, type, source, options };
}

function bind(source: string, destination: string, ...options: string[]): Mount {
  return mount(destination, 'bind', source, 'rbind', 'rprivate', ...options);
}

function writableMount(path: string, { mode, uid, gid }: DirectoryFact): Mount {
  const looks = [`mode=${mode.toString(8).padStart(4, '0')}`, `uid=${uid}`, `gid=${gid}`];
  return mount(path, 'tmpfs', 'tmpfs', 'nosuid', 'nodev', 'tmpcopyup', ...looks);
}

function depth(path: string): number {
  return path.split('/').length;
}
