import { mountOptions } from '../../app/mount/mount-options.ts';
import { mountTree } from '../../app/mount/mount-tree.ts';
import { unmountTree } from '../../app/mount/unmount-tree.ts';
import { AtomicError } from '../../errors.ts';
import { openApp, requireOstree, type CommandContext } from './context.ts';

interface MountFlags {
  readonly options?: string;
  readonly live?: boolean;
  readonly shared?: boolean;
  readonly storage?: string;
}

/** Prints nothing, as atomic; with --json what is mounted where. */
export async function runMount(
  context: CommandContext,
  name: string,
  directory: string,
  { options, live = false, shared = false, storage }: MountFlags,
): Promise<void> {
  requireOstree(storage);
  if (live && (shared || options !== undefined))
    throw new AtomicError('usage', '--live cannot be given together with --shared or --options');
  const request = { name, directory, options: mountOptions(options ?? ''), shared, live };
  const mounted = await mountTree(await openApp(context), request);
  context.output.result({ ...mounted, digest: mounted.digest ?? null }, []);
}

export async function runUnmount(context: CommandContext, directory: string): Promise<void> {
  context.output.result(await unmountTree(await openApp(context), directory), []);
}
