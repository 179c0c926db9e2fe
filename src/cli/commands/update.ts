import { AtomicError } from '../../errors.ts';
import { EXIT } from '../exit-codes.ts';
import { updateContainer } from '../../app/update.ts';
import { parseContainerName } from '../../container/name.ts';
import {
  openApp,
  readAccess,
  readHealth,
  readSet,
  settleMs,
  type CommandContext,
  type HealthFlags,
  type RegistryFlags,
} from './context.ts';
import { previewLines } from './preview.ts';

export interface UpdateFlags extends RegistryFlags, HealthFlags {
  readonly set: readonly string[];
  readonly rebase?: string;
  readonly pull?: boolean;
  readonly force?: boolean;
  readonly settle?: number;
  readonly dryRun?: boolean;
  readonly display?: boolean;
  readonly all?: boolean;
}

/** `update` pulls unless told not to; `containers update` only when told to. */
export async function runUpdate(
  context: CommandContext,
  name: string | undefined,
  flags: UpdateFlags,
): Promise<number> {
  if (flags.all === true) {
    const { incompatible, runUpdateAll } = await import('./update-all.ts');
    if (name !== undefined) throw incompatible("--all doesn't support a container name");
    return runUpdateAll(context, flags);
  }
  if (name === undefined) {
    throw new AtomicError('usage', 'Too few arguments.  Please specify the container');
  }
  const outcome = await updateContainer(await openApp(context), {
    name: parseContainerName(name),
    set: readSet(flags.set),
    rebase: flags.rebase,
    pull: flags.pull === true,
    settleMs: settleMs(flags.settle),
    health: readHealth(flags),
    force: flags.force === true,
    dryRun: flags.dryRun === true || flags.display === true,
    access: readAccess(flags),
  });
  switch (outcome.kind) {
    case 'unchanged':
      context.output.result({ name, updated: false, image: outcome.image, digest: outcome.digest }, [
        'Latest version already installed.',
      ]);
      break;
    case 'preview':
      context.output.result(outcome.preview, previewLines(outcome.preview));
      break;
    case 'updated': {
      const { image, digest, previousDigest, deployment, devicesLeftOut } = outcome;
      context.output.result(
        { name, updated: true, image, digest, previousDigest, deployment, devicesLeftOut },
        [],
      );
    }
  }
  return EXIT.ok;
}
