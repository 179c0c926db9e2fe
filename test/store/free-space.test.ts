import { mkdirSync, writeFileSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Descriptor } from '../../src/image/descriptor.ts';
import { OCI_LAYER } from '../../src/image/media-type.ts';
import { estimateNeed, readRoom, reservedBytes } from '../../src/store/free-space.ts';
import { sha256 } from '../fixtures/image-builder.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';

const MiB = 1024 * 1024;
const folder = useTempFolder();

function layer(size: number, type: string, annotations: Record<string, string> = {}): Descriptor {
  return { digest: sha256(Buffer.from(String(size))), size, mediaType: `${OCI_LAYER}${type}`, annotations };
}

describe('what a repo keeps free', () => {
  it.each([
    ['nothing is said: 3 %', 'mode=bare', 30],
    ['a percentage', 'min-free-space-percent=7', 70],
    ['none', 'min-free-space-percent=0', 0],
    ['blanks around it', '  min-free-space-percent = 5  ', 50],
    ['a size', 'min-free-space-size=500MB', 500],
    ['a size in G', 'min-free-space-size=2GB', 2048],
    ['a size in T', 'min-free-space-size=1TB', 1024 * 1024],
    ['a size before a percentage', 'min-free-space-percent=7\nmin-free-space-size=1MB', 1],
    ['a percentage where the size is zero', 'min-free-space-size=0MB\nmin-free-space-percent=7', 70],
    ['the last of two', 'min-free-space-percent=7\nmin-free-space-percent=9', 90],
    ['one that ostree cannot read', 'min-free-space-size=5 MB\nmin-free-space-percent=many', 30],
    ['a comment', '#min-free-space-percent=7', 30],
    ['another section', 'mode=bare\n[remote "x"]\nmin-free-space-percent=7', 30],
  ])('with %s', (_what, lines, expected) => {
    const config = `[core]\nrepo_version=1\n${lines}\n[other]\nmin-free-space-percent=99\n`;
    expect(reservedBytes(config, 1000 * MiB)).toBe(expected * MiB);
  });

  it('is read from its config, beside what is free', async () => {
    mkdirSync(join(folder(), 'repo'));
    const repository = join(folder(), 'repo');
    const { blocks, bsize, files } = await statfs(repository);
    expect((await readRoom(repository)).reservedBytes).toBe(Math.floor((blocks * bsize * 3) / 100));
    writeFileSync(join(repository, 'config'), '[core]\nmin-free-space-size=1MB\n');
    const room = await readRoom(repository);
    expect(room.reservedBytes).toBe(MiB);
    expect(room.freeBytes).toBeGreaterThan(0);
    expect(room.freeInodes === undefined).toBe(files === 0);
  });
});

describe('what layers will take', () => {
  it('is their size where they are not compressed', () => {
    expect(estimateNeed([layer(100 * MiB, '')])).toMatchObject({
      compressedBytes: 100 * MiB,
      unpackedBytes: 100 * MiB,
      isEstimate: false,
      inodes: 1616,
    });
  });

  it('is a multiple of their size where they are', () => {
    const need = estimateNeed([layer(100 * MiB, '+gzip'), layer(50 * MiB, '')]);
    expect(need).toMatchObject({ unpackedBytes: 350 * MiB, isEstimate: true });
    expect(need.diskBytes).toBeGreaterThan(need.unpackedBytes);
  });

  it('is what stargz says, unless that is a lie', () => {
    const told = (size: string): object =>
      estimateNeed([layer(MiB, '+gzip', { 'io.containers.estargz.uncompressed-size': size })]);
    expect(told(String(2 * MiB))).toMatchObject({ unpackedBytes: 2 * MiB, isEstimate: false });
    for (const lie of [String(1101 * MiB), '-1', '0', '1e3', 'NaN', '']) {
      expect(told(lie)).toMatchObject({ unpackedBytes: 3 * MiB, isEstimate: true });
    }
  });
});
