/** One door to all transports; each is loaded only when it is asked for. */
import { basename } from 'node:path';
import { AtomicError } from '../errors.ts';
import type { Locks } from '../host/ports.ts';
import type { ImageReference, RegistryImage } from '../image/reference.ts';
import type { RegistryOptions } from './registry/index.ts';
import type { Claiming } from './blob-claims.ts';
import type { ImageDestination, ImageSource } from './transport.ts';

/** What a registry or a Docker engine needs besides its reference; of the others, folders that are written take locks. */
export interface OpenOptions extends Omit<RegistryOptions, 'plainHttp'> {
  /** Where the Docker engine listens; before DOCKER_HOST. */
  readonly daemonHost?: string;
  /** More names for an image in an archive or engine of Docker: `NAME[:TAG]`. */
  readonly additionalTags?: readonly string[];
  readonly locks?: Locks;
  /** Where a copy comes from, when that is a registry: blobs in the one it goes to need not travel. */
  readonly mountFrom?: RegistryImage;
}

export interface OpenedSource {
  readonly source: ImageSource;
  /** What the image is called in the store: as it was given, without a transport. */
  readonly imageName: string;
}

/** @throws AtomicError of the transport; `unsupported` for one that has no source yet */
export async function openSource(reference: ImageReference, options: OpenOptions): Promise<OpenedSource> {
  switch (reference.transport) {
    case 'docker': {
      const { openRegistrySource } = await import('./registry/index.ts');
      const { image, plainHttp } = reference;
      return { source: openRegistrySource(image, { ...options, plainHttp }), imageName: image.given };
    }
    case 'oci': {
      const { openOciLayoutSource } = await import('./oci-layout/source.ts');
      const source = await openOciLayoutSource(reference.path, reference.tag);
      return { source, imageName: nameByPath(reference.path, reference.tag) };
    }
    case 'oci-archive': {
      const { openOciArchiveSource } = await import('./oci-archive/source.ts');
      const source = await openOciArchiveSource(reference.path, reference.tag, options);
      return { source, imageName: nameByPath(reference.path, reference.tag) };
    }
    case 'dir': {
      const { openDirSource } = await import('./dir.ts');
      return {
        source: await openDirSource(reference.path),
        imageName: nameByPath(reference.path, undefined),
      };
    }
    case 'docker-archive': {
      const { openDockerArchiveSource } = await import('./docker-archive/source.ts');
      const source = await openDockerArchiveSource(reference.path, reference.image, options);
      return { source, imageName: source.imageName ?? nameByPath(reference.path, undefined) };
    }
    case 'docker-daemon': {
      const { openDockerDaemonSource } = await import('./docker-daemon/source.ts');
      return openDockerDaemonSource(reference.image, options);
    }
    case 'ostree':
      throw new AtomicError(
        'unsupported',
        `The image ${reference.image} of an ostree repo cannot be read here`,
      );
  }
}

/** @throws AtomicError of the transport; `unsupported` for one that cannot be written; `usage` */
export async function openDestination(
  reference: ImageReference,
  options: OpenOptions,
): Promise<ImageDestination> {
  requireRoomForTags(reference, options);
  switch (reference.transport) {
    case 'docker': {
      const { openRegistryDestination } = await import('./registry/index.ts');
      return openRegistryDestination(reference.image, { ...options, plainHttp: reference.plainHttp });
    }
    case 'oci': {
      const { openOciLayoutDestination } = await import('./oci-layout/destination.ts');
      return openOciLayoutDestination(reference.path, reference.tag, claimingOf(options));
    }
    case 'dir': {
      const { openDirDestination } = await import('./dir.ts');
      return openDirDestination(reference.path, claimingOf(options));
    }
    case 'oci-archive': {
      const { openOciArchiveDestination } = await import('./oci-archive/destination.ts');
      return openOciArchiveDestination(reference.path, reference.tag, options);
    }
    case 'docker-archive': {
      const { openDockerArchiveDestination } = await import('./docker-archive/destination.ts');
      const { path, image } = reference;
      return openDockerArchiveDestination(path, image, options.additionalTags, options);
    }
    case 'docker-daemon': {
      const { openDockerDaemonDestination } = await import('./docker-daemon/destination.ts');
      return openDockerDaemonDestination(reference.image, options);
    }
    case 'ostree':
      throw new AtomicError('unsupported', `Writing ${reference.image} to ostree: is not supported yet`);
  }
}

/** Elsewhere an image has one name, and more of them would be lost without a word. */
export function requireRoomForTags(
  { transport }: ImageReference,
  { additionalTags = [] }: OpenOptions,
): void {
  if (additionalTags.length === 0 || transport === 'docker-archive' || transport === 'docker-daemon') return;
  throw new AtomicError('usage', `An image in ${transport}: cannot have additional tags`, {
    hint: 'docker-archive: and docker-daemon: can hold an image under several names.',
  });
}

function claimingOf({ locks, report }: OpenOptions): Claiming | undefined {
  return locks && { locks, report };
}

/** An image in a file or folder has no name but its tag, which may be a whole name (as skopeo and podman write it). */
function nameByPath(path: string, tag: string | undefined): string {
  if (tag !== undefined && /[/:]/.test(tag)) return tag;
  const base = basename(path).replace(/\.(?:tar|tgz|tar\.gz)$/, '');
  return tag === undefined ? base : `${base}:${tag}`;
}
