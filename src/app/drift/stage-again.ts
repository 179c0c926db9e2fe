/** A deployment made a second time, as it was: same image, same values, same place. */
import { createHash } from 'node:crypto';
import { basename, join } from 'node:path';
import { formatInfo, type ContainerInfo } from '../../container/info.ts';
import type { ContainerName } from '../../container/name.ts';
import { FORCED_VARIABLES } from '../../container/variables.ts';
import { AtomicError } from '../../errors.ts';
import { OWN_JSON_BYTES } from '../../limits.ts';
import type { Runtime } from '../../service/oci-runtime.ts';
import { checkoutLayers } from '../../store/checkout.ts';
import type { StoredImage } from '../../store/image-store.ts';
import type { Container, Deployment } from '../containers.ts';
import type { App } from '../context.ts';
import { stagingFolder } from '../layout.ts';
import { requireTree } from '../remote-rootfs.ts';
import { shareStore } from '../store-lock.ts';
import { stageDeployment } from '../stage-deployment.ts';
import { findImage } from './judge-rootfs.ts';

export interface Restaged {
  /** Where it stands now. */
  readonly path: string;
  discard(): Promise<void>;
}

/**
 * Stages the deployment with its recorded values. Its own files that are as they were rendered are taken over byte for
 * byte; only those that are not are rendered again.
 * @throws AtomicError `image-not-found`; of staging
 */
export async function stageAgain(app: App, container: Container, runtime: Runtime): Promise<Restaged> {
  const { name, current } = container;
  const { info } = current;
  await requireTree(app, info);
  const staged = await withImage(app, name, info, (image) =>
    stageDeployment(app, {
      name,
      slot: current.slot,
      image,
      runtime,
      set: exactValues(info),
      health: undefined,
      previous: current,
      wanted: info,
      remote: info.remote,
      again: true,
      // Its own is taken over.
      package: { mode: 'no', foreign: false },
    }),
  );
  try {
    const checksums: Record<string, string> = {};
    for (const { path, content } of staged.files) {
      if (path === 'info') continue;
      const kept = await readIntact(app, join(current.path, path), info, path);
      checksums[path] = sha256(kept ?? content);
      if (kept !== undefined)
        await app.files.writeFileAtomic(join(staged.stagedAt, path), kept, 0o644, { fsync: false });
    }
    await keepPackage(app, current, staged.stagedAt);
    const text = formatInfo({ ...info, filesChecksum: checksums });
    await app.files.writeFileAtomic(join(staged.stagedAt, 'info'), text, 0o644, { fsync: false });
    return { path: staged.stagedAt, discard: () => staged.discard() };
  } catch (error) {
    await staged.discard();
    throw error;
  }
}

/** What a package on the host can come back from. */
async function keepPackage(app: App, { path, info }: Deployment, stagedAt: string): Promise<void> {
  if (info.rpmInstalled === undefined) return;
  const file = basename(info.rpmInstalled);
  if (await app.files.exists(join(path, file))) await app.files.link(join(path, file), join(stagedAt, file));
}

/** The tree alone, for a deployment that kept none. */
export async function stageTree(app: App, name: ContainerName, info: ContainerInfo): Promise<Restaged> {
  const path = join(stagingFolder(app), `${name}.${process.pid}-tree`);
  const discard = (): Promise<void> => app.files.removeTree(path);
  try {
    await app.files.makeDirectory(stagingFolder(app), 0o700);
    await app.files.makeDirectory(path, 0o755);
    await withImage(app, name, info, ({ manifest }) => {
      const layers = manifest.layers.map(({ digest }) => digest);
      return checkoutLayers(app.exec, app.store.repository, layers, join(path, 'rootfs'), { scratch: path });
    });
    return { path, discard };
  } catch (error) {
    await discard();
    throw error;
  }
}

async function withImage<T>(
  app: App,
  name: ContainerName,
  info: ContainerInfo,
  work: (image: StoredImage) => Promise<T>,
): Promise<T> {
  const lock = await shareStore(app, `make ${name} again`);
  try {
    const image = await findImage(app, { info });
    if (image !== undefined) return await work(image);
    throw new AtomicError(
      'image-not-found',
      `Cannot make ${name} again: the image ${info.image} (${info.manifestDigest ?? info.revision ?? 'no digest'}) is no longer in the local storage`,
      { hint: `Pull it (atomic-ts pull ${info.image}), or take what there is now: atomic-ts update ${name}` },
    );
  } finally {
    await lock.release();
  }
}

/** All values as they were, so that nothing follows a host that has changed since. */
function exactValues({ values }: ContainerInfo): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values)
      .filter(([name]) => !FORCED_VARIABLES.has(name))
      .map(([name, value]) => [name, String(value)]),
  );
}

/** A file of the deployment that is what was rendered; one without a checksum counts as such. */
async function readIntact(
  app: App,
  path: string,
  { filesChecksum }: ContainerInfo,
  name: string,
): Promise<Buffer | undefined> {
  const bytes = await app.files.readIfExists(path, OWN_JSON_BYTES);
  if (bytes === undefined) return undefined;
  return filesChecksum === undefined || filesChecksum[name] === sha256(bytes) ? bytes : undefined;
}

function sha256(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}
