/** A container's package against the host: whether it is in rpm's database, and its files are as it brought them. */
import type { ContainerName } from '../../container/name.ts';
import { isAtomicError } from '../../errors.ts';
import { escapeLine } from '../../escape.ts';
import { createPackageManager } from '../../rpm/manage.ts';
import type { Deployment } from '../containers.ts';
import type { App } from '../context.ts';
import { readDeployedPackage, type DeployedPackage } from '../package.ts';
import { drift, ok, type DriftedFile, type Judgement } from './parts.ts';

const NAME = 'package';

/** Undefined for a container without a package. */
export async function judgePackage(
  app: App,
  name: ContainerName,
  deployment: Deployment,
): Promise<Judgement | undefined> {
  try {
    const found = await readDeployedPackage(app, name, deployment);
    return found === undefined ? undefined : await judge(app, found);
  } catch (error) {
    // Of what the package was, nothing is known then.
    if (!isAtomicError(error, 'store-invalid', 'exports-invalid', 'tool-missing')) throw error;
    return drift(NAME, error.message, {});
  }
}

async function judge(app: App, found: DeployedPackage): Promise<Judgement> {
  const { content, side } = found;
  const manager = createPackageManager(app.exec, app.files);
  const { name, file, paths } = side.onDisk;
  const installed = await manager.installed(name);
  const changed: DriftedFile[] = side.keep.map((path) => ({ path, state: 'changed' }));
  const missing = await missingFiles(app, paths);
  const files = [...missing, ...changed];
  const isInstalled = installed !== undefined && installed === (await manager.identify(file));
  if (isInstalled && files.length === 0) return ok(NAME, content.label);
  const parts = [
    ...(isInstalled
      ? []
      : [installed === undefined ? 'it is not installed' : `${nameOf(installed)} is installed in its place`]),
    ...(files.length === 0 ? [] : [`${files.length} of ${paths.length} files are not as installed`]),
  ];
  const details = files.map(
    ({ path, state }) => `${escapeLine(path)} ${state === 'missing' ? 'is missing' : 'was changed'}`,
  );
  const remedy = { side: { ...side, keep: [] }, changed: side.keep };
  return drift(NAME, `${content.label}: ${parts.join('; ')}`, { package: remedy }, details);
}

async function missingFiles(app: App, paths: readonly string[]): Promise<DriftedFile[]> {
  const missing: DriftedFile[] = [];
  for (const path of paths) if (!(await app.files.exists(path))) missing.push({ path, state: 'missing' });
  return missing;
}

/** Without the digest behind it. */
function nameOf(installed: string): string {
  return escapeLine(installed.split(' ', 1).join(''));
}
