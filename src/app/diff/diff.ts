/** What two images or containers differ in: files, packages, metadata. */
import { join } from 'node:path';
import { isRecord, parseJson, type JsonRecord } from '../../image/json.ts';
import { AtomicError } from '../../errors.ts';
import { checkoutLayers } from '../../store/checkout.ts';
import { showBytes } from '../../store/compare-trees.ts';
import { diffTrees, type Keyword } from '../../store/diff-trees.ts';
import type { StoredImage } from '../../store/image-store.ts';
import { bytePath } from '../../store/object-checksum.ts';
import { requireRoot } from '../change.ts';
import type { App } from '../context.ts';
import { findImage } from '../drift/judge-rootfs.ts';
import { withScratch } from '../drift/scratch.ts';
import { findNamedTree, type NamedTree } from '../named-tree.ts';
import { shareStore } from '../store-lock.ts';
import { uniqueMetadata } from './metadata.ts';
import { readPackages, type RpmTree } from './rpm-packages.ts';

export interface DiffRequest {
  /** Images or containers, as they were typed. */
  readonly names: readonly [string, string];
  readonly files: boolean;
  /** What counts as another file; undefined: all of it. */
  readonly keywords: readonly string[] | undefined;
  readonly rpms: boolean;
  readonly namesOnly: boolean;
  readonly metadata: boolean;
}

export interface ChangedFile {
  readonly path: string;
  readonly reasons: readonly Keyword[];
}

/** A pair of each: the first one's, the second one's. What was not asked for is undefined. */
export interface DiffOutcome {
  readonly names: readonly [string, string];
  readonly files:
    { readonly unique: readonly [string[], string[]]; readonly changed: readonly ChangedFile[] } | undefined;
  readonly rpms: readonly [RpmTree, RpmTree] | undefined;
  readonly metadata: readonly [JsonRecord, JsonRecord] | undefined;
}

interface Side {
  readonly name: string;
  readonly tree: NamedTree;
  /** Absolute path of the tree. */
  readonly rootfs: string;
}

/**
 * Compares; nothing is changed. Trees of images are checked out for it, beside the deployments.
 * @throws AtomicError `image-not-found`; `busy` when a container was changed meanwhile; of the checkout and of rpm
 */
export async function diff(app: App, request: DiffRequest): Promise<DiffOutcome> {
  requireRoot(app, 'compare trees');
  const store = await shareStore(app, 'compare two trees');
  try {
    const trees = [
      await findNamedTree(app, request.names[0]),
      await findNamedTree(app, request.names[1]),
    ] as const;
    return await withScratch(app, async (scratch) => {
      const first = await openSide(app, request, trees[0], 0, scratch);
      const second = await openSide(app, request, trees[1], 1, scratch);
      const outcome = await compare(app, request, [first, second], scratch);
      for (const side of [first, second]) await requireUnchanged(app, side);
      return outcome;
    });
  } finally {
    await store.release();
  }
}

async function openSide(
  app: App,
  { names, files, rpms }: DiffRequest,
  tree: NamedTree,
  which: 0 | 1,
  scratch: string,
): Promise<Side> {
  const name = names[which];
  if (tree.kind === 'container') return { name, tree, rootfs: tree.rootfs };
  const rootfs = join(scratch, String(which));
  if (files || rpms) {
    const layers = tree.image.manifest.layers.map(({ digest }) => digest);
    await checkoutLayers(app.exec, app.store.repository, layers, rootfs, { scratch });
  }
  return { name, tree, rootfs };
}

async function compare(
  app: App,
  { names, files, keywords, rpms, namesOnly, metadata }: DiffRequest,
  [first, second]: readonly [Side, Side],
  scratch: string,
): Promise<DiffOutcome> {
  const read = ({ name, rootfs }: Side): Promise<RpmTree> =>
    readPackages(app, name, rootfs, scratch, namesOnly);
  const packages = rpms ? ([await read(first), await read(second)] as const) : undefined;
  const documents = metadata
    ? ([await readMetadata(app, first.tree), await readMetadata(app, second.tree)] as const)
    : undefined;
  return {
    names,
    files: files ? await compareFiles(app, first.rootfs, second.rootfs, keywords) : undefined,
    rpms: packages,
    metadata: documents && [uniqueMetadata(...documents), uniqueMetadata(documents[1], documents[0])],
  };
}

async function compareFiles(
  app: App,
  first: string,
  second: string,
  keywords: readonly string[] | undefined,
): Promise<DiffOutcome['files']> {
  const trees = [bytePath(first), bytePath(second)] as const;
  const { onlyInFirst, onlyInSecond, changed } = await diffTrees(
    app.exec,
    app.paths.repository,
    ...trees,
    app.signal,
  );
  return {
    unique: [onlyInFirst.map(showPath), onlyInSecond.map(showPath)],
    changed: changed.flatMap((file) => {
      const reasons = file.keywords.filter((keyword) => keywords?.includes(keyword) ?? true).sort();
      return reasons.length === 0 ? [] : [{ path: showPath(file.path), reasons }];
    }),
  };
}

/** As mtree(5) has it, and so atomic. */
function showPath(path: string): string {
  return path === '' ? '.' : showBytes(path);
}

/** An image's config and digest; of a container what it knows of itself, and its image's where the store has that. */
async function readMetadata(app: App, tree: NamedTree): Promise<JsonRecord> {
  if (tree.kind === 'image') return readImageMetadata(app, tree.image);
  const { info } = tree;
  const image = await findImage(app, { info });
  const { values, runtime, installedFiles } = info;
  return {
    ...(image === undefined ? { digest: info.manifestDigest } : await readImageMetadata(app, image)),
    container: { image: info.image, values, runtime, 'installed-files': installedFiles },
  };
}

async function readImageMetadata(app: App, image: StoredImage): Promise<JsonRecord> {
  const document = parseJson(
    await app.store.readConfigText(image),
    `the config of ${image.name}`,
    'config-invalid',
  );
  return { digest: image.digest, ...(isRecord(document) ? document : {}) };
}

/** A deployment that was replaced while it was read would be told of as if it had lost its files. */
async function requireUnchanged(app: App, { name, tree }: Side): Promise<void> {
  if (tree.kind === 'image') return;
  const now = await findNamedTree(app, name).catch(() => undefined);
  const isSame =
    now?.kind === 'container' && now.rootfs === tree.rootfs && now.info.created === tree.info.created;
  if (isSame) return;
  throw new AtomicError('busy', `The container ${tree.name} was changed while it was compared`, {
    hint: 'Compare it again.',
  });
}
