/** Layers that a pull did not get whole: kept for the next one, bounded in size and age, and of no use to anybody else. */
import type { Descriptor } from '../image/descriptor.ts';
import { limitOf, PARTIAL_AGE_MS, PARTIAL_FLOOR_BYTES } from '../limits.ts';
import { estimateNeed, readRoom } from '../store/free-space.ts';
import type { BlobClaims } from '../transport/blob-claims.ts';
import { createKeptClaims, findExcess, listKept, type KeptFile } from '../transport/kept-blobs.ts';
import type { App } from './context.ts';
import { layerLockPath, partialFolder } from './layout.ts';

export interface PartialLayers {
  /** One process at a time fetches a layer into the store. */
  readonly claims: BlobClaims;
  /** Sees how much room there is beside what the missing layers will take, before the first of them is fetched. */
  makeRoom(missing: readonly Descriptor[]): Promise<void>;
}

/** @param isRemote whether it is worth something to have the layers half: not where they are at hand anyway */
export function openPartialLayers(app: App, isRemote: boolean): PartialLayers {
  const folder = partialFolder(app);
  let left = 0;
  const room = {
    floorBytes: PARTIAL_FLOOR_BYTES,
    take: (bytes: number): number => {
      const taken = Math.max(0, Math.min(bytes, left));
      left -= taken;
      return taken;
    },
    giveBack: (bytes: number): void => void (left += bytes),
  };
  const where = { folder, owner: app.identity.uid, ...(isRemote && { room }) };
  return {
    claims: createKeptClaims(app, where, (name) => layerLockPath(app, name)),
    async makeRoom(missing) {
      for (const { path } of await listExcess(app)) await app.files.remove(path);
      const used = (await listKept(folder)).reduce((sum, { bytes }) => sum + bytes, 0);
      left = Math.min(limitOf('partial-size') - used, await spareBytes(app, missing));
    },
  };
}

/** What is free beside what the layers will take: keeping them must not be what makes a pull fail. */
async function spareBytes(app: App, missing: readonly Descriptor[]): Promise<number> {
  const { path } = app.store.repository;
  const folder = partialFolder(app);
  if (!(await app.files.sameFilesystem(folder, path))) return app.files.freeBytes(folder);
  const { freeBytes, reservedBytes } = await readRoom(path);
  return freeBytes - reservedBytes - estimateNeed(missing).diskBytes;
}

/** Paths of all that is kept. */
export async function listPartialLayers(app: App): Promise<string[]> {
  return (await listKept(partialFolder(app))).map(({ path }) => path);
}

/** What is too old, or too much. Whoever is at one of these loses nothing but what it would have left. */
export async function listExcess(app: App): Promise<KeptFile[]> {
  const files = await listKept(partialFolder(app));
  return findExcess(files, limitOf('partial-size'), Date.now() - PARTIAL_AGE_MS);
}
