import type { LoginApp } from '../../app/context.ts';
import { parseLoginTarget, type LoginTarget } from '../../app/login-target.ts';
import { checkLogin, findLogin, keepLogin, nameOfLogin } from '../../app/login.ts';
import { AtomicError, isAtomicError } from '../../errors.ts';
import { canAsk, openPrompt, readStdin } from '../output/ask.ts';
import { openLogin, readAccess, type CommandContext, type RegistryFlags } from './context.ts';

/** What is asked for. */
interface UserPassword {
  readonly username: string;
  readonly password: string;
}

interface LoginFlags extends Omit<RegistryFlags, 'creds'> {
  readonly username?: string;
  readonly password?: string;
  readonly passwordStdin?: boolean;
  readonly getLogin?: boolean;
}

export async function runLogin(context: CommandContext, registry: string, flags: LoginFlags): Promise<void> {
  const target = parseLoginTarget(registry);
  requireUsable(flags);
  const app = await openLogin(context);
  const access = readAccess(flags);
  if (flags.getLogin === true) {
    const username = nameOfLogin(target, await findLogin(app, target, access));
    context.output.result({ registry: target.key, username }, [username]);
    return;
  }
  if (flags.password !== undefined) {
    const text = 'Everybody on this machine can see a password on the command line: rather --password-stdin';
    context.output.report({ event: 'warning', text });
  }
  const asksNothing = flags.username === undefined && flags.password === undefined;
  if (asksNothing && (await isLoggedIn(context, app, target, flags))) return;
  const credentials = await readCredentials(context, flags);
  await checkLogin(app, target, credentials, access);
  const place = await keepLogin(app, target, credentials, flags.authfile);
  const { username } = credentials;
  context.output.result({ registry: target.key, username, keptIn: place }, ['Login Succeeded!']);
}

/** Whether the registry takes what is known already; then there is nothing to do. */
async function isLoggedIn(
  { output }: CommandContext,
  app: LoginApp,
  target: LoginTarget,
  flags: LoginFlags,
): Promise<boolean> {
  const access = readAccess(flags);
  const known = await findLogin(app, target, access);
  if (known === undefined) return false;
  const tell = (text: string): void => output.report({ event: 'notice', text });
  tell(`Authenticating with existing credentials for ${target.key}`);
  try {
    await checkLogin(app, target, known, access);
  } catch (error) {
    if (!isAtomicError(error, 'unauthorized')) throw error;
    tell('Existing credentials are invalid');
    return false;
  }
  const username = nameOfLogin(target, known);
  output.result({ registry: target.key, username }, [
    `Existing credentials are valid. Already logged in to ${target.key}`,
  ]);
  return true;
}

function requireUsable({ username, password, passwordStdin }: LoginFlags): void {
  if (password !== undefined && passwordStdin === true)
    throw new AtomicError('usage', '--password and --password-stdin cannot be given together');
  if (passwordStdin === true && username === undefined)
    throw new AtomicError('usage', '--password-stdin wants --username');
}

/** What the options leave out is asked for. @throws AtomicError `usage` where nobody can be asked */
async function readCredentials(
  { output, command }: CommandContext,
  { username, password, passwordStdin }: LoginFlags,
): Promise<UserPassword> {
  const given = passwordStdin === true ? await readStdin() : password;
  if (username !== undefined && given !== undefined) return requireBoth({ username, password: given });
  if (!canAsk() || output.options.json) {
    throw new AtomicError('usage', `${command} wants a user name and a password, and cannot ask for them`, {
      hint: 'Give them: --username NAME --password-stdin <FILE.',
    });
  }
  const prompt = openPrompt();
  try {
    return requireBoth({
      username: username ?? (await prompt.ask('Username: ')),
      password: given ?? (await prompt.askSecret('Password: ')),
    });
  } finally {
    prompt.close();
  }
}

/** @throws AtomicError `usage` */
function requireBoth(credentials: UserPassword): UserPassword {
  const { username, password } = credentials;
  // RFC 7617: the first colon ends the name.
  if (username === '' || username.includes(':'))
    throw new AtomicError('usage', 'The user name is empty, or has a colon in it');
  if (password === '') throw new AtomicError('usage', 'The password is empty');
  return credentials;
}
