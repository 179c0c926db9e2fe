/**
 * One image on its way into a `docker save` archive: HEX.json is the config, HEX.tar each plain layer. Docker since 1.10,
 * podman and skopeo find them through manifest.json; the folders for each layer that older ones look for are not written.
 * @see moby image/spec/v1.2.md, "Combined Image JSON + Filesystem Changeset Format"
 */
import { AtomicError } from '../../errors.ts';
import { parseImageConfig } from '../../image/config.ts';
import type { Descriptor } from '../../image/descriptor.ts';
import { hexOf, type Digest } from '../../image/digest.ts';
import { parseManifest, type ImageManifest } from '../../image/manifest.ts';
import { DOCKER_MANIFEST, isLayerMediaType } from '../../image/media-type.ts';
import { parseRegistryImage } from '../../image/reference.ts';
import { readAll } from '../../stream/read-all.ts';
import { digestOf } from '../../stream/verify.ts';
import type { TarWriter } from '../archive/tar-writer.ts';
import type { DestinationTraits, ImageDestination } from '../transport.ts';
import type { ArchivedImage } from './archive-manifest.ts';

/** What Docker's engine can load. */
export const DOCKER_TRAITS: DestinationTraits = {
  manifestTypes: [DOCKER_MANIFEST],
  layers: 'plain',
  foreignLayers: false,
  signatures: false,
  parallel: false,
};

export interface ImageWriter extends Pick<ImageDestination, 'putBlob' | 'putManifest'> {
  /** Names of the members so far. */
  readonly members: ReadonlySet<string>;
  has(descriptor: Descriptor): boolean;
  /** The image that was put. @throws AtomicError `config-invalid` when its layers are not those of its config */
  image(): WrittenImage;
}

export interface WrittenImage {
  /** What Docker calls the image's id. */
  readonly id: Digest;
  readonly diffIds: readonly Digest[];
  readonly layers: readonly Descriptor[];
  /** For manifest.json. */
  readonly listed: ArchivedImage;
}

/** @param names of the new image, as `completeTag` gives them */
export function createImageWriter(
  what: string,
  names: readonly string[],
  add: TarWriter['add'],
): ImageWriter {
  const sizes = new Map<Digest, number>();
  const members = new Set<string>();
  const configs = new Map<Digest, Buffer>();
  let manifest: ImageManifest | undefined;
  const has = ({ digest, size }: Descriptor): boolean => sizes.get(digest) === size;
  return {
    members,
    has,
    async putBlob(descriptor, bytes, diffId) {
      const { digest, size, mediaType } = descriptor;
      if (has(descriptor)) return void bytes.destroy();
      const isLayer = diffId !== undefined || isLayerMediaType(mediaType);
      const member = isLayer ? layerMember(digest) : configMember(digest);
      if (isLayer) await add(member, size, bytes);
      else {
        const config = await readAll(bytes, 'config-size', `the config of ${what}`);
        await add(member, config.length, config);
        configs.set(digest, config);
      }
      sizes.set(digest, size);
      members.add(member);
    },
    async putManifest(raw, digest, role) {
      const parsed = parseManifest(raw, `the manifest ${digest}`);
      if (parsed.kind === 'index' || role === 'entry') {
        throw new AtomicError('unsupported', `${what} can hold single images, and no index of several`, {
          hint: 'Copy one platform, or copy to an oci-archive:.',
        });
      }
      manifest = parsed;
    },
    image() {
      const config = manifest === undefined ? undefined : configs.get(manifest.config.digest);
      if (manifest === undefined || config === undefined) {
        throw new AtomicError('internal', `${what} was given no manifest or no config`);
      }
      const { layers } = manifest;
      const { diffIds } = parseImageConfig(config, `the config of ${what}`);
      requireLayers(layers, diffIds, what);
      const listed = {
        config: configMember(manifest.config.digest),
        repoTags: names,
        layers: layers.map(({ digest }) => layerMember(digest)),
      };
      return { id: digestOf(config), diffIds, layers, listed };
    },
  };
}

/** Docker refuses a layer that is not the one the config names, once it has unpacked all before it. */
function requireLayers(layers: readonly Descriptor[], diffIds: readonly Digest[], what: string): void {
  const same = layers.length === diffIds.length && layers.every(({ digest }, i) => digest === diffIds[i]);
  if (same) return;
  throw new AtomicError('config-invalid', `The config of ${what} does not name the layers of its manifest`);
}

export function layerMember(digest: Digest): string {
  return `${hexOf(digest)}.tar`;
}

export function configMember(digest: Digest): string {
  return `${hexOf(digest)}.json`;
}

/** manifest.json, as `docker save` writes it: an image without a name has null for its RepoTags. */
export function formatArchiveManifest(images: readonly ArchivedImage[]): Buffer {
  const list = images.map(({ config, repoTags, layers }) => ({
    Config: config,
    RepoTags: repoTags.length === 0 ? null : repoTags,
    Layers: layers,
  }));
  return Buffer.from(JSON.stringify(list));
}

/**
 * A name for an image in Docker, with the tag it gets when none is written.
 * @throws AtomicError `reference-invalid` for what is no name, and for one with a digest: Docker computes its own
 */
export function completeTag(name: string): string {
  const { tag, digest } = parseRegistryImage(name);
  if (digest !== undefined) {
    throw new AtomicError('reference-invalid', `An image cannot be stored as "${name}", by a digest`, {
      hint: 'Write NAME:TAG.',
    });
  }
  return name.endsWith(`:${tag}`) ? name : `${name}:${tag}`;
}
