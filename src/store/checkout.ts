/**
 * From layers in the repo to one tree of hard links.
 *
 * ostree's own union checkout follows a lower layer's symlink out of the root (libostree#3214, before 2024.5), cannot
 * put a folder over a file, and loses files beside their own whiteout. So before each layer everything that it
 * replaces or removes is taken out of the tree by us, one path component at a time and never through a link; the
 * layer's files then fall on folders only; and what is left of its whiteouts goes afterwards.
 *
 * Neighbours that need nothing of that share one process: see tree-outline.ts.
 */
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Exec } from '../host/ports.ts';
import { AtomicError, describeDiskFull, systemCodeOf } from '../errors.ts';
import { hexOf, type Digest } from '../image/digest.ts';
import { makeFolder } from '../make-folder.ts';
import { indexPath } from './layer-index.ts';
import { ensureIndex } from './index-foreign-layer.ts';
import { prepareTree, finishTree, type ExistingDirectory, type LayerPlan } from './apply-layer.ts';
import { blobRef } from './names.ts';
import { renewDirectory } from './renew-directory.ts';
import type { Repository } from './repository.ts';
import { restoreNames } from './restore-names.ts';
import { TreeOutline, type JoinedPlan } from './tree-outline.ts';

const CHECKOUT_OPTIONS = ['--require-hardlinks', '--union', '--fsync=false'] as const;

export interface CheckoutOptions {
  /** A folder on the repo's file system for what is needed only while it runs. */
  readonly scratch: string;
}

/**
 * Checks out layers, base first, as the tree `target`, which must not exist.
 * @throws AtomicError `store-invalid` for a layer that is not there; `layer-invalid`, `unsupported` for layers that do
 * not make a tree; `limit-exceeded` for paths that are too long below `target`; `disk-full`, `command-failed`
 */
export async function checkoutLayers(
  exec: Exec,
  repository: Repository,
  layers: readonly Digest[],
  target: string,
  options: CheckoutOptions,
): Promise<void> {
  try {
    await makeFolder(target, 0o755);
    await applyLayers(exec, repository, layers, target, options);
  } catch (error) {
    if (systemCodeOf(error) !== 'ENAMETOOLONG') throw describeDiskFull(error, target);
    throw new AtomicError('limit-exceeded', `the image has paths that are too long below ${target}`, {
      cause: error,
    });
  }
}

async function applyLayers(
  exec: Exec,
  repository: Repository,
  layers: readonly Digest[],
  target: string,
  options: CheckoutOptions,
): Promise<void> {
  const place: CheckoutPlace = { exec, repository: repository.path, target, scratch: options.scratch };
  const withXattrs = new Set<string>();
  let outline: TreeOutline | undefined = new TreeOutline();
  let together: JoinedLayer[] = [];
  let hasStoredNames = false;
  for (const [position, layer] of layers.entries()) {
    const commit = await repository.resolveRef(blobRef(layer));
    if (commit === undefined) {
      throw new AtomicError('store-invalid', `the layer ${hexOf(layer)} is not in ${repository.path}`, {
        hint: 'Pull the image again.',
      });
    }
    await ensureIndex(repository, layer, commit);
    const index = indexPath(repository.path, layer);
    const joined = await outline?.enter(index, withXattrs);
    if (joined !== undefined) {
      together.push({ commit, plan: joined });
      hasStoredNames ||= joined.hasStoredNames;
      continue;
    }
    await checkoutTogether(place, together);
    together = [];
    const plan = await prepareTree(target, index, position === 0, withXattrs);
    await checkoutLayer(place, commit, plan);
    finishTree(target, plan);
    await renewDirectories(place, [{ commit, plan }]);
    hasStoredNames ||= plan.hasStoredNames;
    if (plan.redirects.length > 0 || plan.lowerLinks.length > 0) outline = undefined;
  }
  await checkoutTogether(place, together);
  if (hasStoredNames) restoreNames(target);
}

interface CheckoutPlace {
  readonly exec: Exec;
  readonly repository: string;
  readonly target: string;
  readonly scratch: string;
}

/** A layer whose checkout needs no look at the tree. */
interface JoinedLayer {
  readonly commit: string;
  readonly plan: JoinedPlan;
}

/** Layers in their order, in one process: a process start is what most layers cost. */
async function checkoutTogether(place: CheckoutPlace, layers: readonly JoinedLayer[]): Promise<void> {
  if (layers.length === 0) return;
  const list = layers.map(({ commit }) => `${commit}\0/\0`).join('');
  await place.exec.run(
    'ostree',
    [`--repo=${place.repository}`, 'checkout', ...CHECKOUT_OPTIONS, '--from-stdin', place.target],
    {
      input: list,
    },
  );
  const directories = layers.flatMap(({ plan }) => plan.directories);
  finishTree(place.target, { whiteoutFiles: [], replaced: [], lowerLinks: [], directories });
  await renewDirectories(place, layers);
}

/** The last layer that has an entry for a folder decides about its xattrs. */
async function renewDirectories(
  { exec, repository, target, scratch }: CheckoutPlace,
  layers: readonly { readonly commit: string; readonly plan: Pick<LayerPlan, 'directories'> }[],
): Promise<void> {
  const last = new Map<string, ExistingDirectory & { readonly commit: string }>();
  for (const { commit, plan } of layers) {
    for (const directory of plan.directories)
      if (directory.renew) last.set(directory.path, { ...directory, commit });
  }
  for (const { commit, from, path } of last.values()) {
    const place = path === '' ? target : join(target, path);
    await renewDirectory(exec, repository, { commit, from, place }, scratch);
  }
}

/** One layer; the subtrees that lie below a symlink of a lower layer go where it points, inside the root. */
async function checkoutLayer(
  { exec, repository, target, scratch }: CheckoutPlace,
  commit: string,
  plan: LayerPlan,
): Promise<void> {
  const checkout = (args: readonly string[], destination: string): Promise<unknown> =>
    exec.run('ostree', [
      `--repo=${repository}`,
      'checkout',
      ...CHECKOUT_OPTIONS,
      ...args,
      commit,
      destination,
    ]);
  if (plan.redirects.length === 0) {
    await checkout([], target);
    return;
  }
  const folder = await mkdtemp(join(scratch, 'skip-'));
  try {
    const skip = async (below: string): Promise<string[]> => {
      const prefix = below === '' ? '' : `${below}/`;
      const inside = plan.redirects.filter(({ from }) => from.startsWith(prefix) && from !== below);
      if (inside.length === 0) return [];
      // A folder is skipped by its path below what is checked out, with a slash on both ends.
      const list = join(folder, createHash('sha256').update(below).digest('hex'));
      await writeFile(list, inside.map(({ from }) => `/${from.slice(prefix.length)}/\n`).join(''));
      return [`--skip-list=${list}`];
    };
    await checkout(await skip(''), target);
    for (const { from, to } of plan.redirects) {
      await checkout([`--subpath=/${from}`, ...(await skip(from))], to);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
