import { describe, expect, it, onTestFinished } from 'vitest';
import { findShortage, requireFolderRoom, requireStoreRoom } from '../../src/app/require-room.ts';
import { moveLimits, parseLimitOption } from '../../src/limits.ts';
import { OCI_LAYER } from '../../src/image/media-type.ts';
import { estimateNeed, type Room } from '../../src/store/free-space.ts';
import type { ImageStore } from '../../src/store/image-store.ts';
import { sha256 } from '../fixtures/image-builder.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';
import { failureOf } from '../stream/collect.ts';

const MB = 1000 * 1000;
const folder = useTempFolder();
const layer = (size: number, type = '') => ({
  digest: sha256(Buffer.from('x')),
  size,
  mediaType: `${OCI_LAYER}${type}`,
});
const room = (room: Partial<Room>): Room => ({
  freeBytes: 1000 * MB,
  reservedBytes: 0,
  freeInodes: undefined,
  ...room,
});
const shortage = (size: number, given: Partial<Room>, type = '') =>
  findShortage(estimateNeed([layer(size, type)]), room(given), 'The image x', '/repo');

describe('layers', () => {
  it('that fit are let in', () => {
    expect(shortage(900 * MB, {})).toBeUndefined();
    expect(shortage(300 * MB, {}, '+gzip')).toBeUndefined();
    expect(shortage(800 * MB, { reservedBytes: 100 * MB })).toBeUndefined();
    expect(shortage(64 * 1024 * 84, { freeInodes: 100 })).toBeUndefined();
  });

  it('that do not fit are refused with what they need and what there is', () => {
    expect(shortage(1000 * MB, {})).toMatchObject({
      code: 'disk-full',
      message:
        'The image x needs about 1.1 GB in /repo (its missing layers, 1.0 GB unpacked), where 1.0 GB is free',
    });
  });

  it('whose size is a guess are refused with what was guessed from', () => {
    const error = shortage(400 * MB, {}, '+gzip');
    expect(error?.message).toContain('its missing layers unpacked, estimated from 400.0 MB compressed');
    expect(error?.hint).toContain('--limit free-space=ignore');
  });

  it('leave alone what ostree leaves alone', () => {
    const error = shortage(900 * MB, { reservedBytes: 30 * MB });
    expect(error?.message).toContain("where 1.0 GB is free, of which the repo's config keeps 30.0 MB free");
    expect(error?.hint).toContain('lower min-free-space-size in /repo/config');
  });

  it('need inodes', () => {
    expect(shortage(64 * 1024 * 85, { freeInodes: 100 })).toMatchObject({
      code: 'disk-full',
      message: 'The image x needs about 101 inodes in /repo, and 100 are free there',
    });
  });

  it('are looked at unless the limit says otherwise', async () => {
    const store = { repository: { path: folder() } } as ImageStore;
    const huge = [layer(2 ** 52)];
    await requireStoreRoom({ store }, 'x', [layer(1)]);
    expect((await failureOf(requireStoreRoom({ store }, 'x', huge))).code).toBe('disk-full');
    onTestFinished(moveLimits(parseLimitOption('free-space=ignore')));
    await requireStoreRoom({ store }, 'x', huge);
  });
});

describe('blobs for a folder', () => {
  const files = { freeBytes: () => Promise.resolve(1000) } as never;

  it('fit to the byte, or are refused', async () => {
    await requireFolderRoom({ files }, '/out', 'oci:/in', [layer(400), layer(600)]);
    const failed = requireFolderRoom({ files }, '/out', 'oci:/in', [layer(400), layer(601)]);
    expect(await failureOf(failed)).toMatchObject({
      code: 'disk-full',
      message: 'oci:/in needs 1.0 KB in /out, and 1.0 KB is free there',
      hint: expect.stringContaining('--limit free-space=ignore'),
    });
    onTestFinished(moveLimits(parseLimitOption('free-space=ignore')));
    await requireFolderRoom({ files }, '/out', 'oci:/in', [layer(5000)]);
  });
});
