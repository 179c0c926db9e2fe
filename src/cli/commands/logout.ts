import { parseLoginTarget } from '../../app/login-target.ts';
import { forgetAllLogins, forgetLogin } from '../../app/login.ts';
import { AtomicError } from '../../errors.ts';
import { openLogin, type CommandContext } from './context.ts';

interface LogoutFlags {
  readonly all?: boolean;
  readonly authfile?: string;
}

export async function runLogout(
  context: CommandContext,
  registry: string | undefined,
  { all, authfile }: LogoutFlags,
): Promise<void> {
  if ((all === true) === (registry !== undefined))
    throw new AtomicError('usage', `${context.command} takes a registry, or --all`);
  const target = registry === undefined ? undefined : parseLoginTarget(registry);
  const app = await openLogin(context);
  if (target === undefined) {
    await forgetAllLogins(app, authfile);
    context.output.result({ registry: null }, ['Removed login credentials for all registries']);
    return;
  }
  await forgetLogin(app, target, authfile);
  context.output.result({ registry: target.key }, [`Removed login credentials for ${target.key}`]);
}
