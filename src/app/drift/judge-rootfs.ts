/** The tree of a deployment against its image, and the store's files that it is made of against their names. */
import { join } from 'node:path';
import { isAtomicError } from '../../errors.ts';
import { escapeLine } from '../../escape.ts';
import { isRecord, parseJson, type JsonRecord } from '../../image/json.ts';
import { OWN_JSON_BYTES } from '../../limits.ts';
import { showBytes } from '../../store/compare-trees.ts';
import type { StoredImage } from '../../store/image-store.ts';
import { verifyCheckout, type RuntimeEntries, type VerifiedTree } from '../../store/verify-checkout.ts';
import type { DamagedObject } from '../../store/verify-objects.ts';
import type { Deployment } from '../containers.ts';
import type { App } from '../context.ts';
import { shareStore } from '../store-lock.ts';
import { drift, notRecorded, ok, type Judgement } from './parts.ts';
import { withScratch } from './scratch.ts';

const NAME = 'rootfs';

/** Reads the whole tree; makes a checkout for that, beside the deployments. */
export async function judgeRootfs(app: App, deployment: Deployment): Promise<Judgement> {
  const { path, info } = deployment;
  if (info.remote !== undefined) return judgeRemote(app, deployment, info.remote);
  const rootfs = join(path, 'rootfs');
  if (!(await app.files.isDirectory(rootfs)) || (await app.files.readLink(rootfs)) !== undefined) {
    if (!info.hasContainerService) return ok(NAME, 'none: the image only brings host files');
    return drift(NAME, `${rootfs} is missing`, { deployment: true });
  }
  const spec = await readSpec(app, join(path, 'config.json'));
  const lock = await shareStore(app, 'compare a tree with its image');
  try {
    const image = await findImage(app, deployment);
    const verified = await verify(app, rootfs, image, runtimeEntriesOf(spec));
    return judge(verified, rootfs, image, spec);
  } finally {
    await lock.release();
  }
}

/** A tree elsewhere is somebody else's: only that it is there, and that the deployment leads to it, is ours to judge. */
async function judgeRemote(app: App, { path, info }: Deployment, remote: string): Promise<Judgement> {
  const link = join(path, NAME);
  if (!(await app.files.isDirectory(remote)))
    return drift(NAME, `it is elsewhere, and missing: ${remote}`, { deployment: true });
  if (info.hasContainerService && (await app.files.readLink(link)) !== remote)
    return drift(NAME, `${link} does not lead to ${remote}`, { deployment: true });
  return notRecorded(NAME, `it is elsewhere: ${remote}`);
}

/** The image that a deployment was made from; undefined when the store has it no more, or cannot be read. */
export async function findImage(
  app: App,
  { info }: Pick<Deployment, 'info'>,
): Promise<StoredImage | undefined> {
  if (!(await app.store.repository.exists())) return undefined;
  try {
    return await app.store.findRecorded(info.image, info.ostreeCommit, info.revision);
  } catch (error) {
    if (isAtomicError(error, 'store-invalid', 'reference-invalid')) return undefined;
    throw error;
  }
}

async function verify(
  app: App,
  rootfs: string,
  image: StoredImage | undefined,
  runtime: RuntimeEntries,
): Promise<VerifiedTree> {
  const { exec, signal } = app;
  const layers = image?.manifest.layers.map(({ digest }) => digest);
  return withScratch(app, (scratch) =>
    verifyCheckout(exec, app.store.repository, rootfs, layers, { scratch, runtime, signal }),
  );
}

function judge(
  { findings, damaged }: VerifiedTree,
  rootfs: string,
  image: StoredImage | undefined,
  spec: JsonRecord,
): Judgement {
  if (findings.length === 0 && damaged.length === 0) {
    if (image !== undefined) return ok(NAME, 'as its image is');
    return notRecorded(
      NAME,
      'the image is no longer in the store: content that is shared with the store is as it was, the rest is not judged',
    );
  }
  const details = [
    ...findings.map(({ path, found }) => `/${escapeLine(path)}: ${escapeLine(found)}`),
    ...damaged.map((object) => `${describeObject(object)}: written to in place, in the store as well`),
  ];
  const counts = [
    ...(findings.length === 0
      ? []
      : [`${findings.length} ${plural('entry differs', 'entries differ', findings)}`]),
    ...(damaged.length === 0
      ? []
      : [`${damaged.length} ${plural('file is', 'files are', damaged)} damaged in the store`]),
  ];
  const root = isRecord(spec['root']) ? spec['root'] : {};
  const hint = root['readonly'] === true ? '' : '; its root is writable, so the container may have done it';
  return drift(NAME, `${counts.join(', ')} in ${rootfs}${hint}`, { deployment: true, damaged }, details);
}

export function describeObject({ inTree, path }: DamagedObject): string {
  return inTree === undefined ? path : `/${escapeLine(showBytes(inTree))}`;
}

function plural(one: string, many: string, { length }: readonly unknown[]): string {
  return length === 1 ? one : many;
}

/** What is no JSON says nothing of mount points: its own checksum tells of that. */
async function readSpec(app: App, path: string): Promise<JsonRecord> {
  try {
    const bytes = await app.files.readIfExists(path, OWN_JSON_BYTES);
    const document = bytes === undefined ? {} : parseJson(bytes, path, 'spec-invalid');
    return isRecord(document) ? document : {};
  } catch (error) {
    if (isAtomicError(error, 'spec-invalid', 'host-file', 'limit-exceeded')) return {};
    throw error;
  }
}

/** What a runtime makes before it mounts: OCI runtime specification, "Mounts", "Default Devices", "Dev symbolic links". */
export function runtimeEntriesOf(spec: JsonRecord): RuntimeEntries {
  const texts = (list: unknown, key: string): string[] =>
    (Array.isArray(list) ? (list as unknown[]) : []).flatMap((item) => {
      const text = isRecord(item) ? item[key] : undefined;
      return typeof text === 'string' ? [text] : [];
    });
  const destinations = texts(spec['mounts'], 'destination');
  const process = isRecord(spec['process']) ? spec['process'] : {};
  const linux = isRecord(spec['linux']) ? spec['linux'] : {};
  const cwd = process['cwd'];
  return {
    places: [...destinations, ...(typeof cwd === 'string' ? [cwd] : [])],
    devices: !destinations.some((path) => path.replace(/\/+$/, '') === '/dev'),
    deviceNames: texts(linux['devices'], 'path'),
  };
}
