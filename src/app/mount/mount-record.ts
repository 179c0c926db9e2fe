/**
 * What is kept of a mount, in a folder of its own below `.atomic-ts/mounts`: this record, an image's tree (`rootfs`) and
 * the place where the mount is prepared (`hold`).
 *
 * The record is there before anything is mounted, and says `mounting` until all is done: whoever finds one that says so,
 * and holds the lock, knows that its process has died.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { AtomicError, isAtomicError } from '../../errors.ts';
import type { MountPoint } from '../../host/ports.ts';
import { isRecord, parseJson } from '../../image/json.ts';
import { OWN_JSON_BYTES } from '../../limits.ts';
import type { App } from '../context.ts';
import { mountsFolder } from '../layout.ts';
import { readBoot } from '../sync-imports.ts';

export interface MountRecord {
  readonly state: 'mounting' | 'mounted';
  /** The image or container, as it was typed. */
  readonly name: string;
  /** What it is mounted on: absolute, without links. */
  readonly directory: string;
  readonly pid: number;
  /** Mounts end with the boot, and are seen in their mount namespace only. */
  readonly boot: string;
  readonly namespace: string;
  /** The file system of what is mounted there and the number of its root in that, once they are known. */
  readonly device: string;
  readonly inode: string;
}

export interface Mount extends MountRecord {
  /** Its folder. */
  readonly folder: string;
}

const RECORD = 'mount.json';
const NAMESPACE = '/proc/self/ns/mnt';

/** Begins a mount: a folder with its record, on the disk. */
export async function beginMount(app: App, name: string, directory: string): Promise<Mount> {
  await app.files.makeDirectory(mountsFolder(app), 0o700);
  const folder = join(await findFolder(app), randomBytes(8).toString('hex'));
  const mount: Mount = {
    folder,
    state: 'mounting',
    name,
    directory,
    pid: process.pid,
    boot: await readBoot(app),
    namespace: (await app.files.readLink(NAMESPACE)) ?? '',
    device: '',
    inode: '',
  };
  await app.files.makeDirectory(folder, 0o700);
  await app.files.makeDirectory(holdOf(mount), 0o700);
  return writeMount(app, mount, {});
}

/** Where a mount gets its options before anybody can see it. */
export function holdOf({ folder }: Pick<Mount, 'folder'>): string {
  return join(folder, 'hold');
}

/** Notes more of a mount. */
export async function writeMount(app: App, mount: Mount, more: Partial<MountRecord>): Promise<Mount> {
  const { folder, ...record } = { ...mount, ...more };
  await app.files.writeFileAtomic(join(folder, RECORD), JSON.stringify(record, undefined, 4), 0o600);
  return { folder, ...record };
}

export interface MountFolder {
  readonly folder: string;
  /** Undefined for one that was cut off before its record. */
  readonly mount: Mount | undefined;
  /** Why its record cannot be read. */
  readonly error: AtomicError | undefined;
}

/** The folders of all mounts, done or not. */
export async function listMountFolders(app: App): Promise<MountFolder[]> {
  if ((await app.files.list(mountsFolder(app))).length === 0) return [];
  const above = await findFolder(app);
  const entries = await app.files.list(above);
  return Promise.all(entries.map((entry) => readMountFolder(app, join(above, entry))));
}

async function readMountFolder(app: App, folder: string): Promise<MountFolder> {
  const path = join(folder, RECORD);
  try {
    const bytes = await app.files.readIfExists(path, OWN_JSON_BYTES);
    const mount = bytes === undefined ? undefined : { folder, ...parseRecord(bytes, path) };
    return { folder, mount, error: undefined };
  } catch (error) {
    if (!isAtomicError(error)) throw error;
    return { folder, mount: undefined, error };
  }
}

/** Without links, as the kernel will tell of it. */
function findFolder(app: App): Promise<string> {
  return app.files.realpath(mountsFolder(app));
}

function parseRecord(bytes: Uint8Array, path: string): MountRecord {
  const document = parseJson(bytes, `The file ${path}`, 'store-invalid');
  const record = isRecord(document) ? document : {};
  const text = (key: keyof MountRecord): string => {
    const value = record[key];
    if (typeof value === 'string') return value;
    throw new AtomicError('store-invalid', `The file ${path} does not say ${key} of a mount`, {
      hint: 'Unmount what it tells of with umount, and remove its folder.',
    });
  };
  return {
    state: text('state') === 'mounted' ? 'mounted' : 'mounting',
    name: text('name'),
    directory: text('directory'),
    pid: typeof record['pid'] === 'number' ? record['pid'] : 0,
    boot: text('boot'),
    namespace: text('namespace'),
    device: text('device'),
    inode: text('inode'),
  };
}

/** What is seen at a place: the last of what is mounted there. */
export function topMount(table: readonly MountPoint[], place: string): MountPoint | undefined {
  return table.findLast((mounted) => mounted.place === place);
}

/**
 * Whether what is seen at the place of a record is what it tells of. By its number: a tree may have been moved since, or
 * removed, and is mounted all the same.
 */
export async function isMountOf(
  app: App,
  { folder, directory, device, inode }: Mount,
  mounted: MountPoint | undefined,
): Promise<boolean> {
  if (mounted === undefined) return false;
  if (mounted.type === 'overlay' && mounted.source === folder) return true;
  return inode !== '' && mounted.device === device && (await app.files.inode(directory)) === inode;
}

/**
 * Whether what a record tells of may still be mounted: here, or in another mount namespace that some process is in.
 */
export async function isStillMounted(app: App, mount: Mount, table: readonly MountPoint[]): Promise<boolean> {
  if (mount.boot !== (await readBoot(app))) return false;
  if (mount.namespace === (await app.files.readLink(NAMESPACE)))
    return isMountOf(app, mount, topMount(table, mount.directory));
  return isNamespaceInUse(app, mount.namespace);
}

async function isNamespaceInUse(app: App, namespace: string): Promise<boolean> {
  for (const entry of await app.files.list('/proc')) {
    if (!/^[1-9][0-9]*$/.test(entry)) continue;
    const link = await app.files.readLink(`/proc/${entry}/ns/mnt`).catch(() => undefined);
    if (link === namespace) return true;
  }
  return false;
}
