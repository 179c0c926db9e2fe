import { trimContainers } from '../../app/trim-containers.ts';
import { openApp, type CommandContext } from './context.ts';

export async function runContainersTrim(context: CommandContext): Promise<void> {
  const trimmed = await trimContainers(await openApp(context));
  context.output.result(
    trimmed.map(({ path, bytes, containers }) => ({ path, bytes: bytes ?? null, containers })),
    [],
  );
}
