/** The images of the local storage: what `images list` shows. */
import { AtomicError } from '../errors.ts';
import { hexOf } from '../image/digest.ts';
import type { StoredImage } from '../store/image-store.ts';
import { isBlobRef, REF_PREFIX } from '../store/names.ts';
import type { App } from './context.ts';
import { formatSize } from './format-size.ts';
import { readImageUse } from './image-use.ts';
import { matchesFilters, parseFilters } from './list-filter.ts';
import { formatLocalTime } from './local-time.ts';

export interface ListedImage {
  readonly repo: string;
  readonly tag: string;
  /** A layer or config that no image refers to. */
  readonly isDangling: boolean;
  /** Whether a deployment of a container was made from it. */
  readonly used: boolean;
  /** Hex of the digest. */
  readonly id: string;
  /** Local time with seconds. */
  readonly created: string;
  /** `1.09 MB`; empty for layers and configs. */
  readonly virtualSize: string;
  readonly backend: 'ostree';
}

export interface ImageListOptions {
  /** Layers and configs as well. */
  readonly all: boolean;
  /** `KEY=VALUE` each. */
  readonly filters: readonly string[];
}

const FILTER_FIELDS = {
  repo: 'repo',
  repository: 'repo',
  tag: 'tag',
  image: 'id',
  id: 'id',
  created: 'created',
  size: 'virtualSize',
  type: 'backend',
  is_dangling: 'isDangling',
} as const satisfies Record<string, keyof ListedImage>;

const FILTER_KEYS = Object.keys(FILTER_FIELDS) as (keyof typeof FILTER_FIELDS)[];

const NAMELESS = '<none>';

/**
 * Lists the newest first, layers and configs behind the images. An image that cannot be read is told of and left out.
 * @throws AtomicError `usage` for a filter that is none, `not-root` where the repo cannot be read
 */
export async function describeImages(app: App, { all, filters }: ImageListOptions): Promise<ListedImage[]> {
  const wanted = parseFilters(filters, FILTER_KEYS);
  const used = await readImageUse(app);
  let complete = true;
  const images = await app.store.list((error) => {
    complete = false;
    app.report({ event: 'warning', text: error.message });
  });
  const listed = images.map((image) => describe(image, used));
  if (all) {
    const referred = new Set(
      images.flatMap(({ manifest }) =>
        [...manifest.layers, manifest.config].map(({ digest }) => hexOf(digest)),
      ),
    );
    // The layers of an image that could not be read belong to it, whichever they are.
    listed.push(...(await describeBlobs(app, (hex) => complete && !referred.has(hex))));
  }
  return listed.filter((image) => matchesFilters(wanted, (key) => String(image[FILTER_FIELDS[key]])));
}

function describe(image: StoredImage, used: Pick<ReadonlySet<string>, 'has'>): ListedImage {
  const id = hexOf(image.digest);
  return {
    ...splitName(image.name),
    isDangling: false,
    used: used.has(id),
    id,
    created: formatLocalTime(image.created),
    // A layer's docker.size is that of the blob which its descriptor names: no need to read every layer's commit.
    virtualSize: formatSize(image.manifest.layers.reduce((sum, { size }) => sum + size, 0)),
    backend: 'ostree',
  };
}

/** An image that is named by its digest has the digest's hex for a tag, as in atomic. */
function splitName(name: string): Pick<ListedImage, 'repo' | 'tag'> {
  const [tagged = '', digest] = name.split('@');
  const colon = tagged.lastIndexOf(':');
  const isTagged = colon > tagged.lastIndexOf('/');
  const repo = isTagged ? tagged.slice(0, colon) : tagged;
  const tag = isTagged ? tagged.slice(colon + 1) : (digest?.slice(digest.indexOf(':') + 1) ?? '');
  return { repo: repo === '' ? NAMELESS : repo, tag: tag === '' ? NAMELESS : tag };
}

async function describeBlobs(app: App, isDangling: (hex: string) => boolean): Promise<ListedImage[]> {
  const { repository } = app.store;
  const blobs: { readonly hex: string; readonly created: Date }[] = [];
  for (const ref of await repository.listRefs()) {
    if (!isBlobRef(ref)) continue;
    const created = await readRefTime(app, ref);
    if (created !== undefined) blobs.push({ hex: ref.slice(REF_PREFIX.length), created });
  }
  return blobs
    .sort((a, b) => b.created.getTime() - a.created.getTime() || (a.hex < b.hex ? -1 : 1))
    .map(({ hex, created }) => ({
      repo: NAMELESS,
      tag: NAMELESS,
      isDangling: isDangling(hex),
      used: false,
      id: hex,
      created: formatLocalTime(created),
      virtualSize: '',
      backend: 'ostree',
    }));
}

async function readRefTime({ store, report }: App, ref: string): Promise<Date | undefined> {
  try {
    const commit = await store.repository.resolveRef(ref);
    return commit === undefined ? undefined : await store.repository.readCommitTime(commit);
  } catch (error) {
    if (!(error instanceof AtomicError)) throw error;
    report({ event: 'warning', text: error.message });
    return undefined;
  }
}
