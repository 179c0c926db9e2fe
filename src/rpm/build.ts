/** Packages are made by rpmbuild, in a folder of their own: nothing of the host but its macros has a say. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AtomicError } from '../errors.ts';
import type { Exec } from '../host/ports.ts';
import type { PackageFacts } from './facts.ts';
import { runRpmbuild } from './program.ts';
import { readPackage, type PackageContent } from './read-package.ts';
import { renderSpec, SOURCE_TREE, type SpecFile } from './spec.ts';

export interface BuildRequest {
  /** A folder for this alone; what is packed lies in `sourceTree(folder)`. */
  readonly folder: string;
  readonly facts: PackageFacts;
  readonly files: readonly SpecFile[];
  /** Seconds since 1970 that count as the time of everything: the same image gives the same package. */
  readonly epoch: number;
}

export interface BuiltPackage {
  readonly path: string;
  readonly content: PackageContent;
}

/** Where the caller puts the files, as they are to lie on the host. */
export function sourceTree(folder: string): string {
  return join(folder, 'SOURCES', SOURCE_TREE);
}

/**
 * Builds a package from a spec of our own. Of the folder's content only the package is of use afterwards.
 * @throws AtomicError `tool-missing`, `command-failed`; `unsupported` for names that rpmbuild cannot tell apart
 */
export async function buildPackage(exec: Exec, request: BuildRequest): Promise<BuiltPackage> {
  const { folder, facts, files, epoch } = request;
  requirePlainPath(folder);
  // By a name alone: even on its command line rpmbuild expands macros.
  const spec = 'package.spec';
  await writeFile(join(folder, spec), renderSpec(facts, files));
  await mkdir(join(folder, 'BUILD'), { recursive: true });
  const args = ['-bb', '--target=noarch', ...definitions(folder), spec];
  await runRpmbuild(exec, args, { cwd: folder, env: { SOURCE_DATE_EPOCH: String(epoch) } });
  const path = join(folder, 'RPMS', `${facts.name}.rpm`);
  const content = await readPackage(exec, path);
  checkFiles(content, files);
  return { path, content };
}

/** Patterns in the list of files may have meant more than their file; that a file is missing, rpmbuild itself says. */
function checkFiles({ files: packed }: PackageContent, wanted: readonly SpecFile[]): void {
  const paths = new Set(wanted.map(({ path }) => path));
  const trees = wanted.flatMap(({ path, isTree }) => (isTree === true ? [`${path}/`] : []));
  const other = packed.find(({ path }) => !paths.has(path) && !trees.some((tree) => path.startsWith(tree)));
  if (other === undefined) return;
  throw new AtomicError(
    'unsupported',
    `Cannot make a package of these host files: rpmbuild cannot tell ${JSON.stringify(other.path)} from another of them`,
    { hint: 'Install without a package: --system-package=no.' },
  );
}

/** rpm expands, splits and globs the paths of its folders, each at some place of its own. @throws AtomicError `unsupported` */
export function requirePlainPath(folder: string): void {
  if (/^[A-Za-z0-9/._+@=,:-]+$/.test(folder)) return;
  throw new AtomicError(
    'unsupported',
    `Cannot build a package in ${JSON.stringify(folder)}: rpm takes some of its characters for its own`,
    { hint: 'Keep the checkouts elsewhere, or install without a package: --system-package=no.' },
  );
}

/** Everything that a host's or a distribution's macros would have decided. */
export function definitions(folder: string): string[] {
  const at = (name: string): string => join(folder, name);
  const macros = {
    _topdir: at('.'),
    _sourcedir: at('SOURCES'),
    _builddir: at('BUILD'),
    _buildrootdir: at('BUILDROOT'),
    _rpmdir: at('RPMS'),
    _srcrpmdir: at('RPMS'),
    _tmppath: at('BUILD'),
    _dbpath: at('db'),
    _rpmfilename: '%%{NAME}.rpm',
    // Whatever would look into the files, or change them.
    debug_package: '%{nil}',
    __os_install_post: '%{nil}',
    __spec_install_post: '%{nil}',
    __check_files: '%{nil}',
    _build_id_links: 'none',
    _binaries_in_noarch_packages_terminate_build: '0',
    _invalid_encoding_terminates_build: '0',
    // The same wherever and whenever it is built.
    _buildhost: 'localhost',
    _binary_payload: 'w6.gzdio',
    _binary_filedigest_algorithm: '8',
    use_source_date_epoch_as_buildtime: '1',
    clamp_mtime_to_source_date_epoch: '1',
    build_mtime_policy: 'clamp_to_source_date_epoch',
    vendor: '%{nil}',
    packager: '%{nil}',
  };
  return Object.entries(macros).map(([name, body]) => `--define=${name} ${body}`);
}
