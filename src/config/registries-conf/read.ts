import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { AtomicError, messageOf, systemCodeOf } from '../../errors.ts';
import { readConfigFile, UNREADABLE_HINT } from '../read-file.ts';
import { userCacheFolder, userConfigFolder, variableOf, type Environment } from '../user-folders.ts';
import { mergeFiles, type RegistriesConf, type RegistriesFile } from './conf.ts';
import { parseRegistriesFile } from './parse.ts';

/** Where the host's files lie. */
export interface SystemPlaces {
  /** The ones that count least first. */
  readonly folders: readonly string[];
  /** Of the short names that root has decided on, as podman records them. */
  readonly cache: string;
}

const SYSTEM: SystemPlaces = {
  folders: ['/usr/share/containers', '/etc/containers'],
  cache: '/var/cache',
};

/**
 * Reads the host's configuration of registries. The file is the first of CONTAINERS_REGISTRIES_CONF (which has to
 * exist), ~/.config/containers/registries.conf, and the one in /etc/containers or /usr/share/containers; none has to be
 * there. Then drop-ins in registries.conf.d: of the host, unless the user's own file stands for the host's; of the user.
 * Aliases that podman has recorded come last.
 * @param system tests have other places
 * @throws AtomicError `config-invalid` for a file that cannot be read or is none of these
 * @see containers-registries.conf(5), containers-registries.conf.d(5)
 */
export async function readRegistriesConf(
  environment: Environment,
  system: SystemPlaces = SYSTEM,
): Promise<RegistriesConf> {
  const config = userConfigFolder(environment);
  const userFolders = config === undefined ? [] : [join(config, 'containers')];
  const main = await readMain(environment, userFolders, system.folders);
  const folders = main?.isUsers === true ? userFolders : [...system.folders, ...userFolders];
  const files = main === undefined ? [] : [main.file];
  for (const folder of folders) {
    for (const path of await listDropIns(join(folder, 'registries.conf.d'))) {
      const file = await readFile(path, 'drop-in');
      if (file !== undefined) files.push(file);
    }
  }
  const recorded = await readFile(recordedAliases(environment, system), 'drop-in');
  return mergeFiles(recorded === undefined ? files : [...files, recorded]);
}

async function readMain(
  environment: Environment,
  userFolders: readonly string[],
  systemFolders: readonly string[],
): Promise<{ readonly file: RegistriesFile; readonly isUsers: boolean } | undefined> {
  const named = variableOf(environment, 'CONTAINERS_REGISTRIES_CONF');
  if (named !== undefined) {
    const file = await readFile(named, 'main');
    if (file !== undefined) return { file, isUsers: false };
    const message = `CONTAINERS_REGISTRIES_CONF names ${named}, and there is no such file`;
    throw new AtomicError('config-invalid', message, { hint: 'Name one that there is, or unset it.' });
  }
  for (const folder of [...userFolders, ...[...systemFolders].reverse()]) {
    const file = await readFile(join(folder, 'registries.conf'), 'main');
    if (file !== undefined) return { file, isUsers: userFolders.includes(folder) };
  }
  return undefined;
}

async function readFile(path: string, kind: 'main' | 'drop-in'): Promise<RegistriesFile | undefined> {
  const bytes = await readConfigFile(path, `the registries configuration ${path}`);
  return bytes && parseRegistriesFile(bytes, path, kind);
}

/** Files whose name ends in `.conf`, by name; others and folders are ignored. */
async function listDropIns(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    const files = entries.filter((entry) => entry.name.endsWith('.conf') && !entry.isDirectory());
    return files.map(({ name }) => join(folder, name)).sort();
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(systemCodeOf(error) ?? '')) return [];
    const sentence = `the registries configuration ${folder} cannot be read: ${messageOf(error)}`;
    throw new AtomicError('config-invalid', sentence, { hint: UNREADABLE_HINT, cause: error });
  }
}

function recordedAliases(environment: Environment, system: SystemPlaces): string {
  // Not os.userInfo(): a user of a container may have no name.
  const isRoot = process.getuid?.() === 0;
  const cache = (isRoot ? undefined : userCacheFolder(environment)) ?? system.cache;
  return join(cache, 'containers/short-name-aliases.conf');
}
