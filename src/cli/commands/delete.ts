import { deleteRemoteImage } from '../../app/delete-remote.ts';
import { openTransfer, type CommandContext } from './context.ts';
import { readRemoteAccess, type RemoteFlags } from './remote-access.ts';

export async function runDelete(
  context: CommandContext,
  text: string,
  flags: RemoteFlags & { readonly dryRun?: boolean },
): Promise<void> {
  const app = await openTransfer(context);
  const dryRun = flags.dryRun === true;
  const { image, digest } = await deleteRemoteImage(app, text, readRemoteAccess(flags), dryRun);
  context.output.result({ image, digest, dryRun }, [
    `${dryRun ? 'Would delete' : 'Deleted'} ${image} (${digest})`,
  ]);
}
