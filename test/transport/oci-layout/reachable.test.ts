import { expect, test } from 'vitest';
import type { Digest } from '../../../src/image/digest.ts';
import { findReachable } from '../../../src/transport/oci-layout/reachable.ts';
import { sha256 } from '../../fixtures/image-builder.ts';

const digest = (text: string): Digest => sha256(Buffer.from(text));
const point = (...names: string[]): object[] => names.map((name) => ({ digest: digest(name), size: 1 }));

function reach(documents: Readonly<Record<string, unknown>>, ...entries: string[]): Promise<Set<Digest>> {
  const bytes = new Map(
    Object.entries(documents).map(([name, value]) => [
      digest(name),
      Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)),
    ]),
  );
  return findReachable(point(...entries), async (wanted) => bytes.get(wanted));
}

test('an image leads to its config and layers, an index to its images, an artifact to its subject', async () => {
  const documents = {
    index: { manifests: point('image', 'gone') },
    image: { config: point('config')[0], layers: point('layer') },
    artifact: { subject: point('image')[0], blobs: point('blob') },
  };
  expect(await reach(documents, 'index')).toEqual(
    new Set(['index', 'image', 'gone', 'config', 'layer'].map(digest)),
  );
  expect(await reach(documents, 'artifact')).toEqual(
    new Set(['artifact', 'image', 'blob', 'config', 'layer'].map(digest)),
  );
});

test('indexes that name each other in a ring come to an end', async () => {
  const documents = { a: { manifests: point('b') }, b: { manifests: point('a') } };
  expect(await reach(documents, 'a')).toEqual(new Set([digest('a'), digest('b')]));
});

test('what is no manifest leads nowhere', async () => {
  const documents = { junk: 'no JSON', list: [], odd: { layers: 1, config: null, manifests: ['x'] } };
  expect(await reach(documents, 'junk', 'list', 'odd')).toEqual(new Set(['junk', 'list', 'odd'].map(digest)));
});
