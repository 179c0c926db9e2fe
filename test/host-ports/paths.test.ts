import { describe, expect, it } from 'vitest';
import { parseAtomicConf } from '../../src/config/atomic-conf.ts';
import { resolvePaths, type PathSources } from '../../src/host/paths.ts';
import type { HostPaths } from '../../src/host/ports.ts';

/** A host without /ostree, unless told otherwise. */
function resolve(
  environment: PathSources['environment'],
  conf: Record<string, string> = {},
  ostree: { readonly isThere: boolean; readonly isNear: boolean } = { isThere: false, isNear: false },
): Promise<HostPaths> {
  return resolvePaths({
    environment,
    conf: parseAtomicConf(conf, 'atomic.conf'),
    files: {
      isDirectory: (path) => Promise.resolve(path === '/ostree/repo' && ostree.isThere),
      sameFilesystem: () => Promise.resolve(ostree.isNear),
    },
  });
}

describe('paths', () => {
  it('are those of atomic by default', async () => {
    expect(await resolve({})).toEqual({
      checkouts: '/var/lib/containers/atomic',
      repository: '/var/lib/containers/atomic/.storage/ostree',
      units: '/etc/systemd/system',
      tmpfiles: '/etc/tmpfiles.d',
      conf: '/etc/atomic.conf',
      preinstalled: '/usr/lib/containers/atomic',
      runDirectory: '/run',
      stateDirectory: '/var/lib',
      confDirectory: '/etc',
    });
  });

  it('take the checkouts from the variable, then from atomic.conf', async () => {
    const conf = { checkout_path: '/conf' };
    expect((await resolve({ ATOMIC_OSTREE_CHECKOUT_PATH: '/env' }, conf)).checkouts).toBe('/env');
    expect((await resolve({}, conf)).checkouts).toBe('/conf');
    expect((await resolve({ ATOMIC_OSTREE_CHECKOUT_PATH: '' }, conf)).checkouts).toBe('/conf');
  });

  it('take the repo from the variable, then from atomic.conf, then beside the checkouts', async () => {
    const near = { isThere: true, isNear: true };
    const conf = { ostree_repository: '/conf', checkout_path: '/srv' };
    expect((await resolve({ ATOMIC_OSTREE_REPO: '/env' }, conf, near)).repository).toBe('/env');
    expect((await resolve({}, conf, near)).repository).toBe('/conf');
    expect((await resolve({}, { checkout_path: '/srv' })).repository).toBe('/srv/.storage/ostree');
  });

  it('take the repo of an ostree host only where it is on the same file system', async () => {
    expect((await resolve({}, {}, { isThere: true, isNear: true })).repository).toBe('/ostree/repo');
    expect((await resolve({}, {}, { isThere: true, isNear: false })).repository).toMatch(
      /\.storage\/ostree$/,
    );
    expect((await resolve({}, {}, { isThere: false, isNear: true })).repository).toMatch(
      /\.storage\/ostree$/,
    );
  });

  it('are written plainly', async () => {
    const paths = await resolve({ ATOMIC_OSTREE_CHECKOUT_PATH: '/a//b/../c/', ATOMIC_CONF: '/x/y' });
    expect(paths.checkouts).toBe('/a/c');
    expect(paths.conf).toBe('/x/y');
  });

  it.each(['relative', './x', '/a\nb', '/', '/..'])('refuse %j', async (path) => {
    await expect(resolve({ ATOMIC_OSTREE_CHECKOUT_PATH: path })).rejects.toMatchObject({
      code: 'value-invalid',
    });
    await expect(resolve({}, { ostree_repository: path })).rejects.toThrow(
      'ostree_repository in atomic.conf',
    );
  });
});
