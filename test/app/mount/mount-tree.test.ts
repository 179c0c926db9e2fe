import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import type { App } from '../../../src/app/context.ts';
import { mountTree, type MountRequest } from '../../../src/app/mount/mount-tree.ts';
import { endOpenChanges } from '../../../src/app/open-changes.ts';
import { repair } from '../../../src/app/repair.ts';
import { unmountTree } from '../../../src/app/mount/unmount-tree.ts';
import { AtomicError } from '../../../src/errors.ts';
import type { HostFiles } from '../../../src/host/ports.ts';
import { useTempFolder } from '../../fixtures/temp-folder.ts';
import { failureOf } from '../../stream/collect.ts';
import { addContainer, createFakeKernel, keptFolder, type FakeKernel } from './fake-kernel.ts';

const folder = useTempFolder();
const at = (path: string): string => join(folder(), path);
const OPTIONS = ['ro', 'nosuid', 'nodev'];

let kernel: FakeKernel;
beforeEach(() => {
  kernel = createFakeKernel(folder());
  addContainer(kernel, 'web');
});

function mount(more: Partial<MountRequest> = {}, app: App = kernel.app): ReturnType<typeof mountTree> {
  const request = { name: 'web', directory: at('mnt'), options: OPTIONS, shared: false, live: false };
  return mountTree(app, { ...request, ...more });
}

const kept = (): string[] => readdirSync(keptFolder(kernel));
/** With the name of the mount's own folder left out. */
const calls = (): string[] =>
  kernel.calls.map((line) => line.replaceAll(/mounts\/[0-9a-f]{16}/g, 'mounts/ID'));

describe('a mount', () => {
  it('gets its options where nobody sees it, and is then shown', async () => {
    expect(await mount()).toMatchObject({ kind: 'container', name: 'web', directory: at('mnt') });
    const hold = '/atomic/.atomic-ts/mounts/ID/hold';
    expect(calls()).toEqual([
      `mount --bind --make-private -o ro,nosuid,nodev -- /atomic/web.0/rootfs ${hold}`,
      `mount --rbind -- ${hold} /mnt`,
      `umount --recursive -- ${hold}`,
    ]);
    expect(kernel.table.map(({ place }) => place)).toEqual([at('mnt')]);
    expect(kernel.locked).toEqual(['mounts', 'store', 'container-web']);
    const record = JSON.parse(
      readFileSync(join(keptFolder(kernel), kept()[0] ?? '', 'mount.json'), 'utf8'),
    ) as object;
    expect(record).toMatchObject({ state: 'mounted', name: 'web', directory: at('mnt'), pid: process.pid });
  });

  it('may be made a second time elsewhere, and each is taken away by itself', async () => {
    mkdirSync(at('other'));
    await mount();
    await mount({ directory: at('other') });
    expect(kept()).toHaveLength(2);
    await unmountTree(kernel.app, at('mnt'));
    expect(kernel.table.map(({ place }) => place)).toEqual([at('other')]);
    expect(kept()).toHaveLength(1);
    expect(await unmountTree(kernel.app, at('other'))).toEqual({ name: 'web', directory: at('other') });
    expect(kept()).toEqual([]);
  });

  it('is for root', async () => {
    const app = { ...kernel.app, identity: { ...kernel.app.identity, uid: 1000 } };
    expect((await failureOf(mount({}, app))).code).toBe('not-root');
    expect((await failureOf(unmountTree(app, at('mnt')))).code).toBe('not-root');
  });

  it('that fails leaves nothing', async () => {
    for (const [i, failing] of ['mount --bind', 'mount --rbind', 'umount'].entries()) {
      let times = 0;
      kernel.fail = (line) => (line.startsWith(failing) && times++ === 0 ? 'permission denied' : undefined);
      const error = await failureOf(mount());
      expect([i, error.code, error.trouble]).toEqual([i, 'command-failed', []]);
      expect([kernel.table, kept()]).toEqual([[], []]);
    }
  });

  it('that is interrupted leaves nothing', async () => {
    const controller = new AbortController();
    kernel.fail = (line) => {
      if (line.includes('--bind')) controller.abort(new AtomicError('interrupted', 'Interrupted by SIGINT'));
      return undefined;
    };
    const error = await failureOf(mount({}, { ...kernel.app, signal: controller.signal }));
    expect([error.code, kernel.table, kept()]).toEqual(['interrupted', [], []]);
  });

  it('that cannot be undone says so, and the next command tries again', async () => {
    kernel.fail = (line) => (/--rbind|umount/.test(line) ? 'target is busy' : undefined);
    const error = await failureOf(mount());
    expect(error.trouble[0]).toMatch(/^What was begun at .*mnt could not be undone: umount failed/);
    expect(kept()).toHaveLength(1);
    await endOpenChanges(kernel.app);
    expect(kernel.warnings.at(-1)).toContain('(atomic-ts repair tells more)');
    kernel.fail = () => undefined;
    await endOpenChanges(kernel.app);
    expect([kernel.table, kept()]).toEqual([[], []]);
  });
});

