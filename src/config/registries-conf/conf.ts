/** Which names an image may be pulled by from a mirror. */
export type PullFromMirror = 'all' | 'digest-only' | 'tag-only';

export interface Mirror {
  /** `host[:port][/path]` that stands for the prefix. */
  readonly location: string;
  readonly insecure: boolean;
  readonly pullFromMirror: PullFromMirror;
}

/** What is configured for the names that begin with a prefix. */
export interface RegistryTable {
  /** `host[:port][/path][:tag|@digest]`, or `*.host`. */
  readonly prefix: string;
  /** What stands for the prefix; undefined: the name as it is. */
  readonly location: string | undefined;
  /** Whether plain HTTP and certificates that nobody vouches for will do. */
  readonly insecure: boolean;
  readonly blocked: boolean;
  /** In the order in which they are tried. */
  readonly mirrors: readonly Mirror[];
  /** The file that says so. */
  readonly file: string;
}

export type ShortNameMode = 'enforcing' | 'permissive' | 'disabled';

/** What a short name stands for. */
export interface Alias {
  /** `host[:port]/path`; undefined where a later file takes back what an earlier one says. */
  readonly name: string | undefined;
  readonly file: string;
}

/** One file; undefined is what it does not mention. */
export interface RegistriesFile {
  readonly searchRegistries: readonly string[] | undefined;
  readonly shortNameMode: ShortNameMode | undefined;
  readonly credentialHelpers: readonly string[] | undefined;
  readonly registries: readonly RegistryTable[];
  readonly aliases: ReadonlyMap<string, Alias>;
}

/** All files of the host together. */
export interface RegistriesConf {
  /** Where a name without a registry is looked for, in this order. */
  readonly searchRegistries: readonly string[];
  readonly shortNameMode: ShortNameMode;
  /** Names of `docker-credential-NAME` programs, and AUTH_FILE_HELPER. */
  readonly credentialHelpers: readonly string[];
  /** One for each prefix. */
  readonly registries: readonly RegistryTable[];
  readonly aliases: ReadonlyMap<string, Alias>;
}

/** Stands for the files of containers-auth.json(5) among the credential helpers. */
export const AUTH_FILE_HELPER = 'containers-auth.json';

/**
 * Puts files over each other, in the order in which they are given: tables replace those of the same prefix and aliases
 * those of the same name; a list or a mode replaces the one before.
 * @see containers-registries.conf.d(5)
 */
export function mergeFiles(files: readonly RegistriesFile[]): RegistriesConf {
  const last = <T>(pick: (file: RegistriesFile) => T | undefined): T | undefined =>
    files.map(pick).findLast((value) => value !== undefined);
  const tables = files.flatMap((file) => file.registries.map((table) => [table.prefix, table] as const));
  const helpers = last((file) => file.credentialHelpers) ?? [];
  return {
    searchRegistries: last((file) => file.searchRegistries) ?? [],
    shortNameMode: last((file) => file.shortNameMode) ?? 'permissive',
    credentialHelpers: helpers.length === 0 ? [AUTH_FILE_HELPER] : helpers,
    registries: [...new Map(tables).values()],
    aliases: new Map(files.flatMap((file) => [...file.aliases])),
  };
}
