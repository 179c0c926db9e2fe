/** What this host lacks for installing system containers, and what to do about it: the facts in, a verdict for each out. */
import { join } from 'node:path';
import { isAtomicError, messageOf } from '../errors.ts';
import type { HostFacts } from '../host/ports.ts';
import { CONFIG_FILE_BYTES } from '../limits.ts';
import { findRuntime } from '../service/oci-runtime.ts';
import type { App } from './context.ts';
import { formatSize } from './format-size.ts';
import { runtimeSources } from './runtime-sources.ts';

export interface Check {
  readonly name: string;
  /** `problem`: an install would fail. `drift`: a container is not what was recorded of it. */
  readonly status: 'ok' | 'warning' | 'problem' | 'drift';
  readonly found: string;
  /** What to do; empty when there is nothing. */
  readonly advice: string;
}

const MB = 1000 * 1000;
/** Less than this holds no image worth the name; less than the other is used up by a few updates. */
const SPACE_NEEDED = 100 * MB;
const SPACE_ADVISED = 2000 * MB;
/** Layers stream through about half of this. */
const MEMORY_ADVISED = 256 * MB;
const SYSTEMCTL_LIMIT_MS = 5_000;

/** Judges a host; starts a few programs that only answer, and changes nothing. */
export async function diagnose(app: App, facts: HostFacts): Promise<Check[]> {
  return [
    checkRoot(app),
    await checkProgram(app, facts, 'ostree', 'ostree'),
    await checkRuntime(app, facts),
    await checkSystemd(app),
    await checkProgram(app, facts, 'systemd-tmpfiles', 'systemd'),
    await checkProgram(app, facts, 'sync', 'coreutils'),
    await checkProgram(app, facts, 'flock', 'util-linux'),
    await checkZstd(app, facts),
    checkFilesystem(facts),
    await checkSpace(app, facts),
    await checkRepository(app, facts),
    checkCgroup(facts),
    checkSubordinateIds(app, facts),
    ok('selinux', facts.system.selinux),
    checkMemory(facts),
    ok('system', `${facts.system.os}, Linux ${facts.system.kernel}`),
    ok('processor', `${facts.system.processor}, ${facts.system.cores} cores, ${app.identity.architecture}`),
  ];
}

type Judge = (name: string, found: string, advice: string) => Check;

const ok = (name: string, found: string): Check => ({ name, status: 'ok', found, advice: '' });
const warning: Judge = (name, found, advice) => ({ name, status: 'warning', found, advice });
const problem: Judge = (name, found, advice) => ({ name, status: 'problem', found, advice });

function checkRoot({ identity }: App): Check {
  if (identity.uid === 0) return ok('root', 'running as root');
  return problem(
    'root',
    `running as user ${identity.uid}`,
    'System containers are installed by root: use sudo.',
  );
}

async function checkProgram(app: App, facts: HostFacts, name: string, packageName: string): Promise<Check> {
  const path = await app.exec.find(name);
  if (path !== undefined) return ok(name, await withVersion(app, facts, path));
  return problem(name, 'not installed', installAdvice(packageName));
}

function installAdvice(packageName: string): string {
  return `Install it: dnf install ${packageName}, or apt-get install ${packageName}.`;
}

/** A program with its version, also where the facts have it by another name: /usr/bin/runc may be a link to /usr/sbin/runc. */
async function withVersion(app: App, { tools }: HostFacts, path: string): Promise<string> {
  const real = await app.files.realpath(path);
  for (const tool of tools) {
    if (tool.path === undefined || tool.version === undefined) continue;
    if ((await app.files.realpath(tool.path)) === real) return `${path} ${tool.version}`;
  }
  return path;
}

async function checkRuntime(app: App, facts: HostFacts): Promise<Check> {
  const name = 'oci-runtime';
  try {
    const { path, features } = await findRuntime(app.exec, runtimeSources(app, undefined));
    if (features.pidFile) return ok(name, await withVersion(app, facts, path));
    const found = `${path}, which does not detach (its run takes no --pid-file)`;
    return warning(name, found, 'Take runc or crun, unless images are made for this one.');
  } catch (error) {
    if (!isAtomicError(error)) throw error;
    return problem(name, error.message, error.hint ?? '');
  }
}

async function checkSystemd({ exec }: App): Promise<Check> {
  const name = 'systemd';
  try {
    const options = { accept: [0, 1], timeoutMs: SYSTEMCTL_LIMIT_MS };
    const state = (await exec.run('systemctl', ['is-system-running'], options)).stdout.trim();
    switch (state) {
      case 'running':
        return ok(name, state);
      case 'degraded':
        return warning(name, 'degraded: a unit of this host has failed', 'systemctl --failed shows which.');
      case 'initializing':
      case 'starting':
        return warning(name, state, 'Wait for it: systemctl is-system-running --wait.');
      case 'maintenance':
      case 'stopping':
        return warning(name, state, 'Bring the host up again before anything is installed.');
      default:
        return problem(
          name,
          `not running as the first process (systemctl says "${state}")`,
          'Boot this host with systemd: the containers are its services.',
        );
    }
  } catch (error) {
    if (isAtomicError(error, 'tool-missing')) return problem(name, 'not installed', installAdvice('systemd'));
    if (!isAtomicError(error, 'command-failed')) throw error;
    return problem(name, messageOf(error), 'See what ails systemd: the containers are its services.');
  }
}

async function checkZstd(app: App, facts: HostFacts): Promise<Check> {
  const path = await app.exec.find('zstd');
  if (path !== undefined) return ok('zstd', await withVersion(app, facts, path));
  const found = 'not installed: images with zstd layers cannot be pulled';
  return warning('zstd', found, installAdvice('zstd'));
}

