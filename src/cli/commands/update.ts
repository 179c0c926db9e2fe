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

interface UpdateFlags extends RegistryFlags, HealthFlags {
  readonly set: readonly string[];
  readonly rebase?: string;
  readonly pull?: boolean;
  readonly force?: boolean;
  readonly settle?: number;
  readonly dryRun?: boolean;
  readonly display?: boolean;
}

/** `update` pulls unless told not to; `containers update` only when told to. */
export async function runUpdate(context: CommandContext, name: string, flags: UpdateFlags): Promise<void> {
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
      return;
    case 'preview':
      context.output.result(outcome.preview, previewLines(outcome.preview));
      return;
    case 'updated': {
      const { image, digest, previousDigest, deployment, devicesLeftOut } = outcome;
      context.output.result(
        { name, updated: true, image, digest, previousDigest, deployment, devicesLeftOut },
        [],
      );
    }
  }
}
