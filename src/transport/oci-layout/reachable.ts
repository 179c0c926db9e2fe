import { isDigest, type Digest } from '../../image/digest.ts';
import { isRecord } from '../../image/json.ts';

/**
 * The blobs that entries of an index lead to: themselves, their configs and layers, and what nested indexes and
 * subjects name. What cannot be read as a manifest, an artifact of an unknown kind perhaps, leads nowhere.
 * @param read a manifest's bytes; undefined when it is not there, or too large to be one
 */
export async function findReachable(
  entries: readonly unknown[],
  read: (digest: Digest) => Promise<Buffer | undefined>,
): Promise<Set<Digest>> {
  const reachable = new Set<Digest>();
  const followed = new Set<Digest>();
  const queue = digestsOf(entries);
  for (let digest = queue.shift(); digest !== undefined; digest = queue.shift()) {
    if (followed.has(digest)) continue;
    followed.add(digest);
    reachable.add(digest);
    const manifest = parse(await read(digest));
    if (!isRecord(manifest)) continue;
    queue.push(...digestsOf(manifest['manifests']), ...digestsOf([manifest['subject']]));
    for (const key of ['layers', 'blobs']) for (const blob of digestsOf(manifest[key])) reachable.add(blob);
    for (const blob of digestsOf([manifest['config']])) reachable.add(blob);
  }
  return reachable;
}

/** The digests of descriptors; what is none is left out. */
function digestsOf(descriptors: unknown): Digest[] {
  if (!Array.isArray(descriptors)) return [];
  return descriptors.flatMap((descriptor: unknown) =>
    isRecord(descriptor) && isDigest(descriptor['digest']) ? [descriptor['digest']] : [],
  );
}

function parse(bytes: Buffer | undefined): unknown {
  try {
    return bytes === undefined ? undefined : JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}
