import { AtomicError, isAtomicError } from '../errors.ts';
import { parseImageConfig } from '../image/config.ts';
import type { Descriptor } from '../image/descriptor.ts';
import type { Digest } from '../image/digest.ts';
import { editManifest } from '../image/edit-manifest.ts';
import type { ImageManifest } from '../image/manifest.ts';
import { copyBlobs, blobKey, type BlobTask } from './copy-blobs.ts';
import type { CopyRun } from './copy-run.ts';
import { isArtifact, planInstance, type Instance, type InstancePlan } from './plan-instance.ts';
import { putManifest } from './put-manifest.ts';
import type { SourceDocument } from './read-document.ts';
import { checkSize, readBlob } from './resolve.ts';
import { putSignatures, readSignatures } from './signatures.ts';

/**
 * Copies one image: blobs, then the manifest, then its signatures.
 * @param named whether the source's reference names this manifest itself, and no index above it
 * @returns the manifest as it stands at the destination
 * @throws AtomicError the first that went wrong
 */
export async function copyInstance(
  run: CopyRun,
  document: SourceDocument<ImageManifest>,
  role: 'reference' | 'entry',
  named: boolean,
): Promise<Descriptor> {
  const { source, destination } = run;
  const { raw, digest, content: manifest } = document;
  run.report({ event: 'resolved', image: source.name, digest, layers: manifest.layers.length });
  checkSizes(manifest, source.name);
  const signatures = await readSignatures(run, named ? undefined : digest);
  const instance = await readInstance(run, document, signatures.length > 0);
  const plan = planInstance(instance, run.wishes, destination.traits);
  const config = await readConfig(run, manifest);
  const tasks = listTasks(source.name, plan, config?.diffIds ?? []);
  const { name } = source;
  await copyBlobs(run, { name, format: plan.format, kept: plan.kept }, [
    ...tasks,
    configTask(run, manifest, config),
  ]);
  const layers = resultingLayers(run, plan);
  const stored = await putManifest(run, {
    write: (format) => editManifest(raw, { format, layers }, `the manifest of ${name}`),
    format: plan.format,
    otherFormat: plan.otherFormat,
    source: document,
    role,
  });
  await putSignatures(run, signatures, stored.digest, role);
  return stored;
}

function checkSizes({ config, layers }: ImageManifest, name: string): void {
  checkSize(config, 'config-size', `the config of ${name}`);
  for (const [i, layer] of layers.entries()) {
    checkSize(layer, 'layer-size', `layer ${i + 1} of ${layers.length} of ${name}`);
  }
}

async function readInstance(
  { source }: CopyRun,
  { raw, content: manifest }: SourceDocument<ImageManifest>,
  isSigned: boolean,
): Promise<Instance> {
  const { name, madeManifest } = source;
  const layers = (await source.layersForCopy?.(manifest)) ?? manifest.layers;
  if (layers.length !== manifest.layers.length) {
    const found = `${name} gives ${layers.length} layers; its manifest has ${manifest.layers.length}`;
    throw new AtomicError('manifest-invalid', found);
  }
  if (layers !== manifest.layers) {
    // What a store says of its own trees: nobody has looked at these sizes yet.
    for (const [i, layer] of layers.entries()) {
      checkSize(layer, 'layer-unpacked-size', `layer ${i + 1} of ${layers.length} of ${name}, unpacked,`);
    }
  }
  const isMade = madeManifest === true || source.layersForCopy !== undefined;
  return { name, manifest, layers, isMade, isSigned, isSchema1: raw.madeFrom !== undefined };
}

interface ReadConfig {
  readonly bytes: Buffer;
  /** None where the config cannot be read as an image's: a copy does not judge it. */
  readonly diffIds: readonly Digest[];
}

/** An image's config; that of an artifact is a blob like any other. */
async function readConfig(
  { source, signal }: CopyRun,
  manifest: ImageManifest,
): Promise<ReadConfig | undefined> {
  if (isArtifact(manifest)) return undefined;
  const what = `the config of ${source.name}`;
  const bytes = await readBlob(source, manifest.config, 'config-size', what, signal);
  try {
    const { diffIds } = parseImageConfig(bytes, what);
    return { bytes, diffIds: diffIds.length === manifest.layers.length ? diffIds : [] };
  } catch (error) {
    if (isAtomicError(error, 'config-invalid', 'manifest-invalid')) return { bytes, diffIds: [] };
    throw error;
  }
}

/** One task for each layer that is not left where it is. */
function listTasks(name: string, { layers }: InstancePlan, diffIds: readonly Digest[]): BlobTask[] {
  return layers.flatMap(({ descriptor, wish, isLeft }, i) => {
    const what = `layer ${i + 1} of ${layers.length} of ${name}`;
    return isLeft ? [] : [{ descriptor, wish, diffId: diffIds[i], what }];
  });
}

function configTask({ source }: CopyRun, { config }: ImageManifest, read: ReadConfig | undefined): BlobTask {
  const what = `the config of ${source.name}`;
  const task: BlobTask = { descriptor: config, wish: 'stored', what };
  return read === undefined ? task : { ...task, bytes: read.bytes };
}

/** The layers as the destination has them. */
function resultingLayers({ blobs }: CopyRun, { layers }: InstancePlan): Descriptor[] {
  return layers.map((layer) => {
    const stored = blobs.get(blobKey(layer));
    return stored?.changedTo === undefined ? layer.descriptor : stored.descriptor;
  });
}
