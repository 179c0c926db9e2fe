/** Where a user's own configuration lies: basedir-spec's folders, as containers/image asks for them. */
import { join } from 'node:path';

export type Environment = Readonly<Record<string, string | undefined>>;

/** XDG_CONFIG_HOME, or ~/.config; undefined where nobody says whose home it would be. */
export function userConfigFolder(environment: Environment): string | undefined {
  return folderOf(environment, 'XDG_CONFIG_HOME', '.config');
}

/** XDG_CACHE_HOME, or ~/.cache. */
export function userCacheFolder(environment: Environment): string | undefined {
  return folderOf(environment, 'XDG_CACHE_HOME', '.cache');
}

/** A variable of the environment; one that is empty counts as not set. */
export function variableOf(environment: Environment, name: string): string | undefined {
  const value = environment[name];
  return value === '' ? undefined : value;
}

function folderOf(environment: Environment, variable: string, below: string): string | undefined {
  const home = variableOf(environment, 'HOME');
  return variableOf(environment, variable) ?? (home && join(home, below));
}
