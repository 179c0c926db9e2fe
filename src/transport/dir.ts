/**
 * `dir:PATH`: one image as plain files: `manifest.json`, `version`, each blob under its hex digest, manifests of an
 * index under `HEX.manifest.json`, simple signatures of these as `signature-N` and `HEX.signature-N`. Not standardised: containers-transports(5) and containers/image `directory` define it.
 */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { AtomicError } from '../errors.ts';
import { hexOf, type Digest } from '../image/digest.ts';
import type { RawManifest } from '../image/manifest.ts';
import { formatReference } from '../image/reference.ts';
import { CONFIG_FILE_BYTES, limitExceeded, SIGNATURES } from '../limits.ts';
import { makeFolderToFill, type NewFolder } from '../make-folder.ts';
import { isFileOfSize, readSmallFile, streamFile } from './local-file.ts';
import { createPartialFiles } from './partial-files.ts';
import type { Claiming } from './blob-claims.ts';
import type { ImageDestination, ImageSource } from './transport.ts';

const VERSION = 'Directory Transport Version: 1.1\n';
const READABLE_VERSION = /^Directory Transport Version: 1\.\d+\n$/;
/** The names that an image takes up. */
const IMAGE_FILE = /^(?:[0-9a-f]{64}|[0-9a-f]{128})(?:\.manifest\.json|\.signature-\d+)?$|^signature-\d+$/;

/**
 * Opens `dir:PATH` for reading. Links and everything that is no regular file are refused.
 * @throws AtomicError `image-not-found`, `archive-invalid`, `limit-exceeded`
 */
export async function openDirSource(path: string): Promise<ImageSource> {
  const version = await readSmallFile(join(path, 'version'), CONFIG_FILE_BYTES);
  // The first writers of this format left the file out.
  if (version !== undefined) checkVersion(version, path);
  const reference = await readSmallFile(join(path, 'manifest.json'), 'manifest-size');
  if (reference === undefined) {
    throw new AtomicError('image-not-found', `${path} holds no image: it has no manifest.json`);
  }
  return {
    name: formatReference({ transport: 'dir', path }),
    async getManifest(digest): Promise<RawManifest> {
      if (digest === undefined) return { bytes: reference, mediaType: '' };
      const bytes = await readSmallFile(join(path, entryName(digest)), 'manifest-size');
      if (bytes !== undefined) return { bytes, mediaType: '' };
      throw new AtomicError('manifest-unknown', `${path} has no manifest ${digest}`);
    },
    seekable: true,
    async getBlob({ digest }, from) {
      const stream = await streamFile(join(path, hexOf(digest)), from);
      if (stream === undefined) throw new AtomicError('archive-invalid', `${path} has no blob ${digest}`);
      return stream;
    },
    getSignatures: (digest) => readSignatures(path, digest),
    close: async () => {},
  };
}

/** They are counted from 1; the first number that is not there ends them. @throws AtomicError `limit-exceeded` */
async function readSignatures(path: string, digest: Digest | undefined): Promise<readonly Uint8Array[]> {
  const signatures: Uint8Array[] = [];
  for (;;) {
    const file = join(path, signatureName(digest, signatures.length + 1));
    const bytes = await readSmallFile(file, 'manifest-size');
    if (bytes === undefined) return signatures;
    if (signatures.length === SIGNATURES) {
      throw limitExceeded(SIGNATURES, `${path} has more than ${SIGNATURES} signatures of one manifest`);
    }
    signatures.push(bytes);
  }
}

/**
 * Opens `dir:PATH` for writing. The folder is made, is empty, or holds an image, which `commit` replaces: blobs that
 * both share are kept, the rest of the old one goes.
 * @param claiming lets two copies at once fetch a blob once, and the next one go on with what a copy that fails leaves
 * @throws AtomicError `archive-invalid` when the folder holds something else, `disk-full`
 */
export async function openDirDestination(path: string, claiming?: Claiming): Promise<ImageDestination> {
  const made = await prepareFolder(path);
  const files = await createPartialFiles(path, claiming).catch(async (error: unknown) => {
    await made.removeIfEmpty();
    throw error;
  });
  const kept = new Set<string>();
  const keep = (name: string): string => {
    kept.add(name);
    return join(path, name);
  };
  let reference: Uint8Array | undefined;
  let signed: readonly Uint8Array[] = [];
  return {
    name: formatReference({ transport: 'dir', path }),
    traits: {
      manifestTypes: undefined,
      layers: 'kept',
      foreignLayers: false,
      signatures: true,
      parallel: true,
    },
    folder: path,
    claims: files.claims,
    hasBlob: ({ digest, size }) => isFileOfSize(keep(hexOf(digest)), size),
    putBlob: ({ digest }, bytes) => files.writeBlob(digest, keep(hexOf(digest)), bytes),
    async putManifest({ bytes }, digest, role) {
      if (role === 'reference') reference = bytes;
      else await files.write(keep(entryName(digest)), bytes);
    },
    async putSignatures(signatures, digest, role) {
      if (role === 'reference') signed = signatures;
      else {
        for (const [i, bytes] of signatures.entries())
          await files.write(keep(signatureName(digest, i + 1)), bytes);
      }
    },
    async commit() {
      if (reference === undefined) throw new AtomicError('internal', `${path} was given no manifest`);
      for (const [i, bytes] of signed.entries())
        await files.write(keep(signatureName(undefined, i + 1)), bytes);
      await files.write(join(path, 'version'), Buffer.from(VERSION));
      await files.write(join(path, 'manifest.json'), reference);
      const stale = (await readdir(path, { withFileTypes: true })).filter(
        (entry) => IMAGE_FILE.test(entry.name) && !kept.has(entry.name) && !entry.isDirectory(),
      );
      await Promise.all(stale.map(({ name }) => rm(join(path, name), { force: true })));
      await files.removeKept();
    },
    async close() {
      await files.remove();
      await made.removeIfEmpty();
    },
  };
}

function entryName(digest: Digest): string {
  return `${hexOf(digest)}.manifest.json`;
}

/** @param digest of an index's entry; undefined for what the folder itself stands for */
function signatureName(digest: Digest | undefined, number: number): string {
  return `${digest === undefined ? '' : `${hexOf(digest)}.`}signature-${number}`;
}

/** Makes the folder, or sees that it is ours to write in. */
async function prepareFolder(path: string): Promise<NewFolder> {
  const made = await makeFolderToFill(path);
  const version = await readSmallFile(join(path, 'version'), CONFIG_FILE_BYTES);
  if (version !== undefined) {
    checkVersion(version, path);
    return made;
  }
  // Blobs alone are what an interrupted first copy leaves.
  const foreign = (await readdir(path)).find(
    (name) => !IMAGE_FILE.test(name) && !name.startsWith('.partial-'),
  );
  if (foreign === undefined) return made;
  throw new AtomicError('archive-invalid', `${path} is no image folder and holds "${foreign}"`, {
    hint: 'Name an empty or a new folder.',
  });
}

function checkVersion(bytes: Buffer, path: string): void {
  if (READABLE_VERSION.test(bytes.toString('utf8'))) return;
  throw new AtomicError(
    'archive-invalid',
    `${path} has a file "version" that does not say ${VERSION.trim()}`,
  );
}
