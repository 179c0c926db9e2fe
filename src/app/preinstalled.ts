/**
 * Containers that the operating system brings along (a package's /usr/lib/containers/atomic/NAME): they are listed, run
 * and judged as others are, and are the package manager's to change.
 */
import { basename, join } from 'node:path';
import { parseInfo, type ContainerInfo } from '../container/info.ts';
import { parseContainerName, type ContainerName } from '../container/name.ts';
import { AtomicError } from '../errors.ts';
import { OWN_JSON_BYTES } from '../limits.ts';
import type { App } from './context.ts';

/** A container of the checkouts or of the operating system, by the deployment in use. */
export interface InstalledContainer {
  readonly name: ContainerName;
  readonly path: string;
  readonly info: ContainerInfo;
}

/** All of them; one whose info cannot be read is told of and left out. */
export async function listPreinstalled(app: App): Promise<InstalledContainer[]> {
  const entries = await app.files.list(app.paths.preinstalled);
  const found: InstalledContainer[] = [];
  for (const entry of entries) {
    try {
      if (await isLinked(app, entry)) continue;
      const container = await read(app, entry);
      if (container !== undefined) found.push(container);
    } catch (error) {
      if (!(error instanceof AtomicError)) throw error;
      app.report({ event: 'warning', text: error.message });
    }
  }
  return found;
}

/** The one of that name; undefined when there is none. */
export function findPreinstalled(app: App, name: ContainerName): Promise<InstalledContainer | undefined> {
  return read(app, name);
}

/**
 * Refuses to change a container of the operating system.
 * @param what `update`
 * @throws AtomicError `container-preinstalled` when there is one of that name
 */
export async function refusePreinstalled(app: App, what: string, name: ContainerName): Promise<void> {
  const found = await findPreinstalled(app, name);
  if (found === undefined) return;
  throw new AtomicError(
    'container-preinstalled',
    `Cannot ${what} ${name}: it is part of the operating system (${found.path})`,
    {
      hint: `It changes with the package that brings it. Install an image of your own under another name: atomic-ts install --name OTHER ${found.info.image || 'IMAGE'}`,
    },
  );
}

async function read(app: App, entry: string): Promise<InstalledContainer | undefined> {
  const place = join(app.paths.preinstalled, entry);
  const target = await app.files.readLink(place);
  const path = target === undefined ? place : join(app.paths.preinstalled, basename(target));
  const file = join(path, 'info');
  const text = await app.files.readIfExists(file, OWN_JSON_BYTES);
  if (text === undefined) return undefined;
  return { name: parseContainerName(entry), path, info: parseInfo(text.toString('utf8'), file) };
}

/** `NAME.0`, where `NAME` is a link to it: a deployment, and no container of that name. */
async function isLinked(app: App, entry: string): Promise<boolean> {
  const [, name] = /^(.+)\.[01]$/.exec(entry) ?? [];
  if (name === undefined) return false;
  const target = await app.files.readLink(join(app.paths.preinstalled, name));
  return target !== undefined && basename(target) === entry;
}
