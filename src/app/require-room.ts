/** Whether what is about to be fetched will fit, asked before its first byte: three system calls, no process. */
import { AtomicError } from '../errors.ts';
import type { Descriptor } from '../image/descriptor.ts';
import { limitOf } from '../limits.ts';
import { estimateNeed, readRoom, type LayersNeed, type Room } from '../store/free-space.ts';
import type { App, TransferApp } from './context.ts';
import { formatSize } from './format-size.ts';

const GO_ON = 'or go on all the same with --limit free-space=ignore';

/**
 * Layers for the repo, unpacked, beside what ostree keeps free.
 * @throws AtomicError `disk-full` unless the limit `free-space` is `ignore`
 */
export async function requireStoreRoom(
  { store }: Pick<App, 'store'>,
  image: string,
  missing: readonly Descriptor[],
): Promise<void> {
  if (limitOf('free-space') === 0) return;
  const need = estimateNeed(missing);
  const { path } = store.repository;
  const problem = findShortage(need, await readRoom(path), `The image ${image}`, path);
  if (problem !== undefined) throw problem;
}

/** The same for blobs that are kept as they come. */
export async function requireFolderRoom(
  { files }: Pick<TransferApp, 'files'>,
  folder: string,
  image: string,
  missing: readonly Descriptor[],
): Promise<void> {
  if (limitOf('free-space') === 0) return;
  const needed = missing.reduce((sum, { size }) => sum + size, 0);
  const free = await files.freeBytes(folder);
  if (needed <= free) return;
  throw new AtomicError(
    'disk-full',
    `${image} needs ${formatSize(needed)} in ${folder}, and ${formatSize(free)} is free there`,
    { hint: `Free some space, ${GO_ON}.` },
  );
}

/** The error of layers that do not fit; undefined when they do. */
export function findShortage(
  need: LayersNeed,
  room: Room,
  what: string,
  path: string,
): AtomicError | undefined {
  const { freeBytes, reservedBytes, freeInodes } = room;
  if (need.diskBytes + reservedBytes > freeBytes) {
    const { compressedBytes, unpackedBytes, isEstimate } = need;
    const layers = isEstimate
      ? `its missing layers unpacked, estimated from ${formatSize(compressedBytes)} compressed`
      : `its missing layers, ${formatSize(unpackedBytes)} unpacked`;
    const kept =
      reservedBytes === 0 ? '' : `, of which the repo's config keeps ${formatSize(reservedBytes)} free`;
    return new AtomicError(
      'disk-full',
      `${what} needs about ${formatSize(need.diskBytes)} in ${path} (${layers}), where ${formatSize(freeBytes)} is free${kept}`,
      {
        hint: `Remove what is not used (atomic-ts images prune), lower min-free-space-size in ${path}/config, ${GO_ON}.`,
      },
    );
  }
  if (freeInodes === undefined || need.inodes <= freeInodes) return undefined;
  return new AtomicError(
    'disk-full',
    `${what} needs about ${need.inodes} inodes in ${path}, and ${freeInodes} are free there`,
    { hint: `Remove files there, ${GO_ON}.` },
  );
}