describe('a folder', () => {
  const refused = async (directory: string): Promise<string[]> => {
    const error = await failureOf(mount({ directory }));
    expect([kernel.calls, readdirSync(folder()).includes('.atomic-ts')]).toEqual([[], false]);
    return [error.code, error.message.replaceAll(folder(), '')];
  };

  it('that is not there is refused', async () => {
    expect(await refused(at('nowhere'))).toEqual([
      'host-file',
      'Cannot mount web on /nowhere: there is no such folder',
    ]);
  });

  it('that is a file is refused', async () => {
    writeFileSync(at('file'), '');
    expect(await refused(at('file'))).toEqual(['host-file', 'Cannot mount web on /file: it is no folder']);
  });

  it('that is a link is refused', async () => {
    symlinkSync('mnt', at('link'));
    expect(await refused(at('link/'))).toEqual([
      'host-file',
      'Cannot mount web on /link: it is a symbolic link',
    ]);
  });

  it('that is not empty is refused', async () => {
    writeFileSync(at('mnt/file'), '');
    expect(await refused(at('mnt'))).toEqual([
      'file-exists',
      'Cannot mount web on /mnt: The destination path is not empty.',
    ]);
  });

  it('of the containers is refused, by whatever way it is named', async () => {
    symlinkSync('atomic', at('way'));
    mkdirSync(at('atomic/empty'));
    expect((await refused(at('way/empty')))[1]).toContain('which holds the containers');
  });

  it('that something is mounted on is refused', async () => {
    kernel.table.push({ place: at('mnt'), device: '0:9', tree: 'other', type: 'tmpfs', source: 'tmpfs' });
    expect(await refused(at('mnt'))).toEqual([
      'busy',
      'Cannot mount web on /mnt: something is mounted there already',
    ]);
  });
});

describe('a name', () => {
  it('that nothing has is refused in atomic’s words', async () => {
    const error = await failureOf(mount({ name: 'docker.io/nothing' }));
    expect(error.message).toBe("Unable to associate 'docker.io/nothing' with an image or container");
    expect(kernel.calls).toEqual([]);
  });

  it('may be that of a container of the operating system', async () => {
    mkdirSync(at('preinstalled/sys/rootfs'), { recursive: true });
    writeFileSync(at('preinstalled/sys/info'), '{}');
    await mount({ name: 'sys' });
    expect(calls()[0]).toContain(' /preinstalled/sys/rootfs ');
    expect(kernel.locked).toEqual(['mounts', 'store']);
  });

  it('of a container without a tree is refused', async () => {
    rmSync(at('atomic/web.0/rootfs'), { recursive: true });
    const error = await failureOf(mount());
    expect([error.code, error.message]).toEqual([
      'host-file',
      `The container web has no tree: there is no folder ${at('atomic/web.0/rootfs')}`,
    ]);
  });
});

