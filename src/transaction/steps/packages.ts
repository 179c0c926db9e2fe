/** The steps that bring a container's package to the host, and take it away. */
import { basename, dirname, join } from 'node:path';
import { AtomicError } from '../../errors.ts';
import { besideOld } from '../beside.ts';
import type { StepContext } from '../context.ts';
import { moveAndSync, removeAndSync } from '../durable.ts';
import type { PackageOnDisk } from '../plan.ts';
import { as, type Of } from './handler.ts';

interface WasInstalled {
  /** Which package of that name; null for none. */
  readonly installed: string | null;
  /** Folders that rpm has to make on the way, and leaves behind. */
  readonly parents: readonly string[];
}

export const installPackage: Of<'install-package'> = {
  capture: async ({ package: next, former, keep }, { files, packages }) => {
    const installed = (await packages.installed(next.name)) ?? null;
    if (installed !== null && former === undefined) {
      throw new AtomicError(
        'file-exists',
        `The package ${next.name} is installed already, and is no container's`,
        {
          hint: `Remove it (rpm --erase ${next.name}), or choose another --name.`,
        },
      );
    }
    const expected = new Set([...keep, ...pathsOf(former)]);
    const parents = new Set<string>();
    for (const path of pathsOf(next)) {
      if (!expected.has(path) && (await files.exists(path)) && !(await files.isDirectory(path)))
        throw new AtomicError('file-exists', `The file ${path} already exists.`);
      for (const parent of await files.missingParents(path)) parents.add(parent);
    }
    for (const path of keep) await removeAndSync(files, besideOld(path));
    return { installed, parents: [...parents] };
  },
  apply: async ({ package: next, former, keep }, context) => {
    await aside(keep, context, async () => {
      await context.packages.upgrade(next.file);
      await syncPlaces([next, former], context);
    });
  },
  undo: async ({ package: next, former, keep }, before, context) => {
    const { installed = null, parents = [] } = as<WasInstalled>(before);
    const { files, packages } = context;
    const was = installed === null ? undefined : former;
    await aside(keep, context, async () => {
      await removeUnfinished([...pathsOf(next), ...pathsOf(former)], context);
      if (await isAsItWas(next, was, installed, keep, context)) return;
      if (was === undefined) await takeAway(next, context);
      else await packages.upgrade(was.file);
    });
    for (const parent of [...parents].sort().reverse())
      if (await files.isDirectory(parent)) await removeAndSync(files, parent);
    await syncPlaces([next, former], context);
  },
};

export const removePackage: Of<'remove-package'> = {
  capture: async ({ package: old, keep }, { files, packages }) => {
    for (const path of keep) await removeAndSync(files, besideOld(path));
    return (await packages.installed(old.name)) ?? null;
  },
  apply: async ({ package: old, keep }, context, before) => {
    if (before === null) return;
    await aside(keep, context, async () => {
      await context.packages.erase(old.name);
      await syncPlaces([old], context);
    });
  },
  undo: async ({ package: old, keep }, before, context) => {
    if (typeof before !== 'string') return;
    await aside(keep, context, async () => {
      await removeUnfinished(pathsOf(old), context);
      if (await isAsItWas(old, old, before, keep, context)) return;
      await context.packages.upgrade(old.file);
    });
    await syncPlaces([old], context);
  },
};

function pathsOf(each: PackageOnDisk | undefined): string[] {
  return [...(each?.paths ?? [])];
}

/** Half of an installation that the power has cut off is in no database: whole, it can be taken away. */
async function takeAway(next: PackageOnDisk, context: StepContext): Promise<void> {
  const { files, packages } = context;
  if ((await packages.installed(next.name)) === undefined) {
    const isThere = await Promise.all(pathsOf(next).map((path) => files.exists(path)));
    if (!isThere.includes(true)) return;
    await packages.upgrade(next.file);
  }
  await packages.erase(next.name);
}

/** Whether rpm has changed nothing: it asks for space before it begins, and a way back has to need none. */
async function isAsItWas(
  next: PackageOnDisk,
  was: PackageOnDisk | undefined,
  installed: string | null,
  keep: readonly string[],
  { files, packages }: StepContext,
): Promise<boolean> {
  if (((await packages.installed(next.name)) ?? null) !== installed) return false;
  if (installed !== null) {
    const altered = await packages.listAltered(next.name);
    if (altered.some((path) => !keep.includes(path))) return false;
  }
  for (const path of pathsOf(next)) {
    const isOurs = pathsOf(was).includes(path) || keep.includes(path);
    if (!isOurs && (await files.exists(path))) return false;
  }
  return true;
}

/**
 * Somebody's versions of files are out of their places while rpm is at it: it would remove them, or write over them.
 * What is away already stays what is put back: only rpm can have put something there since.
 */
async function aside(
  keep: readonly string[],
  { files }: StepContext,
  work: () => Promise<void>,
): Promise<void> {
  try {
    for (const path of keep) {
      const away = besideOld(path);
      if (!(await files.exists(away)) && (await files.exists(path))) await moveAndSync(files, path, away);
    }
    await work();
  } finally {
    for (const path of keep) {
      const away = besideOld(path);
      if (await files.exists(away)) await moveAndSync(files, away, path);
    }
  }
}

/**
 * rpm makes all files of a package as `NAME;8 hexadecimal digits`, and then renames them. The digits are the second that
 * it began in: one that begins in the same second would find these in its way.
 */
async function removeUnfinished(paths: readonly string[], { files }: StepContext): Promise<void> {
  const names = new Map<string, Set<string>>();
  for (const path of paths) {
    const folder = dirname(path);
    names.set(folder, (names.get(folder) ?? new Set()).add(basename(path)));
  }
  for (const [folder, ours] of names) {
    if (!(await files.isDirectory(folder))) continue;
    for (const name of await files.list(folder)) {
      const made = /^(.+);[0-9a-f]{8}$/.exec(name)?.[1];
      if (made !== undefined && ours.has(made)) await removeAndSync(files, join(folder, name));
    }
  }
}

/** rpm syncs its database, and no file: one sync for each part of the root that it wrote to. */
async function syncPlaces(
  all: readonly (PackageOnDisk | undefined)[],
  { files, packages }: StepContext,
): Promise<void> {
  const places = new Set(all.flatMap(pathsOf).map((path) => `/${path.split('/')[1] ?? ''}`));
  for (const place of [...places, await packages.database()])
    if (await files.isDirectory(place)) await files.syncFilesystem(place);
}
