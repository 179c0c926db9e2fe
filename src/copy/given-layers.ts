import { editManifest } from '../image/edit-manifest.ts';
import { parseManifest, type RawManifest } from '../image/manifest.ts';
import { digestOf } from '../stream/verify.ts';
import type { ImageSource } from '../transport/transport.ts';

/**
 * A source whose manifests name the layers as it can give them (ImageSource.layersForCopy), for those who take an image
 * as its manifest says: a pull. The same manifest each time, and the one that a copy makes of it.
 */
export function nameGivenLayers(source: ImageSource): ImageSource {
  if (source.layersForCopy === undefined) return source;
  const { name, seekable = false } = source;
  return {
    name,
    seekable,
    async getManifest(digest): Promise<RawManifest> {
      const what = `the manifest of ${name}`;
      const raw = await source.getManifest(digest);
      const manifest = parseManifest(raw, what);
      if (manifest.kind === 'index') return raw;
      const layers = (await source.layersForCopy?.(manifest)) ?? manifest.layers;
      const edited = editManifest(raw, { layers }, what);
      return edited.bytes === raw.bytes
        ? raw
        : { ...edited, madeFrom: raw.madeFrom ?? digestOf(raw.bytes, digest) };
    },
    getBlob: (descriptor, from) => source.getBlob(descriptor, from),
    close: () => source.close(),
  };
}
