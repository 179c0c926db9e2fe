/**
 * `ostree:NAME[@REPO]` as a source: an image of an ostree repo, with its manifest as it was pulled and its layers as
 * uncompressed tars, since trees are what a repo keeps of them. Repos that skopeo or atomic wrote are read as well.
 * @see containers/image, ostree/ostree_src.go
 */
import { Readable } from 'node:stream';
import { AtomicError } from '../../errors.ts';
import type { Descriptor } from '../../image/descriptor.ts';
import { isDigest, type Digest } from '../../image/digest.ts';
import type { ImageManifest, RawManifest } from '../../image/manifest.ts';
import { compressionOf } from '../../image/media-type.ts';
import { digestedBytes } from '../../image/schema1.ts';
import { limitExceeded, SIGNATURES } from '../../limits.ts';
import { digestOf } from '../../stream/verify.ts';
import type { ImageSource } from '../../transport/transport.ts';
import type { ImageStore } from '../image-store.ts';
import { blobRef, imageRef, METADATA } from '../names.ts';
import type { StoredCommit } from '../repository.ts';
import { openLayerTar } from './layer-tar.ts';

/**
 * @param name of the image, as it was given; with the store, `find` also takes the beginning of its id
 * @param shown how a person would write the reference
 * @param release called once, when the source is closed
 * @throws AtomicError `image-not-found`, `store-invalid`
 */
export async function openOstreeSource(
  store: ImageStore,
  name: string,
  shown: string,
  release: () => Promise<void>,
): Promise<ImageSource> {
  const commit = await findImage(store, name, shown);
  const image = new StoredSource(store, commit, shown);
  return {
    name: shown,
    getManifest: (digest) => image.getManifest(digest),
    getBlob: (descriptor) => image.getBlob(descriptor),
    layersForCopy: (manifest) => image.layersForCopy(manifest),
    getSignatures: (digest) => image.getSignatures(digest),
    close: release,
  };
}

async function findImage(store: ImageStore, name: string, shown: string): Promise<StoredCommit> {
  const { repository } = store;
  const commit = await repository.readRef(imageRef(name));
  if (commit !== undefined) return commit;
  const byId = await store.find(name);
  if (byId !== undefined) return repository.readCommit(byId.commit);
  throw new AtomicError(
    'image-not-found',
    `${shown} is not there: the repo ${repository.path} has no such image`,
  );
}

class StoredSource {
  readonly #name: string;
  readonly #store: ImageStore;
  readonly #image: StoredCommit;
  /** Of uncompressed layers, the digest that the manifest and the repo know them by. */
  readonly #storedAs = new Map<Digest, Digest>();

  constructor(store: ImageStore, image: StoredCommit, shown: string) {
    this.#name = shown;
    this.#store = store;
    this.#image = image;
  }

  async getManifest(digest?: Digest): Promise<RawManifest> {
    const { repository } = this.#store;
    const { metadata, checksum } = this.#image;
    const recorded = metadata.get(METADATA.digest);
    if (digest !== undefined && digest !== recorded)
      throw new AtomicError('manifest-unknown', `${this.#name} has no manifest ${digest}`);
    const isRecorded = (bytes: Buffer): boolean =>
      !isDigest(recorded) || digestOf(digestedBytes(bytes, this.#name), recorded) === recorded;
    const text = metadata.get(METADATA.manifest);
    if (text !== undefined) {
      const bytes = Buffer.from(text, 'utf8');
      if (isRecorded(bytes)) return { bytes, mediaType: '' };
    }
    // Text in a commit is UTF-8; the file has the bytes whatever they are.
    const bytes = await repository.readBytes(checksum, '/manifest.json');
    if (isRecorded(bytes)) return { bytes, mediaType: '' };
    throw new AtomicError(
      'store-invalid',
      `${this.#name} has another manifest than its repo says: ${recorded} is not its digest`,
      { hint: 'Check the repo with `ostree fsck`; delete the image and pull it again.' },
    );
  }

  async layersForCopy(manifest: ImageManifest): Promise<readonly Descriptor[]> {
    const layers: Descriptor[] = [];
    for (const layer of manifest.layers) {
      const { metadata } = await this.#readBlob(layer.digest);
      const diffId = metadata.get(METADATA.uncompressedDigest);
      const size = Number(metadata.get(METADATA.uncompressedSize) ?? Number.NaN);
      if (!isDigest(diffId) || !Number.isSafeInteger(size) || size < 0) {
        throw new AtomicError(
          'store-invalid',
          `${this.#nameLayer(layer.digest)} has no uncompressed digest and size`,
          {
            hint: 'An old tool imported it: delete the image and pull it again.',
          },
        );
      }
      this.#storedAs.set(diffId, layer.digest);
      layers.push({ mediaType: plainMediaType(layer.mediaType), digest: diffId, size });
    }
    return layers;
  }

  async getBlob({ digest }: Descriptor): Promise<Readable> {
    const { repository } = this.#store;
    const stored = this.#storedAs.get(digest) ?? digest;
    const commit = await this.#readBlob(stored);
    const diffId = commit.metadata.get(METADATA.uncompressedDigest);
    if (diffId === digest) return openLayerTar(repository, commit, this.#nameLayer(stored));
    if (diffId === undefined && commit.tarSplit === undefined) {
      return Readable.from([await repository.readBytes(commit.checksum, '/content')], { objectMode: false });
    }
    throw new AtomicError(
      'unsupported',
      `${this.#name} has the layer ${digest} uncompressed only: a repo keeps trees, not the archives they came in`,
      { hint: `Copy the image, which changes its manifest: atomic-ts copy ${this.#name} ostree:NAME` },
    );
  }

  async getSignatures(digest?: Digest): Promise<readonly Uint8Array[]> {
    const { metadata, checksum } = this.#image;
    if (digest !== undefined && digest !== metadata.get(METADATA.digest)) return [];
    const count = Number(metadata.get(METADATA.signatures) ?? 0);
    if (!Number.isSafeInteger(count) || count < 0 || count > SIGNATURES) {
      throw limitExceeded(
        SIGNATURES,
        `${this.#name} says that it has ${count} signatures; ${SIGNATURES} are allowed`,
      );
    }
    const signatures: Uint8Array[] = [];
    for (let i = 1; i <= count; i++)
      signatures.push(await this.#store.repository.readBytes(checksum, `/signature-${i}`));
    return signatures;
  }

  async #readBlob(digest: Digest): Promise<StoredCommit> {
    const commit = await this.#store.repository.readRef(blobRef(digest));
    if (commit !== undefined) return commit;
    throw new AtomicError(
      'store-invalid',
      `${this.#name} lacks the blob ${digest}: its repo has no such ref`,
      {
        hint: 'Pull the image again.',
      },
    );
  }

  #nameLayer(digest: Digest): string {
    return `the layer ${digest} of ${this.#name}`;
  }
}

/** The media type of a layer once it is not compressed; of what is none, the same. */
function plainMediaType(mediaType: string): string {
  return compressionOf(mediaType) === undefined ? mediaType : mediaType.replace(/[.+](?:gzip|zstd)$/, '');
}
