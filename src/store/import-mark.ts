/**
 * Imports write without waiting for the disk: a machine that loses its power may keep a ref and lose the bytes behind it.
 * So each import has a mark beside the journals, on the disk from before its first ref until the file system has been
 * synced. A mark that an earlier boot left tells which refs not to trust.
 */
import { open, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AtomicError, describeDiskFull, systemCodeOf } from '../errors.ts';
import { isRecord, parseJson } from '../image/json.ts';
import { makeFolder } from '../make-folder.ts';
import { indexFolder } from './layer-index.ts';
import { listFolder } from './list-folder.ts';
import { REF_PREFIX } from './names.ts';

/** The coarsest time stamps of a file system that can hold a repo, and more. */
const SLACK_MS = 2_000;

export interface ImportMark {
  readonly path: string;
  readonly pid: number;
  /** The boot's identifier: random(4), boot_id. */
  readonly boot: string;
  /** The image's ref, and the commit it pointed at before. */
  readonly ref: string;
  readonly previous: string | undefined;
  /** When it was made: before the import's first ref. */
  readonly since: Date;
}

export type ImportToMark = Pick<ImportMark, 'pid' | 'boot' | 'ref' | 'previous'>;

/** No container's name begins so. Not hidden: a unit's ConditionDirectoryNotEmpty= does not count hidden files. */
const PREFIX = '@import-';
const UNFINISHED = '.atomic-new';

/**
 * Makes a mark, on the disk when it returns.
 * @param folder where the journals are
 * @returns its path, for `clearImportMark`
 */
export async function markImport(folder: string, mark: ImportToMark): Promise<string> {
  const name = `${PREFIX}${mark.pid}-${Date.now()}`;
  const unfinished = join(folder, `.${name}${UNFINISHED}`);
  await makeFolder(folder, 0o700);
  try {
    await writeMark(unfinished, mark);
    await rename(unfinished, join(folder, name));
  } catch (error) {
    await rm(unfinished, { force: true });
    throw describeDiskFull(error, unfinished);
  }
  // The folders above it may be new as well.
  for (const above of [folder, join(folder, '..'), join(folder, '../..')]) await syncFolder(above);
  return join(folder, name);
}

async function writeMark(path: string, mark: ImportToMark): Promise<void> {
  const file = await open(path, 'wx', 0o644);
  try {
    await file.writeFile(`${JSON.stringify(mark)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
}

/**
 * Takes a mark away, once all that its import wrote is on the disk. Imports that still go on have what they wrote before
 * the sync on the disk as well: their marks become younger.
 * @param synced when a sync of the repo's file system was begun that has ended by now
 */
export async function clearImportMark(path: string, synced: Date): Promise<void> {
  await rm(path, { force: true });
  for (const mark of await listImportMarks(dirname(path))) {
    if (mark.since < synced) await utimes(mark.path, synced, synced).catch(() => undefined);
  }
}

/** Whether a file beside the journals is a mark, or one that was not finished. */
export function isImportMark(name: string): boolean {
  return name.startsWith(PREFIX) || name.startsWith(`.${PREFIX}`);
}

/** All marks, of imports that go on and of those that died. */
export async function listImportMarks(folder: string): Promise<ImportMark[]> {
  const names = (await listFolder(folder)).filter((name) => name.startsWith(PREFIX));
  const marks = await Promise.all(names.map((name) => readMark(join(folder, name))));
  return marks.filter((mark) => mark !== undefined);
}

/** Removes marks that a dead process did not finish: its import had not begun. The caller holds the store alone. */
export async function removeUnfinishedMarks(folder: string): Promise<void> {
  for (const name of await listFolder(folder)) {
    if (isImportMark(name) && !name.startsWith(PREFIX)) await rm(join(folder, name), { force: true });
  }
}

/**
 * Takes back what imports of an earlier boot made visible: an image's ref points at what it did before, and layers,
 * configs and indexes that are as new as the oldest mark are gone; a pull brings them again. Their objects are for
 * `ostree prune`, which has to follow: an object that lost its bytes must not be taken for one that is there.
 * The caller holds the store alone.
 * @returns the refs that were dropped or put back
 */
export async function dropUnsynced(repository: string, marks: readonly ImportMark[]): Promise<string[]> {
  const since = Math.min(...marks.map((mark) => mark.since.getTime())) - SLACK_MS;
  const isNew = async (path: string): Promise<boolean> => (await stat(path)).mtimeMs >= since;
  const previous = new Map(marks.map((mark) => [mark.ref, mark.previous]));
  const folder = join(repository, 'refs/heads', REF_PREFIX);
  const dropped: string[] = [];
  for (const name of await listFolder(folder)) {
    const path = join(folder, name);
    if (!(await isNew(path))) continue;
    dropped.push(`${REF_PREFIX}${name}`);
    const commit = previous.get(`${REF_PREFIX}${name}`);
    if (commit === undefined) await rm(path);
    else await rewriteRef(path, commit);
  }
  for (const name of await listFolder(indexFolder(repository))) {
    const path = join(indexFolder(repository), name);
    if (await isNew(path)) await rm(path);
  }
  if (dropped.length > 0) await syncFolder(folder);
  return dropped;
}

async function rewriteRef(path: string, commit: string): Promise<void> {
  const file = await open(path, 'w', 0o644);
  try {
    await file.writeFile(`${commit}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Undefined when its import has just ended. @throws AtomicError `store-invalid` */
async function readMark(path: string): Promise<ImportMark | undefined> {
  const [text, stats] = await Promise.all([readFile(path, 'utf8'), stat(path)]).catch((error: unknown) => {
    if (systemCodeOf(error) === 'ENOENT') return [];
    throw error;
  });
  if (text === undefined || stats === undefined) return undefined;
  const record = parseJson(text, `the mark ${path}`, 'store-invalid');
  if (!isRecord(record) || typeof record['ref'] !== 'string' || typeof record['boot'] !== 'string') {
    throw new AtomicError('store-invalid', `the mark ${path} is not one that this version can read`, {
      hint: 'Pull the images that were pulled last again, and remove it.',
    });
  }
  const { ref, boot, previous } = record;
  const known = typeof previous === 'string' && /^[0-9a-f]{64}$/.test(previous);
  return {
    path,
    pid: Number(record['pid']),
    boot,
    ref,
    previous: known ? previous : undefined,
    since: stats.mtime,
  };
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
