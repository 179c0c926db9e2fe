/** Makes the package of a staged deployment: of its host files and the image's labels, or as the image itself has it. */
import { join } from 'node:path';
import type { ContainerName } from '../container/name.ts';
import { readNames } from '../container/passwd.ts';
import { readInRoot, resolveInRoot } from '../container/rooted-path.ts';
import { AtomicError } from '../errors.ts';
import type { HostFile } from '../host/ports.ts';
import { hexOf } from '../image/digest.ts';
import { OWN_JSON_BYTES } from '../limits.ts';
import { substitute } from '../render/substitute.ts';
import { buildPackage, sourceTree } from '../rpm/build.ts';
import { packageName, readPackageFacts } from '../rpm/facts.ts';
import { buildForeignPackage, checkForeignPackage } from '../rpm/foreign.ts';
import { FOREIGN_PACKAGE, placeFiles, takeForeignPackage } from '../rpm/place-files.ts';
import { findRpmHost, requireRpmHost } from '../rpm/program.ts';
import { readPackage, type PackageContent } from '../rpm/read-package.ts';
import type { SpecFile } from '../rpm/spec.ts';
import type { StoredImage } from '../store/image-store.ts';
import type { ContainerInfo } from '../container/info.ts';
import type { App } from './context.ts';
import { stagingFolder } from './layout.ts';
import { packageFile, type PackageWish } from './package.ts';

/** Of a host that is itself booted from ostree, whose /usr no package can be put into. */
const OSTREE_BOOTED = '/run/ostree-booted';

/** The first that is there counts. */
const SPECS = ['/exports/rpm.spec.template', '/exports/rpm.spec'] as const;

export interface PackageRequest {
  readonly name: ContainerName;
  readonly image: StoredImage;
  readonly wish: PackageWish;
  readonly values: ContainerInfo['values'];
  /** The image's tree, and where it will stand. */
  readonly rootfs: string;
  readonly place: string;
  /** What would be created on the host. */
  readonly files: readonly HostFile[];
  /** What the deployment before this one has on the host and takes along: its package with all that is in it. */
  readonly leaving: readonly string[];
  /** The folder of the staged deployment: the package is put there. */
  readonly stagedAt: string;
}

/**
 * @returns what the package brings; undefined when there is to be none
 * @throws AtomicError `unsupported`, `tool-missing`, `exports-invalid`, `value-invalid`, `file-exists`
 */
export async function stagePackage(app: App, request: PackageRequest): Promise<PackageContent | undefined> {
  const { wish, name, stagedAt } = request;
  if (wish.mode === 'no') return undefined;
  const target = join(stagedAt, packageFile(name));
  if (wish.foreign && hasForeign(request)) {
    await requirePackages(app);
    return await takeForeign(app, request, target);
  }
  if (request.files.length === 0) return undefined;
  const refusal = wish.mode === 'auto' ? await refuseAuto(app) : undefined;
  if (refusal === 'silent') return undefined;
  if (wish.mode === 'yes') await requirePackages(app);
  try {
    if (refusal !== undefined) throw refusal;
    return await build(app, request, target);
  } catch (error) {
    if (wish.mode !== 'auto' || !(error instanceof AtomicError) || error.code === 'interrupted') throw error;
    app.report({ event: 'notice', text: `The host files get no package: ${error.message}` });
    return undefined;
  }
}

/** Why a package is not the custom here; silent where nobody would expect one. */
async function refuseAuto(app: App): Promise<AtomicError | 'silent' | undefined> {
  if ((await app.files.exists(OSTREE_BOOTED)) || (await findRpmHost(app.exec, app.files))?.isNative !== true)
    return 'silent';
  if ((await app.exec.find('rpmbuild')) !== undefined) return undefined;
  return new AtomicError('tool-missing', 'rpmbuild is not installed');
}

/** @throws AtomicError when a package cannot be installed here */
async function requirePackages(app: App): Promise<void> {
  if (await app.files.exists(OSTREE_BOOTED)) {
    throw new AtomicError(
      'unsupported',
      'This host is booted from ostree, and takes no packages while it runs',
      {
        hint: 'Install without a package: --system-package=no.',
      },
    );
  }
  const { isNative } = await requireRpmHost(app.exec, app.files);
  if (isNative) return;
  const text = "rpm does not manage this host's packages: what manages them will not know of this one";
  app.report({ event: 'warning', text });
}

/** Builds in a folder that goes again; the package is left at `target`. */
export async function inBuildFolder<T>(
  app: App,
  name: ContainerName,
  work: (folder: string) => Promise<T>,
  what = 'rpm',
): Promise<T> {
  const folder = join(stagingFolder(app), `${name}.${process.pid}-${what}`);
  try {
    await app.files.makeDirectory(folder, 0o700);
    return await work(folder);
  } finally {
    await app.files.removeTree(folder);
  }
}

