import { join } from 'node:path';
import type { ContainerName } from '../container/name.ts';
import { requireRoot } from './change.ts';
import type { App } from './context.ts';
import { findInstalled } from './find-installed.ts';
import { describeContainers } from './list-containers.ts';

export interface Trimmed {
  /** A tree on the file system, by which fstrim was told of it. */
  readonly path: string;
  /** Undefined where fstrim does not say. */
  readonly bytes: number | undefined;
  readonly containers: readonly ContainerName[];
}

/**
 * Discards unused blocks (fstrim) of the file systems that running containers have their trees on, each of them once:
 * trees are hard links, so all of them share one as a rule.
 * @throws AtomicError `command-failed` where a file system cannot discard, `tool-missing`
 */
export async function trimContainers(app: App): Promise<Trimmed[]> {
  requireRoot(app, 'trim file systems');
  const running = await describeContainers(app, { all: false, filters: ['state=running'] });
  const trees: { path: string; containers: ContainerName[] }[] = [];
  for (const { id } of running) {
    const container = await findInstalled(app, id);
    if (container === undefined) continue;
    app.report({ event: 'step', text: `Trimming container id ${id}` });
    const path = await app.files.realpath(join(container.path, 'rootfs'));
    const known = await findOnSameFilesystem(app, trees, path);
    if (known === undefined) trees.push({ path, containers: [id] });
    else known.containers.push(id);
  }
  const trimmed: Trimmed[] = [];
  for (const { path, containers } of trees) {
    const { stdout } = await app.exec.run('fstrim', ['--verbose', path]);
    const bytes = /\((\d+) bytes\)/.exec(stdout)?.[1];
    trimmed.push({ path, bytes: bytes === undefined ? undefined : Number(bytes), containers });
  }
  return trimmed;
}

async function findOnSameFilesystem<T extends { readonly path: string }>(
  app: App,
  trees: readonly T[],
  path: string,
): Promise<T | undefined> {
  for (const tree of trees) if (await app.files.sameFilesystem(tree.path, path)) return tree;
  return undefined;
}
