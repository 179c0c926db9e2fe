import type { ContainerInfo } from '../container/info.ts';
import type { ContainerName } from '../container/name.ts';
import type { App } from './context.ts';
import { findContainer, type Deployment } from './containers.ts';
import { findPreinstalled } from './preinstalled.ts';

export interface FoundContainer {
  readonly name: ContainerName;
  readonly path: string;
  readonly info: ContainerInfo;
  /** Undefined for one that the operating system brings. */
  readonly current: Deployment | undefined;
}

/** A container by its name: of the checkouts, or else of the operating system; undefined when there is none. */
export async function findInstalled(app: App, name: ContainerName): Promise<FoundContainer | undefined> {
  const container = await findContainer(app, name);
  if (container !== undefined) {
    const { current } = container;
    return { name, path: current.path, info: current.info, current };
  }
  const brought = await findPreinstalled(app, name);
  return brought === undefined ? undefined : { ...brought, current: undefined };
}
