/** Which version of themselves images say they are. */
import { hexOf } from '../image/digest.ts';
import { versionOf } from '../image/labels.ts';
import type { App } from './context.ts';
import { readLabels } from './image-info.ts';
import { displayName } from './stage-deployment.ts';
import { notStored } from './stored-image.ts';
import { findInspected, type InspectedKind } from './inspected.ts';

export interface ImageVersion {
  /** As it was asked for, or the image's own name. */
  readonly name: string;
  /** `VERSION-RELEASE` of its labels; may be empty. */
  readonly version: string;
  /** Hex of the digest. */
  readonly id: string;
}

/** @throws AtomicError `image-not-found`, `container-not-found` */
export async function readImageVersion(app: App, text: string, kind: InspectedKind): Promise<ImageVersion> {
  const { image, container } = await findInspected(app, text, kind);
  if (image === undefined) throw notStored(text);
  const version = versionOf((await readLabels(app, image)) ?? {});
  // The beginning of an id is no name.
  const isName = container === undefined && !hexOf(image.digest).startsWith(text);
  return { name: isName ? text : displayName(image), version, id: hexOf(image.digest) };
}

/** Those of all images, by name; one that cannot be read is told of and left out. */
export async function listImageVersions(app: App): Promise<ImageVersion[]> {
  const images = await app.store.list((error) => app.report({ event: 'warning', text: error.message }));
  const versions: ImageVersion[] = [];
  for (const image of images) {
    const version = versionOf((await readLabels(app, image)) ?? {});
    versions.push({ name: displayName(image), version, id: hexOf(image.digest) });
  }
  return versions.sort((a, b) => (a.name < b.name ? -1 : 1));
}
