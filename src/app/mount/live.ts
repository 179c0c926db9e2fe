/** A container as it runs: its tree, and in it the files and folders of the host that its config.json mounts there. */
import { join } from 'node:path';
import { AtomicError, isAtomicError } from '../../errors.ts';
import { isRecord, parseJson } from '../../image/json.ts';
import { OWN_JSON_BYTES } from '../../limits.ts';
import { resolveInRoot } from '../../container/rooted-path.ts';
import type { App } from '../context.ts';
import type { ContainerTree, NamedTree } from '../named-tree.ts';

export interface Volume {
  /** Absolute path on the host. */
  readonly source: string;
  /** Inside the container. */
  readonly destination: string;
  readonly readOnly: boolean;
}

/** @throws AtomicError `value-invalid` for what does not run */
export async function requireLive(app: App, tree: NamedTree): Promise<void> {
  if (tree.kind === 'container' && (await app.services.isActive(tree.name))) return;
  const found = tree.kind === 'image' ? 'is an image' : 'does not run';
  const name = tree.kind === 'image' ? tree.image.name : tree.name;
  throw new AtomicError('value-invalid', `Cannot mount ${name} with --live: it ${found}`, {
    hint: 'Leave --live out; or start the container, and mount that.',
  });
}

/**
 * Mounts the volumes of a container into its tree, as writable as the container has them. Its tmpfs, /proc and the like
 * are of its own mount namespace, and cannot be had outside of it.
 *
 * The container runs meanwhile: what it can write to may become a link that leads a mount out of the tree. So its root
 * has to be read-only, and a volume that lies in another one is left out.
 * @param place where its tree is mounted already, not seen by anybody
 * @throws AtomicError `unsupported` for a root that the container can write to
 */
export async function mountVolumes(app: App, tree: ContainerTree, place: string): Promise<void> {
  const path = join(tree.deployment, 'config.json');
  const bytes = await app.files.readIfExists(path, OWN_JSON_BYTES);
  const spec = bytes === undefined ? {} : parseJson(bytes, `The file ${path}`, 'spec-invalid');
  requireReadOnly(tree, spec);
  const taken: string[] = [];
  for (const { source, destination, readOnly } of volumesOf(spec)) {
    app.signal.throwIfAborted();
    const target = resolveInRoot(tree.rootfs, destination);
    if (target === undefined || !(await app.files.exists(source))) continue;
    const leaveOut = (why: string): void =>
      app.report({ event: 'warning', text: `${destination} of ${tree.name} is not shown: ${why}` });
    if (taken.some((other) => target === other || target.startsWith(`${other}/`))) {
      leaveOut('it is in another volume');
      continue;
    }
    const options = ['nosuid', 'nodev', readOnly ? 'ro' : 'rw'].join(',');
    const inside = join(place, target.slice(tree.rootfs.length));
    try {
      await app.exec.run('mount', ['--bind', '--make-private', '-o', options, '--', source, inside]);
      taken.push(target);
    } catch (error) {
      if (!isAtomicError(error, 'command-failed')) throw error;
      leaveOut(error.message);
    }
  }
}

function requireReadOnly({ name }: ContainerTree, spec: unknown): void {
  const root = isRecord(spec) ? spec['root'] : undefined;
  if (isRecord(root) && root['readonly'] === true) return;
  throw new AtomicError('unsupported', `Cannot mount ${name} with --live: it can write to its own tree`, {
    hint: 'Leave --live out: its tree is shown then, without its volumes.',
  });
}

/** The mounts of a runtime's configuration that show something of the host: OCI runtime specification, "Mounts". */
function volumesOf(spec: unknown): readonly Volume[] {
  const mounts: unknown = isRecord(spec) ? spec['mounts'] : undefined;
  return (Array.isArray(mounts) ? (mounts as unknown[]) : []).flatMap((mount) => {
    if (!isRecord(mount)) return [];
    const { source, destination, type } = mount;
    const options = Array.isArray(mount['options']) ? (mount['options'] as unknown[]) : [];
    const isBind = type === 'bind' || options.includes('bind') || options.includes('rbind');
    if (!isBind || typeof source !== 'string' || typeof destination !== 'string') return [];
    return source.startsWith('/') ? [{ source, destination, readOnly: options.includes('ro') }] : [];
  });
}
