/** rpm and rpmbuild of this host, run so that only the host's own configuration (/usr/lib/rpm, /etc/rpm) has a say. */
import { AtomicError } from '../errors.ts';
import type { Exec, HostFiles, RunOptions, RunResult } from '../host/ports.ts';

/** Where a database is that belongs to no package manager of the host. */
const DATABASE = '/var/lib/rpm';
/** One of these is in the folder of a database: sqlite, ndb, bdb. */
const DATABASE_FILES = ['rpmdb.sqlite', 'Packages.db', 'Packages'];
/** Debian's rpm, which warns of being used on a host of dpkg's, knows the option that says yes. */
const DPKG = '/var/lib/dpkg/status';

/** No macros of the user's: ~/.rpmmacros, ~/.config/rpm. */
const ENVIRONMENT = { HOME: '/nonexistent', XDG_CONFIG_HOME: undefined, RPM_CONFIGDIR: undefined };

/** The package database of this host. */
export interface RpmHost {
  /** Whether rpm is what this host's own packages are managed with. */
  readonly isNative: boolean;
  /** The folder of the database, and whether there is one in it: even a query would make one. */
  readonly database: string;
  readonly exists: boolean;
  /** What every call that uses the database has to say. */
  readonly options: readonly string[];
}

export type RpmFiles = Pick<HostFiles, 'exists'>;

/**
 * Asks what rpm is to this host. It is the package manager where its database knows the program `rpm` itself: what
 * distribution that is need not be known.
 * @returns undefined when rpm is not installed
 */
export async function findRpmHost(exec: Exec, files: RpmFiles): Promise<RpmHost | undefined> {
  const program = await exec.find('rpm');
  if (program === undefined) return undefined;
  const force = (await files.exists(DPKG)) ? ['--force-debian'] : [];
  const own = (await runRpm(exec, ['--eval', '%{_dbpath}'])).stdout.trim();
  if (own.startsWith('/') && (await hasDatabase(own, files))) {
    const { exitCode } = await runRpm(exec, ['--query', '--file', program], { accept: [0, 1] });
    if (exitCode === 0) return { isNative: true, database: own, exists: true, options: force };
  }
  return {
    isNative: false,
    database: DATABASE,
    exists: await hasDatabase(DATABASE, files),
    options: [`--dbpath=${DATABASE}`, ...force],
  };
}

/** @throws AtomicError `tool-missing` */
export async function requireRpmHost(exec: Exec, files: RpmFiles): Promise<RpmHost> {
  const host = await findRpmHost(exec, files);
  if (host !== undefined) return host;
  throw new AtomicError('tool-missing', 'The program rpm is not installed, or not in PATH', {
    hint: 'Install it (the package is called rpm), or install without a package: --system-package=no.',
  });
}

async function hasDatabase(folder: string, files: RpmFiles): Promise<boolean> {
  for (const name of DATABASE_FILES) if (await files.exists(`${folder}/${name}`)) return true;
  return false;
}

export function runRpm(exec: Exec, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return exec.run('rpm', args, { ...options, env: { ...ENVIRONMENT, ...options.env } });
}

export function runRpmbuild(exec: Exec, args: readonly string[], options: RunOptions): Promise<RunResult> {
  return exec.run('rpmbuild', args, { ...options, env: { ...ENVIRONMENT, ...options.env } });
}
