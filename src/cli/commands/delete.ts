import { deleteRemoteImage } from '../../app/delete-remote.ts';
import { openTransfer, readAccess, type CommandContext, type RegistryFlags } from './context.ts';

export async function runDelete(
  context: CommandContext,
  text: string,
  flags: RegistryFlags & { readonly dryRun?: boolean },
): Promise<void> {
  const app = await openTransfer(context);
  const dryRun = flags.dryRun === true;
  const { image, digest } = await deleteRemoteImage(app, text, readAccess(flags), dryRun);
  context.output.result({ image, digest, dryRun }, [
    `${dryRun ? 'Would delete' : 'Deleted'} ${image} (${digest})`,
  ]);
}