function checkFilesystem({ checkouts, repository, sameFilesystem }: HostFacts): Check {
  const name = 'file-system';
  if (sameFilesystem === undefined) return mayNotLook(name, checkouts.path);
  if (sameFilesystem) return ok(name, `checkouts and repo on one ${checkouts.filesystem ?? 'file system'}`);
  return problem(
    name,
    `${checkouts.path} and ${repository.path} are on different file systems, and checkouts are hard links into the repo`,
    'Move one: ATOMIC_OSTREE_REPO and ATOMIC_OSTREE_CHECKOUT_PATH, or ostree_repository and checkout_path in atomic.conf.',
  );
}

async function checkSpace(app: App, { repository }: HostFacts): Promise<Check> {
  const { path, freeBytes } = repository;
  if (freeBytes === undefined) return mayNotLook('space', path);
  const reserve = readReserve(await readRepositoryConfig(app, path), repository.sizeBytes);
  const kept =
    reserve.bytes > 0 ? `, of which the repo leaves ${formatSize(reserve.bytes)} (${reserve.by})` : '';
  const found = `${formatSize(freeBytes)} free at ${path}${kept}`;
  const usable = freeBytes - reserve.bytes;
  if (usable >= SPACE_ADVISED) return ok('space', found);
  const advice = 'Free some: remove containers and images that are not used.';
  return usable < SPACE_NEEDED ? problem('space', found, advice) : warning('space', found, advice);
}

interface Reserve {
  readonly bytes: number;
  /** The setting that says so. */
  readonly by: string;
}

/** What ostree leaves free: ostree.repo-config(5). A size goes before a percentage, which is 3 when nothing is said. */
export function readReserve(config: string, sizeBytes: number | undefined): Reserve {
  const size = /^min-free-space-size\s*=\s*(\d+)\s*([MGT])B\s*$/m.exec(config);
  if (size !== null) {
    const unit = { M: 1, G: 1024, T: 1024 * 1024 }[size[2] as 'M' | 'G' | 'T'] * 1024 * 1024;
    return { bytes: Number(size[1]) * unit, by: 'min-free-space-size' };
  }
  const percent = Number(/^min-free-space-percent\s*=\s*(\d{1,2})\s*$/m.exec(config)?.[1] ?? 3);
  const bytes = Math.floor(((sizeBytes ?? 0) * percent) / 100);
  return { bytes, by: `min-free-space-percent ${percent}` };
}

/** Empty when there is none yet, or we may not look: that is for another check to tell. */
async function readRepositoryConfig(app: App, path: string): Promise<string> {
  try {
    return (await app.files.readIfExists(join(path, 'config'), CONFIG_FILE_BYTES))?.toString('utf8') ?? '';
  } catch (error) {
    if (isAtomicError(error)) return '';
    throw error;
  }
}

/** Containers of root need none; those of other users are mapped into such ranges: subuid(5). */
function checkSubordinateIds(app: App, { subordinateIds: { user, uids, gids } }: HostFacts): Check {
  const name = 'subuid';
  const own = (ranges: HostFacts['subordinateIds']['uids']): number =>
    ranges.filter(({ owner }) => owner === user || owner === String(app.identity.uid)).length;
  const found = `${uids.length} ranges in /etc/subuid, ${gids.length} in /etc/subgid`;
  if (app.identity.uid === 0 || (own(uids) > 0 && own(gids) > 0)) return ok(name, found);
  return warning(
    name,
    `${user} has ${own(uids)} ranges in /etc/subuid and ${own(gids)} in /etc/subgid`,
    `Containers of a user need one in each: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ${user}.`,
  );
}

async function checkRepository(app: App, { repository: { path } }: HostFacts): Promise<Check> {
  const name = 'repo';
  try {
    if (!(await app.files.exists(join(path, 'objects'))))
      return ok(name, `${path} is not there yet; the first pull makes it`);
    const config = await app.files.readIfExists(join(path, 'config'), CONFIG_FILE_BYTES);
    const mode = /^mode\s*=\s*(\S+)/m.exec(config?.toString('utf8') ?? '')?.[1];
    if (mode === 'bare') return ok(name, `${path}, mode bare`);
    return problem(
      name,
      `${path} has ${mode === undefined ? 'no mode' : `the mode ${mode}`}, and only a bare repo keeps owners and gives hard links`,
      'Name another with ATOMIC_OSTREE_REPO, or ostree_repository in atomic.conf: it is made when it is not there.',
    );
  } catch (error) {
    if (isAtomicError(error, 'not-root')) return mayNotLook(name, path);
    if (!isAtomicError(error)) throw error;
    return problem(name, error.message, error.hint ?? 'ostree fsck tells what the repo lacks.');
  }
}

function checkCgroup({ system: { cgroupVersion } }: HostFacts): Check {
  if (cgroupVersion === 2) return ok('cgroup', 'version 2');
  if (cgroupVersion === 1) {
    const advice =
      'It works; systemd gives it up with version 256: boot with systemd.unified_cgroup_hierarchy=1.';
    return warning('cgroup', 'version 1', advice);
  }
  return problem('cgroup', 'nothing at /sys/fs/cgroup', 'Mount it: runtimes do not run without cgroups.');
}

function checkMemory({ system: { memory, memoryAvailable } }: HostFacts): Check {
  const found = `${formatSize(memoryAvailable)} available of ${formatSize(memory)}`;
  if (memoryAvailable >= MEMORY_ADVISED) return ok('memory', found);
  return warning('memory', found, `A pull wants ${formatSize(MEMORY_ADVISED)}: stop something first.`);
}

function mayNotLook(name: string, path: string): Check {
  return warning(name, `${path} may be looked at by root only`, 'Run doctor as root.');
}
