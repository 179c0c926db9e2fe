import type { ContainerName } from '../container/name.ts';
import type { App } from './context.ts';
import { findContainer } from './containers.ts';
import { findPreinstalled, type InstalledContainer } from './preinstalled.ts';

/** A container by its name: of the checkouts, or else of the operating system; undefined when there is none. */
export async function findInstalled(app: App, name: ContainerName): Promise<InstalledContainer | undefined> {
  const container = await findContainer(app, name);
  if (container !== undefined) return { name, path: container.current.path, info: container.current.info };
  return findPreinstalled(app, name);
}