async function build(app: App, request: PackageRequest, target: string): Promise<PackageContent> {
  const { name, files, rootfs, place, image } = request;
  const { labels } = await app.store.readConfig(image);
  const facts = readPackageFacts(name, labels, { revision: hexOf(image.digest), defaultVersion: '0' });
  const specFiles = await nameOwners(app, files);
  return inBuildFolder(app, name, async (folder) => {
    await placeFiles(sourceTree(folder), files, (source) => rootfs + source.slice(place.length));
    const epoch = await readEpoch(app, image);
    const { path, content } = await buildPackage(app.exec, { folder, facts, files: specFiles, epoch });
    await app.files.rename(path, target);
    return content;
  });
}

/**
 * Packages know accounts by name, and those of the host count.
 * @throws AtomicError `unsupported` for an owner without one
 */
export async function nameOwners(app: App, files: readonly HostFile[]): Promise<SpecFile[]> {
  const read = async (path: string): Promise<ReadonlyMap<number, string>> =>
    readNames((await app.files.readIfExists(path, OWN_JSON_BYTES))?.toString('utf8'));
  const users = await read('/etc/passwd');
  const groups = await read('/etc/group');
  return files.map(({ path, uid, gid }) => {
    const user = uid === 0 ? 'root' : users.get(uid);
    const group = gid === 0 ? 'root' : groups.get(gid);
    const isPlain = (account: string | undefined): account is string =>
      account !== undefined && /^[A-Za-z0-9_.-]+\$?$/.test(account);
    if (isPlain(user) && isPlain(group)) return { path, user, group };
    throw new AtomicError(
      'unsupported',
      `The host file ${path} is to belong to ${uid}:${gid}, for which this host has no names, and a package knows no numbers`,
      { hint: 'Install without a package: --system-package=no.' },
    );
  });
}

/** The time of an image counts for its package, so that both are the same wherever it is built. */
export async function readEpoch(app: App, image: StoredImage): Promise<number> {
  const given = app.environment['SOURCE_DATE_EPOCH'] ?? '';
  if (/^\d{1,10}$/.test(given)) return Number(given);
  const seconds = Math.floor(Date.parse((await app.store.readConfig(image)).created ?? '') / 1000);
  return seconds > 0 && seconds < 2 ** 31 ? seconds : 0;
}

export function hasForeign({ rootfs }: Pick<PackageRequest, 'rootfs'>): boolean {
  if (resolveInRoot(rootfs, FOREIGN_PACKAGE) !== undefined) return true;
  return SPECS.some((path) => resolveInRoot(rootfs, path) !== undefined);
}

/** The image's own package, looked at before anything of it touches the host. */
async function takeForeign(app: App, request: PackageRequest, target: string): Promise<PackageContent> {
  await makeForeign(app, request, target);
  const content = await readPackage(app.exec, target);
  checkForeignPackage(content, packageName(request.name));
  const leaving = new Set(request.leaving);
  for (const { path } of content.files) {
    if (leaving.has(path) || !(await app.files.exists(path))) continue;
    throw new AtomicError(
      'file-exists',
      `The image's own package ${content.label} brings ${path}, and the file ${path} already exists.`,
      { hint: 'To install without it: --system-package=no.' },
    );
  }
  return content;
}

/** container.rpm as it is, or what rpm.spec makes of the host files. */
export async function makeForeign(
  app: App,
  request: Omit<PackageRequest, 'wish' | 'leaving' | 'stagedAt'>,
  target: string,
): Promise<void> {
  const { name, rootfs, place, files, image } = request;
  if (await takeForeignPackage(rootfs, target)) return;
  const spec = await readSpec(request);
  await inBuildFolder(app, name, async (folder) => {
    // A user of its own builds it, who can give no file the rights of another: the spec's %attr can.
    await placeFiles(sourceTree(folder), files, (source) => rootfs + source.slice(place.length), 0o777);
    const epoch = await readEpoch(app, image);
    const text = 'Building the package of the image’s rpm.spec, as a user of its own';
    app.report({ event: 'notice', text });
    await app.files.rename(
      await buildForeignPackage(app.exec, { folder, spec, epoch, signal: app.signal }),
      target,
    );
  });
}

/** @throws AtomicError `variable-unset`, `template-invalid`, `exports-invalid`, `limit-exceeded` */
async function readSpec({ rootfs, place, values }: Pick<PackageRequest, 'rootfs' | 'place' | 'values'>) {
  const read = async (path: string): Promise<string | undefined> => {
    const bytes = await readInRoot(rootfs, path, 'export-size', 'exports-invalid');
    return bytes === undefined ? undefined : new TextDecoder().decode(bytes);
  };
  const [template, plain] = SPECS;
  const text = await read(template);
  return text === undefined ? ((await read(plain)) ?? '') : substitute(text, `${place}${template}`, values);
}
