/** What an image says of itself, and of what has to be set to install it; of a container also its values. */
import type { ContainerName } from '../container/name.ts';
import type { Value, ValueSource } from '../container/variables.ts';
import { AtomicError } from '../errors.ts';
import type { Digest } from '../image/digest.ts';
import type { ImageReference } from '../image/reference.ts';
import type { TemplateVariable } from '../render/template-variables.ts';
import type { StoredImage } from '../store/image-store.ts';
import type { App } from './context.ts';
import { readImageVariables } from './image-templates.ts';
import { readReference, type RegistryAccess } from './pull-image.ts';
import { readRemoteImage } from './remote-image.ts';
import { openFirst, readCandidates } from './short-name.ts';
import { readIfReference } from './stored-image.ts';
import { displayName } from './stage-deployment.ts';
import type { FoundContainer } from './find-installed.ts';
import { findInspected, type InspectedKind } from './inspected.ts';

export interface InfoRequest {
  readonly text: string;
  readonly kind: InspectedKind;
  /** Ask where the image comes from, and leave the local storage alone. */
  readonly remote: boolean;
  readonly access: RegistryAccess;
}

export interface ImageInfo {
  /** With its registry, where that is known. */
  readonly imageName: string;
  readonly digest: Digest | undefined;
  /** Undefined where the image cannot be read any more. */
  readonly labels: Readonly<Record<string, string>> | undefined;
  /** Undefined for an image that is not in the store. */
  readonly variables: readonly TemplateVariable[] | undefined;
  readonly container: ContainerValues | undefined;
}

export interface ContainerValues {
  readonly name: ContainerName;
  readonly values: readonly ContainerValue[];
}

export interface ContainerValue {
  readonly name: string;
  readonly value: Value;
  /** Undefined where it was not recorded. */
  readonly source: ValueSource | undefined;
}

/** @throws AtomicError `image-not-found`, `container-not-found`; of the registry where it is asked */
export async function readImageInfo(app: App, request: InfoRequest): Promise<ImageInfo> {
  if (request.remote) return readRemoteInfo(app, request);
  const inspected = await findInspected(app, request.text, request.kind);
  const container = inspected.container === undefined ? undefined : valuesOf(inspected.container);
  if (inspected.image === undefined) {
    const { name, info } = inspected.container;
    const text = `The image ${info.image} of ${name} is not in the local storage any more`;
    app.report({ event: 'warning', text });
    return { imageName: info.image, digest: undefined, labels: undefined, variables: undefined, container };
  }
  const { image } = inspected;
  return {
    imageName: fullName(image),
    digest: image.digest,
    labels: await readLabels(app, image),
    variables: await readImageVariables(app, image),
    container,
  };
}

async function readRemoteInfo(app: App, { text, access }: InfoRequest): Promise<ImageInfo> {
  return openFirst(await readCandidates(app, text, readReference(text), access), async (reference) => {
    const { digest, config } = await readRemoteImage(app, reference, access);
    const imageName = registryName(reference, true) ?? text;
    return { imageName, digest, labels: config.labels, variables: undefined, container: undefined };
  });
}

/** atomic's prune took configs of images in use; what else it knows of such an image is told all the same. */
export async function readLabels(
  app: App,
  image: StoredImage,
): Promise<Readonly<Record<string, string>> | undefined> {
  try {
    return (await app.store.readConfig(image)).labels;
  } catch (error) {
    if (!(error instanceof AtomicError) || error.code === 'interrupted') throw error;
    app.report({ event: 'warning', text: error.message });
    return undefined;
  }
}

/** The name with its registry; one that names none and did not come from one is as it was given. */
export function fullName(image: StoredImage): string {
  const reference = readIfReference(image.source ?? image.name);
  return registryName(reference, image.source !== undefined) ?? displayName(image);
}

function registryName(reference: ImageReference | undefined, always: boolean): string | undefined {
  if (reference?.transport !== 'docker' || !(always || reference.image.qualified)) return undefined;
  const { domain, repository, tag, digest } = reference.image;
  return `${domain}/${repository}${digest === undefined ? `:${tag}` : `@${digest}`}`;
}

function valuesOf({ name, info }: FoundContainer): ContainerValues {
  const values = Object.keys(info.values)
    .sort()
    .map((key) => ({
      name: key,
      value: info.values[key] ?? '',
      source: Object.hasOwn(info.valueSources ?? {}, key) ? info.valueSources?.[key] : undefined,
    }));
  return { name, values };
}
