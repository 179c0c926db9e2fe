/**
 * Images in the ostree repo: which are there, what they are made of, and how a new one gets in. The engine in copy/
 * drives an import through this class; checkout.ts turns an image into a tree.
 */
import type { Exec } from '../host/ports.ts';
import { AtomicError } from '../errors.ts';
import { parseImageConfig, type ImageConfig } from '../image/config.ts';
import { hexOf, isDigest, type Digest } from '../image/digest.ts';
import { parseManifest, type ImageManifest } from '../image/manifest.ts';
import { createTar } from '../stream/tar/create.ts';
import { importLayer, type ImportedLayer, type LayerToImport } from './import-layer.ts';
import { blobRef, decodeImageRef, imageRef, isBlobRef, METADATA, withTag } from './names.ts';
import { Repository, type NewMode, type StoredCommit } from './repository.ts';

/** One argument of a program holds 128 KiB; a manifest that does not fit is read from its file instead. */
const ARGUMENT_BYTES = 128 * 1024 - 4096;

export interface StoredImage {
  /** As it was given, with its tag: `docker.io/busybox:latest`. */
  readonly name: string;
  /** The ostree commit of the image's own ref. */
  readonly commit: string;
  /** Digest of the manifest's bytes. */
  readonly digest: Digest;
  readonly manifest: ImageManifest;
  /** What to pull for a newer one; undefined for an image that another tool brought, and under a second name. */
  readonly source: string | undefined;
  readonly created: Date;
}

export interface ImageToCommit {
  readonly name: string;
  /** What to pull for a newer one; undefined where nobody knows. */
  readonly source: string | undefined;
  readonly digest: Digest;
  readonly manifestBytes: Uint8Array;
  readonly configDigest: Digest;
  readonly configBytes: Uint8Array;
  readonly signatures?: readonly Uint8Array[];
}

export class ImageStore {
  readonly repository: Repository;
  readonly #exec: Exec;
  readonly #labels: boolean;

  /**
   * @param options.labels whether layers get SELinux labels, by this host's policy for their paths as if in `/`
   * @param options.mode of a repo that is not there yet; `bare` if not given, which takes root
   */
  constructor(
    path: string,
    exec: Exec,
    { labels = false, mode }: { readonly labels?: boolean; readonly mode?: NewMode } = {},
  ) {
    this.repository = new Repository(path, exec, mode);
    this.#exec = exec;
    this.#labels = labels;
  }

  /** A layer that is in the repo, with the DiffID it was imported with (older tools recorded it as well). */
  async findLayer(digest: Digest): Promise<{ readonly diffId: string | undefined } | undefined> {
    const commit = await this.repository.readRef(blobRef(digest));
    return commit === undefined ? undefined : { diffId: commit.metadata.get(METADATA.uncompressedDigest) };
  }

  /** The device nodes and FIFOs that an image's layers name and its tree does not have; of layers that we imported. */
  async countDevicesLeftOut({ layers }: ImageManifest): Promise<number> {
    const commits = await Promise.all(layers.map(({ digest }) => this.repository.readRef(blobRef(digest))));
    return commits.reduce(
      (sum, commit) => sum + Number(commit?.metadata.get(METADATA.devicesLeftOut) ?? 0),
      0,
    );
  }