describe('a shared mount', () => {
  it('has a label of its own where SELinux is on', async () => {
    const sharedLabel = (): Promise<string> => Promise.resolve('system_u:object_r:container_file_t:s0');
    const app = { ...kernel.app, selinux: { ...kernel.app.selinux, sharedLabel } };
    await mount({ shared: true }, app);
    expect(calls().slice(1)).toEqual([
      'mount -t overlay -o ro,nosuid,nodev,context="system_u:object_r:container_file_t:s0",lowerdir=hold:empty -- ' +
        '/atomic/.atomic-ts/mounts/ID /mnt',
      'umount --recursive -- /atomic/.atomic-ts/mounts/ID/hold',
    ]);
    await unmountTree(app, at('mnt'));
    expect([kernel.table, kept()]).toEqual([[], []]);
  });

  it('is like any other where SELinux is off', async () => {
    await mount({ shared: true });
    expect(calls()[1]).toBe('mount --rbind -- /atomic/.atomic-ts/mounts/ID/hold /mnt');
  });
});

describe('a live mount', () => {
  const volume = (source: string, destination: string, ...options: string[]): object => ({
    type: 'bind',
    source,
    destination,
    options: ['rbind', ...options],
  });

  it('has what of the host is mounted in the container', async () => {
    mkdirSync(at('data'));
    const mounts = [
      { type: 'proc', source: 'proc', destination: '/proc' },
      volume(at('data'), '/data', 'ro'),
      volume(at('data'), '/link'),
      volume(at('data'), '/data/inner'),
      volume(at('gone'), '/etc'),
      volume(at('data'), '/nowhere'),
      volume('relative', '/data'),
    ];
    const path = addContainer(kernel, 'db', { root: { readonly: true }, mounts });
    mkdirSync(join(path, 'rootfs/other'));
    symlinkSync('/../other', join(path, 'rootfs/link'));
    await mount({ name: 'db', live: true });
    const hold = '/atomic/.atomic-ts/mounts/ID/hold';
    expect(calls().slice(1, -2)).toEqual([
      `mount --bind --make-private -o nosuid,nodev,ro -- /data ${hold}/data`,
      `mount --bind --make-private -o nosuid,nodev,rw -- /data ${hold}/other`,
    ]);
    expect(kernel.warnings).toEqual(['/data/inner of db is not shown: it is in another volume']);
  });

  it('is not made of a container that can put links into its own tree', async () => {
    addContainer(kernel, 'db', { root: { readonly: false } });
    const error = await failureOf(mount({ name: 'db', live: true }));
    expect([error.code, kernel.table, kept()]).toEqual(['unsupported', [], []]);
  });

  it('is not made of one that does not run', async () => {
    rmSync(folder(), { recursive: true });
    mkdirSync(folder());
    kernel = createFakeKernel(folder(), { web: { ActiveState: 'inactive' } });
    addContainer(kernel, 'web');
    expect((await failureOf(mount({ live: true }))).message).toBe(
      'Cannot mount web with --live: it does not run',
    );
  });
});

describe('unmounting', () => {
  it('refuses what nobody has mounted', async () => {
    const error = await failureOf(unmountTree(kernel.app, at('mnt')));
    expect([error.code, error.message]).toEqual(['not-mounted', `No device mounted at ${at('mnt')}`]);
  });

  it('refuses what somebody else has mounted, also over a mount of ours', async () => {
    await mount();
    kernel.table.push({ place: at('mnt'), device: '0:9', tree: 'other', type: 'tmpfs', source: 'tmpfs' });
    const error = await failureOf(unmountTree(kernel.app, at('mnt')));
    expect([error.code, error.message]).toEqual([
      'not-mounted',
      `What is mounted at ${at('mnt')} was not mounted by atomic-ts`,
    ]);
  });

  it('refuses another tree of the same file system', async () => {
    await mount();
    kernel.table.push({ place: at('mnt'), device: '8:1', tree: 'another', type: 'ext4', source: '/dev/sda' });
    expect((await failureOf(unmountTree(kernel.app, at('mnt')))).code).toBe('not-mounted');
  });

  it('keeps what is in use, and says how to find by whom', async () => {
    await mount();
    kernel.fail = (line) => (line.startsWith('umount') ? 'umount: /mnt: target is busy.' : undefined);
    const error = await failureOf(unmountTree(kernel.app, at('mnt')));
    expect([error.code, error.message]).toEqual([
      'busy',
      `Cannot unmount ${at('mnt')}: a process is in it, or has a file of it open`,
    ]);
    expect(error.hint).toContain('fuser -vm');
    expect(kept()).toHaveLength(1);
  });
});

