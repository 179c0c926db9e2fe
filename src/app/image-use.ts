/** Which containers were made from which image. */
import { AtomicError } from '../errors.ts';
import type { ContainerName } from '../container/name.ts';
import { listContainers, readOtherDeployment } from './containers.ts';
import type { App } from './context.ts';
import { listPreinstalled } from './preinstalled.ts';

/** Containers by the id (hex of the digest) of an image, those that a rollback would take to it included. */
export async function readImageUse(app: App): Promise<ReadonlyMap<string, ReadonlySet<ContainerName>>> {
  const use = new Map<string, Set<ContainerName>>();
  const add = (revision: string | undefined, name: ContainerName): void => {
    if (revision !== undefined) use.set(revision, (use.get(revision) ?? new Set()).add(name));
  };
  for (const { name, info } of await listPreinstalled(app)) add(info.revision, name);
  for (const container of await listContainers(app)) {
    add(container.current.info.revision, container.name);
    try {
      add((await readOtherDeployment(app, container))?.info.revision, container.name);
    } catch (error) {
      if (!(error instanceof AtomicError)) throw error;
      app.report({ event: 'warning', text: error.message });
    }
  }
  return use;
}
