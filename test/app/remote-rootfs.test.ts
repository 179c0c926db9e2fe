import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  checksumExports,
  findRemoteRootfs,
  listTenants,
  refuseTenants,
  requireTree,
  withTreeHeld,
} from '../../src/app/remote-rootfs.ts';
import { EMPTY_MANIFEST } from '../../src/container/exports-manifest.ts';
import { parseContainerName } from '../../src/container/name.ts';
import type { LockRequest } from '../../src/host/ports.ts';
import { createListHost, writeContainer, writeDeployment, type ListHost } from './list-host.ts';

const NAME = parseContainerName('tenant');

let folder: string;
let host: ListHost;
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'remote-')));
  host = createListHost(folder);
  mkdirSync(host.app.paths.checkouts);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const at = (path: string): string => join(folder, path);
const find = (path: string): Promise<string> => findRemoteRootfs(host.app, NAME, path);

function makeTree(path: string): string {
  mkdirSync(join(path, 'usr'), { recursive: true });
  return path;
}

describe('findRemoteRootfs', () => {
  it('finds a tree, the tree of a deployment, and both behind links', async () => {
    makeTree(at('tree'));
    const path = writeContainer(host.app.paths.checkouts, 'owner');
    makeTree(join(path, 'rootfs'));
    symlinkSync('tree', at('link'));
    expect(await find(at('tree'))).toBe(at('tree'));
    expect(await find(at('link'))).toBe(at('tree'));
    expect(await find(path)).toBe(join(path, 'rootfs'));
    expect(await find(join(host.app.paths.checkouts, 'owner'))).toBe(join(path, 'rootfs'));
  });

  it('finds where the tree of a container is whose own is elsewhere', async () => {
    makeTree(at('tree'));
    const path = writeContainer(host.app.paths.checkouts, 'owner');
    symlinkSync(at('tree'), join(path, 'rootfs'));
    expect(await find(path)).toBe(at('tree'));
  });

  it('takes the tree itself when it has a folder rootfs, too', async () => {
    makeTree(join(makeTree(at('tree')), 'rootfs'));
    expect(await find(at('tree'))).toBe(at('tree'));
  });

  it.each([
    [
      'a tree that is not there',
      'none',
      "The container's rootfs is set to remote, but the remote rootfs does not exist",
    ],
    ['a file', 'file', "The container's rootfs is set to remote, but the remote rootfs does not exist"],
    [
      'a folder without a tree',
      'empty',
      '--remote was specified but the given location does not contain a rootfs',
    ],
  ])('refuses %s in atomic’s words', async (_, path, message) => {
    writeFileSync(at('file'), '');
    mkdirSync(at('empty'));
    await expect(find(at(path))).rejects.toMatchObject({ code: 'rootfs-missing', message });
  });

  it('refuses places of the container itself, and what is ours', async () => {
    const { checkouts } = host.app.paths;
    makeTree(join(checkouts, 'tenant.1/rootfs'));
    makeTree(join(checkouts, '.atomic-ts/staging/x/rootfs'));
    for (const path of ['tenant.1', '.atomic-ts/staging/x'])
      await expect(find(join(checkouts, path))).rejects.toMatchObject({ code: 'usage' });
  });
});

describe('requireTree', () => {
  it('wants the tree of a deployment to be there, if it is elsewhere', async () => {
    await expect(requireTree(host.app, { remote: undefined })).resolves.toBeUndefined();
    await expect(requireTree(host.app, { remote: makeTree(at('tree')) })).resolves.toBeUndefined();
    await expect(requireTree(host.app, { remote: at('gone') })).rejects.toMatchObject({
      code: 'rootfs-missing',
    });
  });
});

describe('tenants', () => {
  function settle(name: string, rootfs: string): void {
    writeContainer(host.app.paths.checkouts, name, { remote: rootfs });
  }

  it('are those whose root file system is in one of the folders, in use or to be rolled back to', async () => {
    const { checkouts } = host.app.paths;
    settle('one', '/c/owner.0/rootfs');
    settle('two', '/c/owner.01/rootfs');
    writeContainer(checkouts, 'three', { slot: 1 });
    writeDeployment(join(checkouts, 'three.0'), { remote: '/c/owner.0/rootfs' });
    writeContainer(checkouts, 'four');
    expect(await listTenants(host.app, ['/c/owner.0'])).toEqual([
      { name: 'one', rootfs: '/c/owner.0/rootfs' },
      { name: 'three', rootfs: '/c/owner.0/rootfs' },
    ]);
    expect(await listTenants(host.app, ['/c/owner.1'])).toEqual([]);
    await expect(refuseTenants(host.app, 'uninstall owner', ['/c/owner.0'])).rejects.toMatchObject({
      code: 'container-in-use',
      message:
        'Cannot uninstall owner: the container one and 1 more has its root file system in /c/owner.0/rootfs',
    });
    await expect(refuseTenants(host.app, 'uninstall owner', ['/c/owner.1'])).resolves.toBeUndefined();
  });

  it('are found by the real place of the folder', async () => {
    const tree = makeTree(at('real/owner.0/rootfs'));
    symlinkSync('real', at('linked'));
    settle('one', tree);
    expect(await listTenants(host.app, [at('linked/owner.0')])).toHaveLength(1);
  });
});

describe('withTreeHeld', () => {
  it('shares the lock of the container whose tree it is, while the work goes on', async () => {
    const { checkouts, runDirectory } = host.app.paths;
    const log: string[] = [];
    const acquire = (request: LockRequest) => {
      log.push(`${request.mode} ${request.path.slice(runDirectory.length)}`);
      return Promise.resolve({ release: () => Promise.resolve(void log.push('released')) });
    };
    const app = { ...host.app, locks: { acquire } };
    const work = (): Promise<void> => Promise.resolve(void log.push('work'));
    await withTreeHeld(app, join(checkouts, 'owner.0/rootfs'), work);
    expect(log).toEqual([expect.stringMatching(/^shared .*\/container-owner$/), 'work', 'released']);
    log.length = 0;
    for (const tree of [undefined, '/srv/tree', join(checkouts, '.storage/x')])
      await withTreeHeld(app, tree, work);
    expect(log).toEqual(['work', 'work', 'work']);
  });
});

describe('checksumExports', () => {
  it('tells one configuration from another', () => {
    const exports = { present: true, manifest: EMPTY_MANIFEST, configTemplate: '{}' };
    expect(checksumExports(exports)).toBe(checksumExports({ ...exports }));
    expect(checksumExports(exports)).not.toBe(checksumExports({ ...exports, configTemplate: '{ }' }));
  });
});
