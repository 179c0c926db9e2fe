/** The host's package database: what a container's package is there, and how it comes and goes. */
import type { Exec } from '../host/ports.ts';
import { requireRpmHost, runRpm, type RpmFiles, type RpmHost } from './program.ts';

/** What a transaction asks of rpm; a package is known by its name. */
export interface PackageManager {
  /** Which package of that name is installed, by the digest of its header; undefined for none. */
  installed(name: string): Promise<string | undefined>;
  /** The same of a package file. */
  identify(file: string): Promise<string>;
  /** Puts the package there, in place of any of its name, whatever its version; the same again makes it whole. */
  upgrade(file: string): Promise<void>;
  erase(name: string): Promise<void>;
  /** Paths of an installed package that are missing, or not as it brought them in whatever respect. */
  listAltered(name: string): Promise<readonly string[]>;
  /** The folder of the database, to be made durable. */
  database(): Promise<string>;
}

const IDENTITY = ['--queryformat', '%{NEVRA} %{SHA256HEADER}\\n'];

/**
 * Uses rpm itself and not dnf: what a package requires is then asked for and not fetched, so that all that a change has
 * done can be taken back.
 */
export function createPackageManager(exec: Exec, files: RpmFiles): PackageManager {
  let asked: Promise<RpmHost> | undefined;
  const host = (): Promise<RpmHost> => (asked ??= requireRpmHost(exec, files));
  const change = async (...args: string[]): Promise<void> => {
    const { options } = await host();
    await runRpm(exec, [...options, ...args]);
    // The first package has made the database.
    asked = undefined;
  };
  return {
    installed: async (name) => {
      const { exists, options } = await host();
      if (!exists) return undefined;
      const args = [...options, '--query', ...IDENTITY, '--', name];
      const { exitCode, stdout } = await runRpm(exec, args, { accept: [0, 1] });
      return exitCode === 0 ? stdout.trim() : undefined;
    },
    identify: async (file) => {
      const args = ['--query', '--nosignature', ...IDENTITY, '--package', '--', file];
      return (await runRpm(exec, args)).stdout.trim();
    },
    upgrade: (file) => change('--upgrade', '--oldpackage', '--replacepkgs', '--nosignature', '--', file),
    erase: (name) => change('--erase', '--', name),
    listAltered: async (name) => {
      const { options } = await host();
      const args = [...options, '--verify', '--nodeps', '--noscripts', '--', name];
      return parseVerified((await runRpm(exec, args, { accept: [0, 1] })).stdout);
    },
    database: async () => (await host()).database,
  };
}

/** Lines such as `S.5....T.  c /etc/x` and `missing     /etc/x`: rpm(8), VERIFY OPTIONS. */
export function parseVerified(text: string): string[] {
  return text.split('\n').flatMap((line) => {
    const path = /^(?:missing|[.A-Z0-9?]{8,})\s+(?:[a-z]\s+)?(\/.*?)(?: \([^()]*\))?$/.exec(line)?.[1];
    return path === undefined ? [] : [path];
  });
}
