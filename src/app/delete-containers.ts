import { isAtomicError, type AtomicError } from '../errors.ts';
import type { ContainerName } from '../container/name.ts';
import { withTag } from '../store/names.ts';
import { requireRoot } from './change.ts';
import { findContainer, listContainers, unableToFind, type Container } from './containers.ts';
import type { App } from './context.ts';
import { refusePreinstalled } from './preinstalled.ts';
import { uninstallContainer } from './uninstall.ts';

/** A container that is to go. */
export interface DoomedContainer {
  readonly name: ContainerName;
  /** With its tag. */
  readonly image: string;
}

export interface DeletedContainers {
  readonly deleted: readonly ContainerName[];
  /** Each is as it was before. */
  readonly failed: readonly { readonly name: ContainerName; readonly error: AtomicError }[];
}

/**
 * What a deletion would be of: those that are named, or all of the checkouts. The operating system's are not ours to delete.
 * @throws AtomicError `container-not-found`, `container-preinstalled`
 */
export async function findDoomedContainers(
  app: App,
  names: readonly ContainerName[] | 'all',
): Promise<DoomedContainer[]> {
  requireRoot(app, 'delete system containers');
  const containers = names === 'all' ? await listContainers(app) : await getContainers(app, names);
  // Who has its tree in another one goes before it.
  const last = ({ current }: Container): number => (current.info.remote === undefined ? 1 : 0);
  const ordered = containers.toSorted((a, b) => last(a) - last(b));
  return ordered.map(({ name, current }) => ({
    name,
    image: current.info.image === '' ? '' : withTag(current.info.image),
  }));
}

async function getContainers(app: App, names: readonly ContainerName[]): Promise<Container[]> {
  const containers: Container[] = [];
  for (const name of new Set(names)) {
    const container = await findContainer(app, name);
    if (container === undefined) {
      await refusePreinstalled(app, 'delete', name);
      throw unableToFind(name);
    }
    containers.push(container);
  }
  return containers;
}

/**
 * Uninstalls one after the other, each in a transaction of its own; one that cannot be keeps none of the others.
 * @param force also those that another container has its tree in
 * @param tell gets each error at its time
 * @throws AtomicError `interrupted`, and whatever is no error of ours
 */
export async function deleteContainers(
  app: App,
  doomed: readonly DoomedContainer[],
  force: boolean,
  tell: (error: AtomicError) => void,
): Promise<DeletedContainers> {
  const deleted: ContainerName[] = [];
  const failed: { name: ContainerName; error: AtomicError }[] = [];
  for (const { name } of doomed) {
    try {
      await uninstallContainer(app, name, false, force);
      deleted.push(name);
    } catch (error) {
      if (!isAtomicError(error) || app.signal.aborted) throw error;
      tell(error);
      failed.push({ name, error });
    }
  }
  return { deleted, failed };
}