describe('what was kept for a mount', () => {
  const change = (record: Record<string, unknown>): void => {
    const path = join(keptFolder(kernel), kept()[0] ?? '', 'mount.json');
    const now = JSON.parse(readFileSync(path, 'utf8')) as object;
    writeFileSync(path, JSON.stringify({ ...now, ...record }));
  };

  it('stays while it is mounted, whatever command comes', async () => {
    await mount();
    await endOpenChanges(kernel.app);
    expect((await repair(kernel.app, undefined)).removed).toEqual([]);
    expect([kernel.table.length, kept().length]).toEqual([1, 1]);
  });

  it.each([
    ['an administrator has unmounted it', {}],
    ['the host was booted again', { boot: 'another' }],
    ['its mount namespace is gone', { namespace: 'mnt:[1]' }],
  ])('goes when %s', async (_why, record) => {
    await mount();
    change(record);
    kernel.table = [];
    const [name = ''] = kept();
    expect((await repair(kernel.app, undefined)).removed).toEqual([join(keptFolder(kernel), name)]);
    expect(kept()).toEqual([]);
  });

  it('stays while its mount namespace has a process', async () => {
    await mount();
    const real = kernel.app.files;
    const files: HostFiles = {
      ...real,
      list: (path: string) => (path === '/proc' ? Promise.resolve(['1', 'self']) : real.list(path)),
      readLink: (path: string) =>
        path === '/proc/1/ns/mnt' ? Promise.resolve('mnt:[7]') : real.readLink(path),
    };
    change({ namespace: 'mnt:[7]' });
    kernel.table = [];
    await endOpenChanges({ ...kernel.app, files });
    expect(kept()).toHaveLength(1);
  });

  it('goes with the mount when its process was killed before it had noted the end', async () => {
    await mount();
    change({ state: 'mounting' });
    const [name = ''] = kept();
    const hold = join(keptFolder(kernel), name, 'hold');
    kernel.table.push(...kernel.table.map((one) => ({ ...one, place: hold })));
    await endOpenChanges(kernel.app);
    expect([kernel.table, kept()]).toEqual([[], []]);
  });

  it('goes when its process was killed before its record', async () => {
    mkdirSync(join(keptFolder(kernel), '0123456789abcdef/hold'), { recursive: true });
    await endOpenChanges(kernel.app);
    expect(kept()).toEqual([]);
  });

  it('is not touched while a living process is at it', async () => {
    await mount();
    change({ state: 'mounting' });
    kernel.locksAreFree = false;
    await endOpenChanges(kernel.app);
    expect((await repair(kernel.app, undefined)).busy).toHaveLength(1);
    expect([kernel.table.length, kept().length, kernel.warnings]).toEqual([1, 1, []]);
  });

  it('is told of when its record cannot be read, and keeps nobody from other mounts', async () => {
    mkdirSync(join(keptFolder(kernel), 'bad'), { recursive: true });
    writeFileSync(join(keptFolder(kernel), 'bad/mount.json'), '{"state":"mounted"}');
    const { failed } = await repair(kernel.app, undefined);
    expect(failed.map(({ error }) => error.code)).toEqual(['store-invalid']);
    await mount();
    await unmountTree(kernel.app, at('mnt'));
    expect(kept()).toEqual(['bad']);
  });
});
