/** The package that brings a container's host files, where it is asked for or is the custom of this host. */
import { basename, join } from 'node:path';
import { planHostFileRemoval } from '../container/host-files.ts';
import type { ContainerInfo } from '../container/info.ts';
import { AtomicError } from '../errors.ts';
import { packageName } from '../rpm/facts.ts';
import { readPackage, type PackageContent } from '../rpm/read-package.ts';
import type { ContainerName } from '../container/name.ts';
import type { PackageOnDisk } from '../transaction/plan.ts';
import type { App } from './context.ts';
import type { Deployment } from './containers.ts';
import type { PackageSide } from './plan-change.ts';

/** What `--system-package` takes. */
export const PACKAGE_MODES = ['auto', 'build', 'no', 'yes'] as const;
export type PackageMode = (typeof PACKAGE_MODES)[number];

/** What of a deployment's host files is to be a package. */
export interface PackageWish {
  /** auto: where rpm manages this host, and the files can be packed. */
  readonly mode: 'auto' | 'yes' | 'no';
  /** Whether the image's own package, or one made by its spec, may be used: somebody has asked for a package. */
  readonly foreign: boolean;
}

/** The same for the next deployment of a container: it goes by what was asked for when it was installed. */
export function wishOf({ systemPackage, foreignPackage }: ContainerInfo): PackageWish {
  const isPackaged = systemPackage === 'yes';
  return { mode: isPackaged ? 'yes' : 'no', foreign: isPackaged && foreignPackage === true };
}

/** The name of a package's file in its deployment, as atomic called it. */
export function packageFile(name: ContainerName): string {
  return `${packageName(name)}.rpm`;
}

/** A package that is on the host, or was. */
export interface DeployedPackage {
  readonly side: PackageSide;
  readonly content: PackageContent;
  /** Those of its files that are as it brought them: they go with it. */
  readonly intact: readonly string[];
  /** What stays, in atomic's words. */
  readonly messages: readonly string[];
}

/**
 * The package of a deployment; undefined when it has none.
 * @throws AtomicError `store-invalid` when its file is gone: nothing could take a change back then
 */
export async function readDeployedPackage(
  app: App,
  name: ContainerName,
  { path, info }: Deployment,
): Promise<DeployedPackage | undefined> {
  if (info.rpmInstalled === undefined) return undefined;
  const file = join(path, basename(info.rpmInstalled));
  if (!(await app.files.exists(file))) {
    throw new AtomicError('store-invalid', `The package of ${name} is not where it was: ${file}`, {
      hint: 'Without it nothing could be taken back: put it there again, or another one of its name.',
    });
  }
  const content = await readPackage(app.exec, file);
  const side = onDisk(content, file);
  const { remove, keep } = await planHostFileRemoval({
    installedFiles: side.paths,
    checksums: Object.fromEntries(content.files.map((each) => [each.path, each.checksum])),
    currentChecksum: (each) => app.files.checksum(each),
  });
  return {
    side: { onDisk: side, keep: keep.map((each) => each.path) },
    content,
    intact: remove,
    messages: keep.map(({ message }) => message),
  };
}

/** The package of a deployment that is to come back: what stands in its files' way, and is not the package's that goes, stays. */
export async function readReturningPackage(
  app: App,
  name: ContainerName,
  deployment: Deployment,
  leaving: readonly string[],
): Promise<PackageSide | undefined> {
  const found = await readDeployedPackage(app, name, deployment);
  if (found === undefined) return undefined;
  const goes = new Set(leaving);
  const keep: string[] = [];
  for (const path of found.side.onDisk.paths)
    if (!goes.has(path) && (await app.files.exists(path))) keep.push(path);
  return { ...found.side, keep };
}

/** A package as a step has it; its folders come and go with rpm. */
export function onDisk({ name, files }: PackageContent, file: string): PackageOnDisk {
  const entries = files.filter(({ kind }) => kind !== 'directory');
  return { name, file, paths: entries.map(({ path }) => path) };
}
