import { stopContainer } from '../../app/service-control.ts';
import { parseContainerName } from '../../container/name.ts';
import { openApp, type CommandContext } from './context.ts';

export async function runStop(context: CommandContext, name: string): Promise<void> {
  const { unchanged } = await stopContainer(await openApp(context), parseContainerName(name));
  context.output.result(
    { name, stopped: !unchanged, running: false },
    unchanged ? [`${name} is not running`] : [],
  );
}
