import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Duplex, Readable } from 'node:stream';
import { AtomicError, isAtomicError } from '../errors.ts';
import type { Exec } from '../host/ports.ts';
import type { Descriptor } from '../image/descriptor.ts';
import type { Digest } from '../image/digest.ts';
import {
  createDecompressor,
  describeBrokenStream,
  detectCompression,
  peek,
  UnpackedLimit,
} from '../stream/decompress.ts';
import { LayerFilter } from '../stream/tar/filter.ts';
import { LayerRecorder } from '../stream/tar/recorder.ts';
import { Disassembler } from '../stream/tar-split/disassemble.ts';
import { VerifyStream } from '../stream/verify.ts';
import { indexFolder, LayerIndexWriter } from './layer-index.ts';
import { blobRef, METADATA } from './names.ts';
import type { Repository } from './repository.ts';
import { askForAnotherTry, isStagingRace } from './staging-race.ts';
import { TarSplitFile } from './tar-split-file.ts';
import { writeLayerCommit, type LayerCommit } from './write-commit.ts';

/** Bytes enough to tell every compression that we know of. */
const MAGIC_BYTES = 6;

export interface LayerToImport {
  readonly descriptor: Descriptor;
  readonly diffId: Digest;
  /** The blob as it is stored at its source, unverified. */
  readonly bytes: Readable;
  /** Subject of an error's sentence: "layer 2 of docker.io/x". */
  readonly what: string;
  /** Told now and then how many compressed bytes have passed. */
  readonly onProgress: (bytes: number) => void;
}

/** A layer whose tree is in the repo and whose bytes are verified, but which no ref makes visible yet. */
export interface ImportedLayer {
  readonly digest: Digest;
  readonly diffId: Digest;
  /** Entries of the tar, those that were left out included. */
  readonly entries: number;
  /** Entries of the tar that ostree has no object for. */
  readonly devicesLeftOut: number;
  /** Makes it visible: the ref, with its metadata, and its index. */
  publish(): Promise<void>;
  /** Gives it up; the next prune takes its objects. */
  discard(): Promise<void>;
}

/**
 * Streams a layer into the repo: verify, decompress, verify the DiffID, filter, `ostree commit`. Memory use does not
 * depend on the layer's size. This is the one place that knows how a tree gets into the repo.
 * @param labels whether its files get SELinux labels, by this host's policy for their paths as if in `/`
 * @throws AtomicError of whatever is wrong with the bytes; `disk-full`, `command-failed` of ostree; `store-race` when
 * another try will do
 */
export async function importLayer(
  exec: Exec,
  repository: Repository,
  layer: LayerToImport,
  labels = false,
): Promise<ImportedLayer> {
  const { descriptor, diffId, what } = layer;
  // Until the pipeline listens; what went wrong is then still there to be read.
  layer.bytes.on('error', () => undefined);
  const index = await LayerIndexWriter.create(repository.path, descriptor.digest);
  const tarSplit = new TarSplitFile(join(indexFolder(repository.path), `${randomUUID()}.tmp`));
  const discard = async (): Promise<void> => {
    await Promise.all([index.discard(), tarSplit.discard()]);
  };
  const recorder = new LayerRecorder(what, (record) => index.write(record));
  try {
    const compressed = new VerifyStream({ digest: descriptor.digest, size: descriptor.size, what });
    const unpacked = new UnpackedLimit(what, () => compressed.bytesPassed);
    const filter = new LayerFilter(what, recorder, new Disassembler(tarSplit));
    const decompressor = await decompressorFor(exec, layer, compressed);
    const content = new VerifyStream({ digest: diffId, size: undefined, what: `${what}, unpacked,` });
    const stages = [
      layer.bytes,
      compressed,
      ...(decompressor === undefined ? [] : [decompressor]),
      unpacked,
      content,
      filter,
    ];
    const ticker = setInterval(() => layer.onProgress(compressed.bytesPassed), 200);
    const made = commitTar(exec, repository.path, filter, labels);
    const commit = await runBoth(made, pipeline(stages), filter, what).finally(() => clearInterval(ticker));
    if (!compressed.verified) {
      throw new AtomicError('stream-broken', `${what} has bytes behind the end of its compressed stream`);
    }
    const tarSplitBytes = await tarSplit.finish();
    const { path } = tarSplit;
    return {
      digest: descriptor.digest,
      diffId,
      entries: recorder.entries,
      devicesLeftOut: recorder.devicesLeftOut,
      publish: async () => {
        try {
          await index.publish();
          await publishLayer(repository, descriptor.digest, commit, {
            metadata: metadataOf(layer, unpacked.bytesPassed, recorder),
            tarSplit: tarSplitBytes === undefined ? undefined : { path, bytes: tarSplitBytes },
          });
        } finally {
          await discard();
        }
      },
      discard,
    };
  } catch (error) {
    layer.bytes.destroy();
    await discard();
    throw isStagingRace(error) ? askForAnotherTry(error, what) : error;
  }
}

