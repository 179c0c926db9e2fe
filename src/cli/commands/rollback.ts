import { rollBackContainer } from '../../app/rollback.ts';
import { parseContainerName } from '../../container/name.ts';
import { openApp, settleMs, type CommandContext } from './context.ts';

export async function runRollback(
  context: CommandContext,
  name: string,
  flags: { readonly settle?: number },
): Promise<void> {
  const outcome = await rollBackContainer(
    await openApp(context),
    parseContainerName(name),
    settleMs(flags.settle),
  );
  context.output.result({ ...outcome, rolledBack: true }, []);
}
