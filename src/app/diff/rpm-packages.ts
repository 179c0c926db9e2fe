/**
 * The packages of a tree, as the host's `rpm` reads them out of the tree's database.
 *
 * Nothing of the tree is run, and `rpm` is not let near it: a copy of the database is what it gets. To open one may mean
 * to write beside it, and to play back what is there; in a checkout that would be written to the image store.
 */
import { constants } from 'node:fs';
import { copyFile, lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { AtomicError } from '../../errors.ts';
import { limitExceeded, limitOf } from '../../limits.ts';
import { readInRoot, resolveInRoot } from '../../container/rooted-path.ts';
import { runRpm } from '../../rpm/program.ts';
import type { App } from '../context.ts';

export interface RpmTree {
  /** What the tree says it is: `Fedora release 40 (Forty)`; empty when it says nothing. */
  readonly release: string;
  /** `NAME-EPOCH-VERSION-RELEASE` each, or NAME; sorted, and each once. */
  readonly packages: readonly string[];
}

/** rpm's own places: the usual one, Fedora's since 36, and that of trees made by rpm-ostree. */
const FOLDERS = ['var/lib/rpm', 'usr/lib/sysimage/rpm', 'usr/share/rpm'];
/** What databases of rpm are made of: sqlite, ndb, Berkeley DB. */
const FILES = ['rpmdb.sqlite', 'rpmdb.sqlite-wal', 'Packages.db', 'Index.db', 'Packages'];
const RELEASE_BYTES = 64 * 1024;
/** A key is kept like a package, and is none. */
const KEY = /^gpg-pubkey(?:-|$)/;
const FULL_NAME = '%{NAME}-%|EPOCH?{%{EPOCH}}:{0}|-%{VERSION}-%{RELEASE}\\n';

/**
 * @param name of the tree, for errors
 * @param scratch a folder of the caller's
 * @throws AtomicError `unsupported` for a tree without a database; `limit-exceeded`; `tool-missing`, `command-failed`
 */
export async function readPackages(
  { exec, files }: Pick<App, 'exec' | 'files'>,
  name: string,
  tree: string,
  scratch: string,
  namesOnly: boolean,
): Promise<RpmTree> {
  const database = join(scratch, 'rpmdb');
  await files.makeDirectory(database, 0o700);
  if (!(await copyDatabase(tree, database))) {
    throw new AtomicError('unsupported', `${name} is not RPM based.`, {
      hint: 'It has no rpm database; leave --rpms out.',
    });
  }
  const format = namesOnly ? '%{NAME}\\n' : FULL_NAME;
  const args = ['--dbpath', database, '--nosignature', '--nodigest', '-qa', '--queryformat', format];
  const { stdout } = await runRpm(exec, args);
  await files.removeTree(database);
  const packages = stdout.split('\n').filter((line) => line !== '' && !KEY.test(line));
  return { release: await readRelease(tree), packages: [...new Set(packages)].sort() };
}

/** @returns whether there is one */
async function copyDatabase(tree: string, place: string): Promise<boolean> {
  let size = 0;
  for (const folder of FOLDERS) {
    let isFound = false;
    for (const file of FILES) {
      const path = resolveInRoot(tree, join(folder, file));
      if (path === undefined || !(await lstat(path)).isFile()) continue;
      size += (await lstat(path)).size;
      if (size > limitOf('rpm-database-size'))
        throw limitExceeded(
          'rpm-database-size',
          `The rpm database in ${tree} has more than ${size} bytes`,
          size,
        );
      await copyFile(path, join(place, file), constants.COPYFILE_FICLONE);
      isFound = true;
    }
    if (isFound) return true;
  }
  return false;
}

async function readRelease(tree: string): Promise<string> {
  const read = async (path: string): Promise<string | undefined> => {
    const bytes = await readInRoot(tree, path, RELEASE_BYTES, 'host-file');
    return bytes === undefined ? undefined : Buffer.from(bytes).toString('utf8');
  };
  const release = await read('etc/redhat-release');
  if (release !== undefined) return release.trim();
  const facts = (await read('etc/os-release')) ?? (await read('usr/lib/os-release')) ?? '';
  return /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(facts)?.[1] ?? '';
}
