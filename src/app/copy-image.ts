import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { copyImage, type CopyOptions, type CopyOutcome, type ZstdPrograms } from '../copy/copy.ts';
import { readDocument } from '../copy/read-document.ts';
import { withManifest } from '../copy/top-manifest.ts';
import { AtomicError, fileProblemOf } from '../errors.ts';
import type { Digest } from '../image/digest.ts';
import { formatReference, type ImageReference } from '../image/reference.ts';
import type { Platform } from '../image/platform.ts';
import { tempFolderOf } from '../transport/temp-folder.ts';
import type { ImageSource } from '../transport/transport.ts';
import type { TransferApp } from './context.ts';
import { openImageDestination, openImageSource } from './open-image.ts';
import { wantedPlatform, type RegistryAccess } from './pull-image.ts';
import { readDestination, readPlace } from './read-place.ts';
import { requireFolderRoom } from './require-room.ts';

export interface CopyRequest extends Pick<CopyOptions, 'which' | 'wishes' | 'removeSignatures'> {
  readonly source: string;
  readonly destination: string;
  readonly from: RegistryAccess;
  readonly to: RegistryAccess;
  /** Instead of this host's own, as far as it is given. */
  readonly platform?: Partial<Platform>;
  /** A file that gets the digest of what stands at the destination. */
  readonly digestFile?: string;
  /** More names for the image in an archive or engine of Docker. */
  readonly additionalTags?: readonly string[];
}

/**
 * Copies an image between two transports; neither the store nor the host is touched, and root is not needed.
 * @throws AtomicError `usage` for one and the same place; of the transports and the engine
 */
export async function copyBetween(app: TransferApp, request: CopyRequest): Promise<CopyOutcome> {
  const [from, to] = [readPlace(request.source), readDestination(request.destination)];
  refuseSamePlace(from, to, request);
  const opened = await openImageSource(app, from, request.from);
  try {
    const expected = from.transport === 'docker' ? from.image.digest : undefined;
    const source = await readFirst(opened.source, expected);
    const destination = await openImageDestination(app, to, request.to, {
      from,
      additionalTags: request.additionalTags ?? [],
    });
    try {
      const { folder } = destination;
      const outcome = await copyImage(source, destination, {
        ...request,
        platform: wantedPlatform(app, request.platform ?? {}),
        expected,
        zstd: zstdPrograms(app),
        tempFolder: tempFolderOf(app),
        tries: request.to.tries,
        report: app.report,
        signal: app.signal,
        requireRoom: async (missing) => {
          if (folder !== undefined) await requireFolderRoom(app, folder, source.name, missing);
        },
      });
      if (request.digestFile !== undefined) await writeDigest(request.digestFile, outcome.digest);
      return outcome;
    } finally {
      await destination.close();
    }
  } finally {
    await opened.source.close();
  }
}

/** A source whose manifest has been read: a destination is not touched for an image that is not there. */
async function readFirst(source: ImageSource, expected: Digest | undefined): Promise<ImageSource> {
  const { raw } = await readDocument(source, expected);
  return withManifest(source, async (wanted) => (wanted === expected ? raw : source.getManifest(wanted)));
}

/** An image that would be read while it is written. */
function refuseSamePlace(from: ImageReference, to: ImageReference, request: CopyRequest): void {
  if (placeOf(from) !== placeOf(to)) return;
  throw new AtomicError('usage', `${request.source} and ${request.destination} are the same image`, {
    hint: 'Name another place, or another tag, as the destination.',
  });
}

function placeOf(reference: ImageReference): string {
  if (reference.transport !== 'docker') return formatReference(reference);
  const { domain, repository, tag, digest } = reference.image;
  return `docker://${domain}/${repository}:${tag ?? ''}@${digest ?? ''}`;
}

export function zstdPrograms({ exec }: TransferApp): ZstdPrograms {
  return {
    decompress: () => exec.filter('zstd', ['-dcq']),
    compress: (level) => exec.filter('zstd', ['-cq', ...(level === undefined ? [] : [`-${level}`])]),
  };
}

/** As skopeo writes it: nothing behind the digest. */
async function writeDigest(path: string, digest: string): Promise<void> {
  await writeFile(resolve(path), digest).catch((error: unknown) => {
    throw new AtomicError(
      'host-file',
      `The image is copied, but ${path} cannot be written: ${fileProblemOf(error)}`,
      {
        cause: error,
        hint: `Its digest is ${digest}.`,
      },
    );
  });
}