  /** Streams one layer in; nothing is visible before its `publish`. */
  importLayer(layer: LayerToImport): Promise<ImportedLayer> {
    return importLayer(this.#exec, this.repository, layer, this.#labels);
  }

  /** Writes the config and then the image's own ref: from here on the image is there. All its layers are. */
  async commitImage(image: ImageToCommit): Promise<StoredImage> {
    await this.repository.commitFiles(
      blobRef(image.configDigest),
      createTar([{ path: 'content', content: image.configBytes }]),
      [[METADATA.size, String(image.configBytes.length)]],
    );
    const manifest = Buffer.from(image.manifestBytes).toString('utf8');
    const fits = image.manifestBytes.length < ARGUMENT_BYTES;
    const { signatures = [] } = image;
    await this.repository.commitFiles(
      imageRef(image.name),
      createTar([
        { path: 'manifest.json', content: image.manifestBytes },
        ...signatures.map((content, i) => ({ path: `signature-${i + 1}`, content })),
      ]),
      [
        ...(fits ? [[METADATA.manifest, manifest] as const] : []),
        [METADATA.digest, image.digest],
        [METADATA.signatures, String(signatures.length)],
        ...(image.source === undefined ? [] : [[METADATA.source, image.source] as const]),
        [METADATA.name, image.name],
      ],
    );
    const stored = await this.find(image.name);
    if (stored === undefined)
      throw new AtomicError('internal', `the image ${image.name} is not there after its import`);
    return stored;
  }

  /**
   * An image by its name, or by the first characters of its digest when no name matches and exactly one image does.
   * @throws AtomicError `reference-invalid` when several match
   */
  async find(name: string): Promise<StoredImage | undefined> {
    const ref = imageRef(name);
    const commit = await this.repository.readRef(ref);
    if (commit !== undefined) return this.#readImage(withTag(name), commit);
    if (!/^[0-9a-f]{7,128}$/.test(name)) return undefined;
    const matches = (await this.list()).filter(({ digest }) =>
      digest.slice(digest.indexOf(':') + 1).startsWith(name),
    );
    if (matches.length <= 1) return matches[0];
    throw new AtomicError(
      'reference-invalid',
      `"${name}" is the beginning of ${matches.length} images' ids`,
      {
        hint: `Give more of it, or a name: ${matches.map((image) => image.name).join(', ')}.`,
      },
    );
  }

  /**
   * The image that a deployment was made from, by its ostree commit, else by its digest: its name may stand for another
   * one by now. Undefined when the store has it no more, or not all of its layers.
   * @param revision hex of the manifest's digest
   */
  async findRecorded(
    name: string,
    commit: string | undefined,
    revision: string | undefined,
  ): Promise<StoredImage | undefined> {
    for (const image of await this.#candidates(name, commit)) {
      if (revision !== undefined && hexOf(image.digest) !== revision) continue;
      const refs = image.manifest.layers.map(({ digest }) => this.repository.resolveRef(blobRef(digest)));
      if (!(await Promise.all(refs)).includes(undefined)) return image;
    }
    return undefined;
  }

  async #candidates(name: string, commit: string | undefined): Promise<StoredImage[]> {
    const recorded =
      commit === undefined || (await this.repository.readCommitTime(commit)) === undefined
        ? undefined
        : await this.#readImage(withTag(name), await this.repository.readCommit(commit));
    // Images that cannot be read are of no use here, and no reason to fail.
    return [...(recorded === undefined ? [] : [recorded]), ...(await this.list(() => undefined))];
  }

  /**
   * All images, newest first.
   * @param leaveOut told of each image that cannot be read (its commit is missing, its manifest is of an old format);
   *   without it such an image is an error, so that nobody takes its layers for unused
   */
  async list(leaveOut?: (error: AtomicError) => void): Promise<StoredImage[]> {
    const refs = (await this.repository.listRefs()).filter((ref) => !isBlobRef(ref));
    const images = await Promise.all(
      refs.map(async (ref) => {
        try {
          const commit = await this.repository.readRef(ref);
          return commit === undefined ? undefined : await this.#readImage(decodeImageRef(ref), commit);
        } catch (error) {
          if (leaveOut === undefined || !(error instanceof AtomicError)) throw error;
          leaveOut(error);
          return undefined;
        }
      }),
    );
    return images
      .filter((image) => image !== undefined)
      .sort((a, b) => b.created.getTime() - a.created.getTime() || (a.name < b.name ? -1 : 1));
  }

  /** @throws AtomicError `store-invalid` when the config is not there (atomic's prune took configs of images in use) */
  async readConfig(image: StoredImage): Promise<ImageConfig> {
    return parseImageConfig(Buffer.from(await this.readConfigText(image), 'utf8'), nameConfig(image));
  }

  /** The JSON of the config, as the image has it. @throws AtomicError `store-invalid` when it is not there */
  async readConfigText(image: StoredImage): Promise<string> {
    const commit = await this.repository.resolveRef(blobRef(image.manifest.config.digest));
    if (commit === undefined) {
      throw new AtomicError('store-invalid', `${nameConfig(image)} is not in ${this.repository.path}`, {
        hint: 'Pull the image again.',
      });
    }
    return this.repository.readFile(commit, '/content');
  }

  async #readImage(name: string, commit: StoredCommit): Promise<StoredImage | undefined> {
    const manifest =
      commit.metadata.get(METADATA.manifest) ??
      (await this.repository.readFile(commit.checksum, '/manifest.json'));
    const digest = commit.metadata.get(METADATA.digest);
    if (!isDigest(digest)) return undefined;
    const parsed = parseManifest(
      { bytes: Buffer.from(manifest, 'utf8'), mediaType: '' },
      `the manifest of ${name}`,
    );
    if (parsed.kind !== 'manifest') return undefined;
    const pulledAs = withTag(commit.metadata.get(METADATA.name) ?? name);
    return {
      name,
      commit: commit.checksum,
      digest,
      manifest: parsed,
      source: pulledAs === name ? commit.metadata.get(METADATA.source) : undefined,
      created: commit.created,
    };
  }
}

function nameConfig({ name }: StoredImage): string {
  return `the config of ${name}`;
}
