import { uninstallContainer } from '../../app/uninstall.ts';
import { parseContainerName } from '../../container/name.ts';
import { openApp, requireOstree, type CommandContext } from './context.ts';

interface UninstallFlags {
  readonly force?: boolean;
  readonly storage?: string;
  readonly dryRun?: boolean;
  readonly display?: boolean;
}

export async function runUninstall(
  context: CommandContext,
  name: string,
  flags: UninstallFlags,
): Promise<void> {
  requireOstree(flags.storage);
  const dryRun = flags.dryRun === true || flags.display === true;
  const outcome = await uninstallContainer(
    await openApp(context),
    parseContainerName(name),
    dryRun,
    flags.force === true,
  );
  const { image, steps } = outcome;
  if (dryRun) context.output.result({ name, image, steps }, [...steps, '', 'Nothing was changed.']);
  else context.output.result({ name, image, uninstalled: true }, []);
}
