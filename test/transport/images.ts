/** What the tests of the local transports share: two small images, and the reading of everything a source gives. */
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { expect } from 'vitest';
import { isAtomicError, type ErrorCode } from '../../src/errors.ts';
import type { Digest } from '../../src/image/digest.ts';
import { parseManifest } from '../../src/image/manifest.ts';
import type { ImageDestination, ImageSource } from '../../src/transport/transport.ts';
import { buildImage, sha256, type BuiltImage } from '../fixtures/image-builder.ts';

export function smallImage(text = 'hello\n', format: 'oci' | 'v2s2' = 'oci'): BuiltImage {
  return buildImage({
    format,
    layers: [
      {
        entries: [
          { path: 'etc', type: 'dir' },
          { path: 'etc/motd', content: text },
        ],
      },
      { entries: [{ path: 'bin/sh', mode: 0o755, content: `#!${text}` }], compression: 'none' },
    ],
    config: { Cmd: ['/bin/sh'], Labels: { name: 'small' } },
  });
}

/** What Docker's engine can take without any conversion: of schema 2, with plain layers. */
export function plainImage(...texts: readonly string[]): BuiltImage {
  return buildImage({
    format: 'v2s2',
    layers: texts.map((text) => ({ entries: [{ path: `${text}.txt`, content: text }], compression: 'none' })),
    config: { Cmd: ['/bin/sh'], Labels: { texts: texts.join(' ') } },
  });
}

/** The digests of the manifest and of each blob it points at, hashed from what the source gives. */
export async function readImage(
  source: ImageSource,
  manifestDigest?: Digest,
): Promise<{ manifest: Digest; blobs: Digest[] }> {
  const raw = await source.getManifest(manifestDigest);
  const manifest = parseManifest(raw, source.name);
  if (manifest.kind === 'index') throw new Error(`${source.name} is an index`);
  const blobs: Digest[] = [];
  for (const descriptor of [manifest.config, ...manifest.layers]) {
    const bytes = await buffer(await source.getBlob(descriptor));
    expect(bytes.length).toBe(descriptor.size);
    const digest = sha256(bytes);
    expect(digest).toBe(descriptor.digest);
    blobs.push(digest);
  }
  return { manifest: sha256(raw.bytes), blobs };
}

/** What `readImage` gives for a built image. */
export function digestsOf(image: BuiltImage): { manifest: Digest; blobs: Digest[] } {
  const layers = image.layers.map(({ descriptor }) => descriptor.digest);
  return { manifest: image.digest, blobs: [image.configDigest, ...layers] };
}

/** Expects an error of ours with that code, and gives its message. */
export async function messageOfFailure(promise: Promise<unknown>, code: ErrorCode): Promise<string> {
  const error: unknown = await promise.then(
    (value) => ({ unexpected: value }),
    (error: unknown) => error,
  );
  if (!isAtomicError(error)) throw new Error('expected an AtomicError', { cause: error });
  expect(error.code).toBe(code);
  return error.message;
}

/** Stores an image as a copy does: blobs that are not there, then the manifest. */
export async function storeImage(
  destination: ImageDestination,
  image: BuiltImage,
  role: 'reference' | 'entry',
): Promise<void> {
  const manifest = parseManifest({ bytes: image.manifest, mediaType: '' }, 'the built image');
  if (manifest.kind === 'index') throw new Error('a built image is no index');
  for (const descriptor of [...manifest.layers, manifest.config]) {
    const bytes = image.blobs.get(descriptor.digest) ?? Buffer.alloc(0);
    if (!(await destination.hasBlob(descriptor)))
      await destination.putBlob(descriptor, Readable.from([bytes]));
  }
  await destination.putManifest({ bytes: image.manifest, mediaType: image.mediaType }, image.digest, role);
}
