import { resolve } from 'node:path';
import { AtomicError } from '../../errors.ts';
import { requireRoot } from '../change.ts';
import type { MountPoint } from '../../host/ports.ts';
import type { App } from '../context.ts';
import { takeBack, withMountsLock } from './dead-mounts.ts';
import { isMountOf, listMountFolders, topMount, type Mount } from './mount-record.ts';

export interface UnmountedTree {
  /** The image or container, as it was typed when it was mounted. */
  readonly name: string;
  readonly directory: string;
}

/**
 * Takes a mount of `mountTree` away, and what was kept for it.
 * @throws AtomicError `not-mounted`, also for what somebody else has mounted; `busy` when it is in use: it stays then
 */
export async function unmountTree(app: App, given: string): Promise<UnmountedTree> {
  requireRoot(app, `unmount ${given}`);
  const path = resolve(given);
  return withMountsLock(app, `unmount ${path}`, async () => {
    const directory = (await app.files.exists(path)) ? await app.files.realpath(path) : path;
    const mounted = topMount(await app.files.mounts(), directory);
    if (mounted === undefined) {
      throw new AtomicError('not-mounted', `No device mounted at ${directory}`, {
        hint: 'Name the folder that atomic-ts mount was given.',
      });
    }
    const mount = await findMount(app, directory, mounted);
    if (mount === undefined) {
      throw new AtomicError('not-mounted', `What is mounted at ${directory} was not mounted by atomic-ts`, {
        hint: `It is ${mounted.type} of ${mounted.source}: umount ${directory} takes it away.`,
      });
    }
    await takeBack(app, mount.folder, mount);
    return { name: mount.name, directory };
  });
}

async function findMount(app: App, directory: string, mounted: MountPoint): Promise<Mount | undefined> {
  for (const { mount } of await listMountFolders(app)) {
    if (mount?.directory === directory && (await isMountOf(app, mount, mounted))) return mount;
  }
  return undefined;
}
