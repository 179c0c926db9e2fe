/** A deployed tree against the image that it is a checkout of: nothing is changed, and nothing in the tree is followed. */
import { join } from 'node:path';
import type { Stats } from 'node:fs';
import { AtomicError } from '../errors.ts';
import type { Exec } from '../host/ports.ts';
import type { Digest } from '../image/digest.ts';
import { resolveInTree } from '../tree/resolve.ts';
import { checkoutLayers } from './checkout.ts';
import { compareTrees, showBytes, type IsExpected } from './compare-trees.ts';
import { bytePath } from './object-checksum.ts';
import type { Repository } from './repository.ts';
import { compareContents, findDamagedObjects, type DamagedObject } from './verify-objects.ts';

export interface TreeFinding {
  /** Inside the tree, without a slash at its beginning; bytes that are no UTF-8 are escaped. */
  readonly path: string;
  readonly found: string;
}

export interface VerifiedTree {
  readonly findings: readonly TreeFinding[];
  readonly damaged: readonly DamagedObject[];
}

/** What a runtime makes in a tree when it starts a container. */
export interface RuntimeEntries {
  /** Paths inside the container that something is mounted on, or that it begins in. */
  readonly places: readonly string[];
  /** Devices and links in /dev, when nothing is mounted there: by their path inside the container. */
  readonly devices: boolean;
  readonly deviceNames: readonly string[];
}

/**
 * Compares a tree with a new checkout of its layers, made for that below `scratch`, and verifies the objects of both.
 * @param layers the image's, base first; undefined when the store has them no more: then only the objects that the
 * tree is still linked to are verified
 * @param scratch a folder of the caller's, on the repo's file system
 * @throws AtomicError of the checkout; system errors; the signal's reason
 */
export async function verifyCheckout(
  exec: Exec,
  repository: Repository,
  tree: string,
  layers: readonly Digest[] | undefined,
  { scratch, runtime, signal }: { scratch: string; runtime: RuntimeEntries; signal: AbortSignal },
): Promise<VerifiedTree> {
  const { path } = repository;
  if (layers === undefined) {
    return {
      findings: [],
      damaged: await findDamagedObjects(exec, path, [tree], { emptied: false, signal }),
    };
  }
  const fresh = join(scratch, 'rootfs');
  await checkoutLayers(exec, repository, layers, fresh, { scratch });
  const [was, is] = [bytePath(fresh), bytePath(tree)];
  const { differences, separate } = await compareTrees(was, is, expectRuntime(fresh, runtime), signal);
  const findings = differences.map((found) => ({ path: showBytes(found.path), found: found.found }));
  for (const file of separate) {
    signal.throwIfAborted();
    const found = await compareContents(exec, `${was}/${file}`, `${is}/${file}`);
    if (found !== undefined) findings.push({ path: showBytes(file), found });
  }
  // Where a file differs, the store's may be the wrong one; one that was emptied there is linked from nowhere.
  const emptied = findings.length > 0;
  return { findings, damaged: await findDamagedObjects(exec, path, [fresh, tree], { emptied, signal }) };
}

/** Links that a runtime makes in /dev: OCI runtime specification, "Dev symbolic links"; and the devices before it. */
const DEVICE_LINKS: Readonly<Record<string, string>> = {
  'dev/fd': '/proc/self/fd',
  'dev/stdin': '/proc/self/fd/0',
  'dev/stdout': '/proc/self/fd/1',
  'dev/stderr': '/proc/self/fd/2',
  'dev/core': '/proc/kcore',
  'dev/ptmx': 'pts/ptmx',
};
const DEVICES = ['null', 'zero', 'full', 'random', 'urandom', 'tty', 'console'].map((name) => `dev/${name}`);

/**
 * Mount points that the image lacks are made by the runtime: folders, and for a file's mount an empty file; with the
 * folders above them. Nothing else that is found there is expected.
 */
function expectRuntime(root: string, { places, devices, deviceNames }: RuntimeEntries): IsExpected {
  const points = new Set<string>();
  const above = new Set<string>(['dev']);
  for (const place of places) {
    const path = resolvePlace(root, place);
    if (path === undefined) continue;
    points.add(path);
    for (let slash = path.lastIndexOf('/'); slash > 0; slash = path.lastIndexOf('/', slash - 1))
      above.add(path.slice(0, slash));
  }
  const nodes = new Set([...DEVICES, ...deviceNames.map((name) => bytePath(name.replace(/^\/+/, '')))]);
  return (path: string, stats: Stats, target: string | undefined): boolean => {
    if (stats.isDirectory()) return points.has(path) || above.has(path);
    if (stats.isFile() && stats.size === 0) return points.has(path) || (devices && nodes.has(path));
    if (!devices) return false;
    if (target !== undefined) return DEVICE_LINKS[path] === target;
    return stats.isCharacterDevice() && nodes.has(path);
  };
}

/** Where a path inside the container lies in its tree, a byte string. */
function resolvePlace(root: string, place: string): string | undefined {
  try {
    return bytePath(resolveInTree(root, place));
  } catch (error) {
    if (error instanceof AtomicError) return undefined;
    throw error;
  }
}