/** Undefined for a layer that is not compressed. */
async function decompressorFor(
  exec: Exec,
  { bytes, what }: LayerToImport,
  compressed: VerifyStream,
): Promise<Duplex | undefined> {
  const compression = detectCompression(await peek(bytes, MAGIC_BYTES), what);
  return createDecompressor(compression, {
    what,
    bytesPassed: () => compressed.bytesPassed,
    startZstd: () => exec.filter('zstd', ['-dcq']),
  });
}

/** Commits a tar without a ref; resolves with the commit's checksum. */
async function commitTar(exec: Exec, repository: string, tar: Readable, labels: boolean): Promise<string> {
  const { stdout } = await exec.run(
    'ostree',
    [
      `--repo=${repository}`,
      'commit',
      '--orphan',
      '--no-bindings',
      '--fsync=false',
      '--tar-autocreate-parents',
      // The commit that carries the metadata has the same tree, and with it the labels.
      ...(labels ? ['--selinux-policy=/'] : []),
      '--tree=tar=-',
      '--subject=',
    ],
    { inputStream: tar },
  );
  return stdout.trim();
}

/** Waits for the program and for what feeds it, and throws what went wrong first and not what followed from it. */
async function runBoth(
  commit: Promise<string>,
  feed: Promise<void>,
  filter: LayerFilter,
  what: string,
): Promise<string> {
  commit.catch((error: unknown) => filter.destroy(error instanceof Error ? error : undefined));
  const [committed, fed] = await Promise.allSettled([commit, feed]);
  if (committed.status === 'fulfilled' && fed.status === 'fulfilled') return committed.value;
  const failures = [fed, committed].flatMap((result) =>
    result.status === 'rejected' ? [result.reason as unknown] : [],
  );
  const first = failures
    .map((error) => describeBrokenStream(error, what))
    .find((error) => isAtomicError(error));
  throw first ?? failures[0];
}

/** The commit that ostree made gets a like one with metadata, and that a ref. */
async function publishLayer(
  repository: Repository,
  layer: Digest,
  commit: string,
  more: Pick<LayerCommit, 'metadata' | 'tarSplit'>,
): Promise<void> {
  const { root } = await repository.readCommit(commit);
  await writeLayerCommit(repository, indexFolder(repository.path), blobRef(layer), { root, ...more });
}

/** What is only known once the tar has gone by. */
function metadataOf(
  { descriptor, diffId }: LayerToImport,
  unpackedBytes: number,
  { devicesLeftOut, filesReplaced }: LayerRecorder,
): [string, string][] {
  const counts: [string, number][] = [
    [METADATA.devicesLeftOut, devicesLeftOut],
    [METADATA.filesReplaced, filesReplaced],
  ];
  return [
    [METADATA.size, String(descriptor.size)],
    [METADATA.uncompressedSize, String(unpackedBytes)],
    [METADATA.uncompressedDigest, diffId],
    ...counts.flatMap(([key, count]): [string, string][] => (count === 0 ? [] : [[key, String(count)]])),
  ];
}
