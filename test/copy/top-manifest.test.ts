import { describe, expect, it } from 'vitest';
import { readTopManifest } from '../../src/copy/top-manifest.ts';
import { resolveManifest } from '../../src/copy/resolve.ts';
import type { RawManifest } from '../../src/image/manifest.ts';
import { moveLimits } from '../../src/limits.ts';
import type { ImageSource } from '../../src/transport/transport.ts';
import { buildImage, buildIndex } from '../fixtures/image-builder.ts';
import { failureOf } from '../stream/collect.ts';
import { sourceOf } from './fakes.ts';

const image = buildImage({ layers: [{ entries: [{ path: 'a' }] }] });
const PLATFORM = { os: 'linux', architecture: 'amd64' };

/** A tag that is moved right after it was asked for; with state of its own, as an instance of a class. */
class MovingSource implements ImageSource {
  readonly name = 'moving';
  #asked = 0;

  getManifest(): Promise<RawManifest> {
    const bytes = this.#asked++ === 0 ? image.manifest : Buffer.from('{}');
    return Promise.resolve({ bytes, mediaType: image.mediaType });
  }

  getBlob(): Promise<never> {
    return Promise.reject(new Error(`asked ${this.#asked} times`));
  }

  async close(): Promise<void> {}
}

describe('the manifest that a reference stands for', () => {
  it('stays what it is when the tag is moved', async () => {
    const top = await readTopManifest(new MovingSource(), undefined);
    expect(top.digest).toBe(image.digest);
    expect((await resolveManifest(top.source, PLATFORM, top.digest)).digest).toBe(image.digest);
    await expect(top.source.getBlob(image.descriptor)).rejects.toThrow('asked 1 times');
  });

  it('may be an index, whose images are read of it', async () => {
    const index = buildIndex([image]);
    const top = await readTopManifest(sourceOf(index), index.digest);
    expect(top.raw.bytes).toEqual(index.manifest);
    expect((await resolveManifest(top.source, PLATFORM, top.digest)).digest).toBe(image.digest);
  });

  it('has the digest that was asked for', async () => {
    const other = buildImage({ layers: [] });
    const error = await failureOf(readTopManifest(new MovingSource(), other.digest));
    expect(error.code).toBe('digest-mismatch');
  });

  it('is no larger than the limit', async () => {
    const restore = moveLimits({ 'manifest-size': 10 });
    const error = await failureOf(readTopManifest(new MovingSource(), undefined)).finally(restore);
    expect(error.code).toBe('limit-exceeded');
  });
});
