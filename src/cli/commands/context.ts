import type { App, LoginApp, TransferApp } from '../../app/context.ts';
import type { RegistryAccess } from '../../app/pull-image.ts';
import { SETTLE_SECONDS } from '../../app/change.ts';
import { parseHealthOption, type HealthOption } from '../../container/health-check.ts';
import { parseSetOption } from '../../container/values.ts';
import { AtomicError } from '../../errors.ts';
import { parseLimitOption, type LimitValues } from '../../limits.ts';
import type { Output } from '../output/output.ts';

/** What a command's handler gets besides its own arguments. */
export interface CommandContext {
  readonly version: string;
  readonly output: Output;
  readonly lockWaitMs: number;
  /** The command as it is called: `atomic-ts containers update`. */
  readonly command: string;
  /** Whether every question is answered with yes. */
  readonly assumeYes: boolean;
  /** What follows the name that `run` was given. */
  readonly words: readonly string[];
  /** `NAME=VALUE` of each --limit. */
  readonly limits: readonly string[];
}

export interface RegistryFlags {
  /** USER[:PASSWORD] */
  readonly creds?: string;
  readonly authfile?: string;
  readonly certDir?: string;
  readonly tlsVerify?: boolean;
}

/**
 * Wires the program to this host, telling progress to the command's output. What dead processes have left half done is
 * ended first, whatever the command is.
 */
export async function openApp(context: CommandContext): Promise<App> {
  const app = await openAppAsIs(context);
  const { endOpenChanges } = await import('../../app/open-changes.ts');
  await endOpenChanges(app);
  return app;
}

/** The same for a command that itself tells of what was left half done. */
export async function openAppAsIs({
  version,
  output,
  lockWaitMs,
  command,
  limits,
}: CommandContext): Promise<App> {
  const { createApp } = await import('../wiring.ts');
  return createApp({ version, report: output.report, lockWaitMs, command, limits: readLimits(limits) });
}

/**
 * Wires what moves and shows images elsewhere: it works as any user, and leaves this host's containers, store and
 * open changes alone.
 */
export async function openTransfer(context: CommandContext): Promise<TransferApp> {
  const { version, output, command, limits } = context;
  const { createTransferApp } = await import('../wiring.ts');
  const openLocal = (): Promise<App> => openApp(context);
  return createTransferApp({
    version,
    report: output.report,
    command,
    limits: readLimits(limits),
    openLocal,
  });
}

/** Wires what logs in to registries and out: it works as any user, too. */
export async function openLogin(context: CommandContext): Promise<LoginApp> {
  const { version, output, lockWaitMs, command } = context;
  const { createLoginApp } = await import('../wiring.ts');
  const openLocal = (): Promise<App> => openApp(context);
  const limits = readLimits(context.limits);
  return createLoginApp({ version, report: output.report, lockWaitMs, command, limits, openLocal });
}

function readLimits(options: readonly string[]): LimitValues {
  return Object.assign({}, ...options.map(parseLimitOption)) as LimitValues;
}

export function readAccess(flags: RegistryFlags): RegistryAccess {
  return {
    ...(flags.creds === undefined ? {} : { credentials: readCredentials(flags.creds) }),
    ...(flags.authfile === undefined ? {} : { authFile: flags.authfile }),
    ...(flags.certDir === undefined ? {} : { certDir: flags.certDir }),
    ...(flags.tlsVerify === undefined ? {} : { tlsVerify: flags.tlsVerify }),
  };
}

/** `USER[:PASSWORD]`; the password may hold colons. */
function readCredentials(text: string): { username: string; password: string } {
  const colon = text.indexOf(':');
  const username = colon === -1 ? text : text.slice(0, colon);
  if (username === '')
    throw new AtomicError('usage', '--creds takes USER[:PASSWORD], and the user is missing');
  return { username, password: colon === -1 ? '' : text.slice(colon + 1) };
}

/** All --set of a command line; the last one of a name counts. */
export function readSet(options: readonly string[]): Record<string, string> {
  return Object.fromEntries(options.map(parseSetOption));
}

export interface HealthFlags {
  readonly healthCmd?: string;
  /** False for --no-healthcheck. */
  readonly healthcheck: boolean;
}

/** @throws AtomicError `usage` */
export function readHealth({ healthCmd, healthcheck }: HealthFlags): HealthOption | undefined {
  if (healthcheck) return healthCmd === undefined ? undefined : parseHealthOption(healthCmd);
  if (healthCmd === undefined) return parseHealthOption('none');
  throw new AtomicError('usage', '--health-cmd and --no-healthcheck cannot be given together');
}

export function settleMs(settle: number | undefined): number {
  return (settle ?? SETTLE_SECONDS) * 1000;
}

/** @throws AtomicError `unsupported` for atomic's other storages */
export function requireOstree(storage: string | undefined): void {
  if (storage === undefined || storage === 'ostree') return;
  throw new AtomicError(
    'unsupported',
    `The storage backend '${storage}' is not available.  Try with an alternate storage with --storage if available.`,
    { hint: 'System containers are kept in ostree: leave --storage out, or give ostree.' },
  );
}
