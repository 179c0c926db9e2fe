import { dirname } from 'node:path';
import type { Locks } from '../../host/ports.ts';
import { formatReference } from '../../image/reference.ts';
import { createArchiveOutput, isThere, resolveTarget } from '../archive/archive-output.ts';
import type { TempSpace } from '../temp-folder.ts';
import type { ImageDestination } from '../transport.ts';
import { completeTag, createImageWriter, DOCKER_TRAITS, formatArchiveManifest } from './image-writer.ts';
import { openKeptImages } from './kept-images.ts';

/**
 * Opens `docker-archive:FILE[:NAME[:TAG]]` for writing: what `docker load`, podman and skopeo read. The archive is written
 * beside FILE and takes its place in `commit`. One that is there keeps its other images (skopeo refuses it then), comes
 * out uncompressed, and its layers are not written twice; two copies into one file at the same time are not kept apart.
 * @param additionalTags more names for the image: `NAME[:TAG]`
 * @throws AtomicError `reference-invalid` for a name with a digest, `archive-invalid` when FILE is no such archive,
 *   `disk-full`
 * @see moby image/spec/v1.2.md; containers-transports(5)
 */
export async function openDockerArchiveDestination(
  path: string,
  image?: string,
  additionalTags: readonly string[] = [],
  space: TempSpace & { readonly locks?: Locks } = {},
): Promise<ImageDestination> {
  const name = formatReference({ transport: 'docker-archive', path, image });
  const given = image === undefined ? additionalTags : [image, ...additionalTags];
  const names = [...new Set(given.map(completeTag))];
  const { target, removeIfEmpty } = await resolveTarget(path);
  const kept = (await isThere(target)) ? await openKeptImages(target, names, space) : undefined;
  const output = await createArchiveOutput(target, space.locks).catch(async (error: unknown) => {
    await kept?.close();
    await removeIfEmpty();
    throw error;
  });
  const writer = createImageWriter(name, names, output.add);
  return {
    name,
    traits: DOCKER_TRAITS,
    folder: dirname(target),
    hasBlob: async (descriptor) => writer.has(descriptor) || kept?.hasLayer(descriptor) === true,
    putBlob: writer.putBlob,
    putManifest: writer.putManifest,
    async commit() {
      const listed = kept === undefined ? [writer.image().listed] : await kept.copyTo(output.add, writer);
      const manifest = formatArchiveManifest(listed);
      await output.add('manifest.json', manifest.length, manifest);
      await output.finish();
    },
    async close() {
      await output.close();
      await kept?.close();
      await removeIfEmpty();
    },
  };
}
