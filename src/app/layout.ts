/** Where things stand below the checkouts. `NAME`, `NAME.0` and `NAME.1` are atomic's; the rest is ours. */
import { join } from 'node:path';
import type { ContainerName } from '../container/name.ts';
import { journalFile } from '../transaction/journal.ts';
import type { App } from './context.ts';

/** Which of a container's two places a deployment has. */
export type Slot = 0 | 1;

export function otherSlot(slot: Slot): Slot {
  return slot === 0 ? 1 : 0;
}

export function deploymentPath(app: App, name: ContainerName, slot: Slot): string {
  return join(app.paths.checkouts, `${name}.${slot}`);
}

/** The link to the deployment in use. */
export function linkPath(app: App, name: ContainerName): string {
  return join(app.paths.checkouts, name);
}

export function unitPath(app: App, name: ContainerName): string {
  return join(app.paths.units, `${name}.service`);
}

export function tmpfilesPath(app: App, name: ContainerName): string {
  return join(app.paths.tmpfiles, `${name}.conf`);
}

/** Ours, and nobody else's to look into: trees in the making may hold setuid programs. */
function ownFolder(app: App, name: string): string {
  return join(app.paths.checkouts, '.atomic-ts', name);
}

export function journalFolder(app: App): string {
  return ownFolder(app, 'journal');
}

/** A container's journal, or the image store's: no container's name begins with a dot. */
export function journalPath(app: App, name: ContainerName | undefined): string {
  return join(journalFolder(app), journalFile(name));
}

export function stagingFolder(app: App): string {
  return ownFolder(app, 'staging');
}

/** Beginnings of layers whose fetching was cut off, by digest. */
export function partialFolder(app: App): string {
  return ownFolder(app, 'partial');
}

/** What changes have set aside, one entry each: `NAME.WHAT`. */
export function trashFolder(app: App): string {
  return ownFolder(app, 'trash');
}

/** The last deployment of each container that did not come up, kept for a look: `NAME/`. */
export function failedFolder(app: App): string {
  return ownFolder(app, 'failed');
}

export function failedPath(app: App, name: ContainerName): string {
  return join(failedFolder(app), name);
}

export function trashPath(app: App, name: ContainerName, what: string): string {
  return join(trashFolder(app), `${name}.${what}`);
}

/** Trees that deployments are compared with, one a process: see drift/scratch.ts. */
export function verifyFolder(app: App): string {
  return ownFolder(app, 'verify');
}

export function verifyLockPath(app: App): string {
  return join(lockFolder(app), 'verify');
}

/** What is mounted for somebody to look at, a folder each: see mount/mount-record.ts. */
export function mountsFolder(app: App): string {
  return ownFolder(app, 'mounts');
}

export function mountsLockPath(app: App): string {
  return join(lockFolder(app), 'mounts');
}

export function containerLockPath(app: App, name: ContainerName): string {
  return join(lockFolder(app), `container-${name}`);
}

/** Held by whoever fetches a layer; `name` tells its digest. */
export function layerLockPath(app: App, name: string): string {
  return join(lockFolder(app), `layer-${name}`);
}

export function storeLockPath(app: App): string {
  return join(lockFolder(app), 'store');
}

/** Locks die with their process, so their files need not outlive the boot; each place of checkouts has its own. */
function lockFolder(app: App): string {
  return join(app.paths.runDirectory, 'atomic-ts', app.paths.checkouts.slice(1).replaceAll('/', '-'));
}
