import { readdir, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AtomicError, describeDiskFull } from '../../errors.ts';
import type { Locks } from '../../host/ports.ts';
import { isDigest, type Digest } from '../../image/digest.ts';
import { formatReference } from '../../image/reference.ts';
import { limitOf } from '../../limits.ts';
import { makeFolder } from '../../make-folder.ts';
import { createArchiveOutput, isThere, resolveTarget } from '../archive/archive-output.ts';
import { copyMember } from '../archive/copy-member.ts';
import { openArchive, type Archive } from '../archive/open-archive.ts';
import type { TarWriter } from '../archive/tar-writer.ts';
import { readSmallFile, streamFile } from '../local-file.ts';
import { openOciLayoutDestination } from '../oci-layout/destination.ts';
import { parseLayoutIndex, tagOf } from '../oci-layout/layout-index.ts';
import { blobName, readLayoutFile, readLayoutIndex } from '../oci-layout/layout-source.ts';
import { findReachable } from '../oci-layout/reachable.ts';
import type { TempSpace } from '../temp-folder.ts';
import type { ImageDestination } from '../transport.ts';
import { makeWorkFolder, type WorkFolder } from '../work-folder.ts';
import { filesOf } from './source.ts';

/**
 * Opens `oci-archive:FILE[:TAG]` for writing: a layout is made in a private folder beside FILE, and in `commit` becomes a
 * tar that takes FILE's place. The same image gives the same bytes. An archive that is there keeps the images with other
 * tags (skopeo replaces it as a whole) and comes out uncompressed; two copies into one at the same time are not kept apart.
 * @throws AtomicError `archive-invalid` when FILE is no such archive, `disk-full`
 * @see image-spec image-layout.md; containers-transports(5)
 */
export async function openOciArchiveDestination(
  path: string,
  tag?: string,
  space: TempSpace & { readonly locks?: Locks } = {},
): Promise<ImageDestination> {
  const { target, removeIfEmpty } = await resolveTarget(path);
  const kept = (await isThere(target)) ? await openArchive(target, space) : undefined;
  let work: WorkFolder | undefined;
  const cleanUp = async (): Promise<void> => {
    await kept?.close();
    await work?.remove();
    await removeIfEmpty();
  };
  try {
    work = await makeWorkFolder(dirname(target), space.locks);
    const folder = join(work.path, 'layout');
    if (kept !== undefined) await startFrom(kept, folder, tag);
    const layout = await openOciLayoutDestination(folder, tag);
    return {
      name: formatReference({ transport: 'oci-archive', path, tag }),
      traits: layout.traits,
      folder: dirname(target),
      hasBlob: async (descriptor) =>
        kept?.find(blobName(descriptor.digest))?.size === descriptor.size || layout.hasBlob(descriptor),
      putBlob: (descriptor, bytes) => layout.putBlob(descriptor, bytes),
      putManifest: (manifest, digest, role) => layout.putManifest(manifest, digest, role),
      async commit() {
        await layout.commit();
        await pack(folder, kept, target, space.locks);
      },
      async close() {
        await layout.close();
        await cleanUp();
      },
    };
  } catch (error) {
    await cleanUp();
    throw describeDiskFull(error, target);
  }
}

/**
 * The index of the archive that is there becomes that of the layout, which adds an entry to it. Without a tag the archive
 * stands for its only image, and a second one without a tag takes its place: nobody could ask for either of two.
 */
async function startFrom(kept: Archive, folder: string, tag: string | undefined): Promise<void> {
  const files = filesOf(kept);
  const { entries } = await readLayoutIndex(files);
  if (tag === undefined && entries.length === 1 && entries.every((entry) => tagOf(entry) === undefined))
    return;
  await makeFolder(folder);
  for (const name of ['oci-layout', 'index.json'] as const) {
    await writeFile(join(folder, name), await readLayoutFile(files, name));
  }
}

async function pack(
  folder: string,
  kept: Archive | undefined,
  target: string,
  locks: Locks | undefined,
): Promise<void> {
  const output = await createArchiveOutput(target, locks);
  try {
    const members = new Map<string, () => Promise<void>>();
    for (const name of ['oci-layout', 'index.json', ...(await listBlobs(folder))]) {
      members.set(name, () => addFile(join(folder, name), name, output.add));
    }
    if (kept !== undefined) {
      for (const digest of await findNeeded(folder, kept)) {
        const name = blobName(digest);
        const file = members.has(name) ? undefined : kept.find(name);
        if (file !== undefined) members.set(name, () => copyMember(kept, file, digest, name, output.add));
      }
    }
    // Small files first, as readers ask for them first; blobs by name, whatever the order they came in.
    for (const name of [...members.keys()].sort(byPlace)) await members.get(name)?.();
    await output.finish();
  } finally {
    await output.close();
  }
}

const FIRST: readonly string[] = ['index.json', 'oci-layout'];

function byPlace(a: string, b: string): number {
  return FIRST.indexOf(b) - FIRST.indexOf(a) || (a < b ? -1 : 1);
}

async function listBlobs(folder: string): Promise<string[]> {
  const names = await readdir(join(folder, 'blobs'), { recursive: true });
  return names.filter((name) => isDigest(name.replace('/', ':'))).map((name) => `blobs/${name}`);
}

/** What the images of the finished index need. */
async function findNeeded(folder: string, kept: Archive): Promise<Set<Digest>> {
  const index = await readSmallFile(join(folder, 'index.json'), 'manifest-size');
  if (index === undefined) throw new AtomicError('internal', `${folder} has no index.json`);
  const { entries } = parseLayoutIndex(index, `${kept.path}, index.json`);
  return findReachable(entries, async (digest) => {
    const name = blobName(digest);
    const own = await readSmallFile(join(folder, name), 'manifest-size');
    const file = kept.find(name);
    if (own !== undefined || file === undefined || file.size > limitOf('manifest-size')) return own;
    return kept.read(file, 'manifest-size');
  });
}

async function addFile(path: string, name: string, add: TarWriter['add']): Promise<void> {
  const bytes = await streamFile(path);
  if (bytes === undefined) throw new AtomicError('internal', `${path} vanished`);
  try {
    await add(name, (await stat(path)).size, bytes);
  } finally {
    bytes.destroy();
  }
}
