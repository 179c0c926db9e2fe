import { access, constants, stat } from 'node:fs/promises';
import { resolve } from 'node:path';

export type Environment = Readonly<Record<string, string | undefined>>;

/** Where system programs stand even when the caller's PATH does not say so (su without -, cron). */
const SYSTEM_FOLDERS = ['/usr/sbin', '/sbin'];

/** What systemd gave to *us* and is not a child's: runc hands these on into the container. */
const NOT_INHERITED = new Set(['NOTIFY_SOCKET', 'LISTEN_FDS', 'LISTEN_PID', 'LISTEN_FDNAMES']);

/** The caller's PATH without relative and empty parts (they mean the current folder), plus the sbin folders. */
function searchPath(environment: Environment): string[] {
  const folders = (environment['PATH'] ?? '/usr/bin:/bin').split(':').filter((part) => part.startsWith('/'));
  return [...new Set([...folders, ...SYSTEM_FOLDERS])];
}

/** The environment of a program that runs on the person's own terminal: their language, our PATH. */
export function terminalEnvironment(
  environment: Environment,
  changes: Environment = {},
): Record<string, string> {
  return mergeEnvironment(environment, { PATH: searchPath(environment).join(':') }, changes);
}

/** The environment of a program whose output we read: as above, and LC_ALL=C.UTF-8. LANGUAGE would outrank it. */
export function quietEnvironment(
  environment: Environment,
  changes: Environment = {},
): Record<string, string> {
  const own = { PATH: searchPath(environment).join(':'), LANGUAGE: undefined, LC_ALL: 'C.UTF-8' };
  return mergeEnvironment(environment, own, changes);
}

function mergeEnvironment(...parts: readonly Environment[]): Record<string, string> {
  const merged: Record<string, string> = {};
  for (const [name, value] of parts.flatMap((part) => Object.entries(part))) {
    if (value === undefined || NOT_INHERITED.has(name)) delete merged[name];
    else merged[name] = value;
  }
  return merged;
}

/** The absolute path of an executable file, or undefined. A name with a slash is a path and not looked up. */
export async function findProgram(program: string, environment: Environment): Promise<string | undefined> {
  const candidates = program.includes('/')
    ? [resolve(program)]
    : searchPath(environment).map((folder) => `${folder}/${program}`);
  for (const candidate of candidates) {
    if (await isExecutable(candidate)) return candidate;
  }
  return undefined;
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}
