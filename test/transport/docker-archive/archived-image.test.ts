import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, test, vi } from 'vitest';
import { openArchive } from '../../../src/transport/archive/open-archive.ts';
import { findBlobs, KnownMembers } from '../../../src/transport/docker-archive/archived-image.ts';
import { openDockerArchiveSource } from '../../../src/transport/docker-archive/source.ts';
import { sha256, writeTar } from '../../fixtures/image-builder.ts';
import { useTempFolder } from '../../fixtures/temp-folder.ts';

const folder = useTempFolder();
const path = (): string => join(folder(), 'saved.tar');
const LAYER = writeTar([{ path: 'a' }]);
const LAYERS = Array.from({ length: 100 }, () => 'l');
const IMAGE = { config: 'c', layers: LAYERS, repoTags: [] };
const CONFIG = JSON.stringify({
  rootfs: { type: 'layers', diff_ids: LAYERS.map(() => sha256(LAYER)) },
});
const MEMBERS = writeTar([
  { path: 'c', content: CONFIG },
  { path: 'l', content: gzipSync(LAYER) },
  { path: 'manifest.json', content: JSON.stringify([{ Config: 'c', Layers: LAYERS }]) },
]);

test('a member that is listed again and again is read once', async () => {
  writeFileSync(path(), MEMBERS);
  const archive = await openArchive(path());
  const [hashed, read] = [vi.spyOn(archive, 'stream'), vi.spyOn(archive, 'read')];
  const known = new KnownMembers();
  const first = await findBlobs(archive, IMAGE, known);
  expect(await findBlobs(archive, IMAGE, known)).toEqual(first);
  expect(new Set(first.layers.map(({ descriptor }) => descriptor.digest))).toEqual(
    new Set([sha256(gzipSync(LAYER))]),
  );
  expect([hashed.mock.calls.length, read.mock.calls.length]).toEqual([1, 1]);
  await archive.close();
});

test.each([
  ['unpacking an archive', gzipSync(MEMBERS)],
  ['hashing its layers', MEMBERS],
])('%s ends with the signal, and with its reason', async (_, bytes) => {
  writeFileSync(path(), bytes);
  const reason = new Error('enough');
  const opening = openDockerArchiveSource(path(), undefined, { signal: AbortSignal.abort(reason) });
  await expect(opening).rejects.toBe(reason);
});
