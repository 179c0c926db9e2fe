import { posix } from 'node:path';
import type { DirectoryFact } from '../container/image-facts.ts';

/** A folder of the host that an image's volume lives in, outlasting its deployments. */
export interface Volume {
  /** Inside the container. */
  readonly path: string;
  /** On the host. */
  readonly source: string;
  /**
   * The image's own directory at that path: while the host's folder is absent or empty, it is filled from here, owners
   * and modes included, as Docker fills a new volume. Undefined: the folder begins empty and belongs to `uid`, `gid`.
   */
  readonly copyFrom: string | undefined;
  readonly uid: number;
  readonly gid: number;
}

/** Mounted by the runtime itself; a folder over one of these would break the container. */
const RESERVED = ['/proc', '/sys', '/dev'];

/**
 * Where the declared volumes of an image live: a folder each below `places.state`, parents before what is below them.
 * Images that run an init declare /sys/fs/cgroup and such; those are left out with a warning.
 */
export function placeVolumes(
  declared: readonly string[],
  places: { readonly state: string; readonly rootfs: string },
  owner: { readonly uid: number; readonly gid: number },
  directories: ReadonlyMap<string, DirectoryFact>,
): { readonly volumes: readonly Volume[]; readonly warnings: readonly string[] } {
  const warnings: string[] = [];
  const paths = [...new Set(declared.map(normaliseVolume))].filter((path) => {
    const usable =
      path !== '/' && !RESERVED.some((reserved) => path === reserved || path.startsWith(`${reserved}/`));
    if (!usable) warnings.push(`The image's volume ${path} is left out: the runtime provides that path.`);
    return usable;
  });
  const volumes = paths.sort().map((path): Volume => ({
    path,
    source: `${places.state}/${mangle(path)}`,
    copyFrom: copySource(places.rootfs, directories.get(path)),
    uid: owner.uid,
    gid: owner.gid,
  }));
  return { volumes, warnings };
}

function copySource(rootfs: string, fact: DirectoryFact | undefined): string | undefined {
  return fact === undefined ? undefined : `${rootfs}${fact.realPath}`;
}

/** An absolute path without `.`, `..`, doubled or trailing slashes. */
export function normaliseVolume(path: string): string {
  return posix.normalize(`/${path}`).replace(/(?<=.)\/+$/, '');
}

/** One file name for a path, different for different paths: `/` becomes `-`, all but ASCII letters, digits and `.` its hex. */
function mangle(path: string): string {
  return path
    .slice(1)
    .split('/')
    .map((part) =>
      [...Buffer.from(part)]
        .map((byte) => {
          const character = String.fromCharCode(byte);
          return /[A-Za-z0-9.]/.test(character)
            ? character
            : `_${byte.toString(16).toUpperCase().padStart(2, '0')}`;
        })
        .join(''),
    )
    .join('-');
}
