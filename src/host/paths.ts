import { normalize } from 'node:path';
import type { AtomicConf } from '../config/atomic-conf.ts';
import { DEFAULT_CONF_PATH } from '../config/atomic-conf.ts';
import { AtomicError } from '../errors.ts';
import type { HostFiles, HostPaths } from './ports.ts';

const CHECKOUTS = '/var/lib/containers/atomic';
/** The repo of a host that is itself booted from ostree. */
const SYSTEM_REPOSITORY = '/ostree/repo';

export interface PathSources {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly conf: AtomicConf;
  readonly files: Pick<HostFiles, 'isDirectory' | 'sameFilesystem'>;
}

/**
 * Where system containers stand, by atomic's rules: an environment variable, else atomic.conf, else the default.
 * /ostree/repo is taken only where its objects can be linked into checkouts: on the same file system.
 * @throws AtomicError `value-invalid` for a path that is not absolute.
 */
export async function resolvePaths({ environment, conf, files }: PathSources): Promise<HostPaths> {
  const checkouts =
    givenPath(environment['ATOMIC_OSTREE_CHECKOUT_PATH'], 'ATOMIC_OSTREE_CHECKOUT_PATH') ??
    givenPath(conf.checkoutPath, 'checkout_path in atomic.conf') ??
    CHECKOUTS;
  const repository =
    givenPath(environment['ATOMIC_OSTREE_REPO'], 'ATOMIC_OSTREE_REPO') ??
    givenPath(conf.ostreeRepository, 'ostree_repository in atomic.conf') ??
    (await defaultRepository(checkouts, files));
  return {
    checkouts,
    repository,
    units: '/etc/systemd/system',
    tmpfiles: '/etc/tmpfiles.d',
    conf: givenPath(environment['ATOMIC_CONF'], 'ATOMIC_CONF') ?? DEFAULT_CONF_PATH,
    preinstalled: '/usr/lib/containers/atomic',
    runDirectory: '/run',
    stateDirectory: '/var/lib',
    confDirectory: '/etc',
  };
}

async function defaultRepository(checkouts: string, files: PathSources['files']): Promise<string> {
  const isUsable =
    (await files.isDirectory(SYSTEM_REPOSITORY)) &&
    (await files.sameFilesystem(SYSTEM_REPOSITORY, checkouts));
  return isUsable ? SYSTEM_REPOSITORY : `${checkouts}/.storage/ostree`;
}

function givenPath(path: string | undefined, name: string): string | undefined {
  if (path === undefined || path === '') return undefined;
  if (!path.startsWith('/') || /[\u0000-\u001f\u007f]/.test(path)) {
    throw new AtomicError('value-invalid', `${name} is ${JSON.stringify(path)}, which is no absolute path`);
  }
  const plain = normalize(path).replace(/\/+$/, '');
  if (plain === '') throw new AtomicError('value-invalid', `${name} is the root folder`);
  return plain;
}
