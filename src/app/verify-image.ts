/** An image of the store, or a container's, against where it comes from; and every object of it against its name. */
import type { ContainerName } from '../container/name.ts';
import { versionOf } from '../image/labels.ts';
import type { StoredImage } from '../store/image-store.ts';
import { verifyImage, type VerifiedPart } from '../store/verify-image.ts';
import type { App } from './context.ts';
import { judgeRootfs } from './drift/judge-rootfs.ts';
import type { Part } from './drift/parts.ts';
import { readLabels } from './image-info.ts';
import { askSource, type SourceAnswer } from './newer-image.ts';
import { imageNotInStore, type RegistryAccess } from './pull-image.ts';
import { shareStore } from './store-lock.ts';
import { findInspected, type InspectedKind } from './inspected.ts';

export interface VerifyRequest {
  readonly text: string;
  readonly kind: InspectedKind;
  /** Ask where the image comes from whether it has a newer one. */
  readonly registry: boolean;
  /** Read its content. */
  readonly content: boolean;
  readonly access: RegistryAccess;
}

export interface VerifiedImage {
  readonly image: StoredImage;
  /** Of its labels; empty where they say nothing. */
  readonly version: string;
  /** Undefined when it was not asked. */
  readonly answer: SourceAnswer | undefined;
  /** Undefined when its content was not read. */
  readonly parts: readonly VerifiedPart[] | undefined;
  readonly container: VerifiedContainer | undefined;
  /** Whether anything of its content is not what it was. */
  readonly damaged: boolean;
}

export interface VerifiedContainer {
  readonly name: ContainerName;
  /** Its tree against its image; undefined when it was not read. */
  readonly tree: Part | undefined;
}

/**
 * Verifies; changes nothing, and takes no lock of a container. Whether a source could be asked is a part of the answer.
 * @throws AtomicError `image-not-found`, `container-not-found`, `unsupported` for a repo in another mode than `bare`
 */
export async function verifyStored(app: App, request: VerifyRequest): Promise<VerifiedImage> {
  const { image, container } = await findInspected(app, request.text, request.kind);
  if (image === undefined) throw imageNotInStore(container?.info.image ?? request.text);
  const answer = request.registry ? await askSource(app, image, request.access) : undefined;
  const version = versionOf((await readLabels(app, image)) ?? {});
  const parts = request.content ? await verifyParts(app, image) : undefined;
  const tree =
    request.content && container?.current !== undefined
      ? (await judgeRootfs(app, container.current)).part
      : undefined;
  const damaged = parts?.some(({ state }) => state !== 'intact') === true || tree?.status === 'drift';
  return {
    image,
    version,
    answer,
    parts,
    container: container === undefined ? undefined : { name: container.name, tree },
    damaged,
  };
}

async function verifyParts(app: App, image: StoredImage): Promise<VerifiedPart[]> {
  const lock = await shareStore(app, 'verify an image');
  try {
    return await verifyImage(app.exec, app.store.repository, image, app.signal);
  } finally {
    await lock.release();
  }
}
