/** The steps that put files and folders into their places, and take them away. */
import { dirname } from 'node:path';
import { AtomicError } from '../../errors.ts';
import type { HostFiles } from '../../host/ports.ts';
import { besideNew } from '../beside.ts';
import {
  keepBeside,
  makeOwnFolder,
  moveAndSync,
  putBack,
  removeAndSync,
  removeTreeAndSync,
} from '../durable.ts';
import { as, type Of } from './handler.ts';

/** A file or link that is made at `temporary`, and has that name until the change has ended. */
interface Made {
  readonly temporary: string;
}

export const placeDeployment: Of<'place-deployment'> = {
  capture: async ({ to }, { files }) => {
    if (await files.exists(to)) throw new AtomicError('file-exists', `The folder ${to} already exists.`);
    return null;
  },
  apply: async ({ from, to }, { files }) => {
    // The tree has to be on the disk before anything points at it.
    await files.syncFilesystem(from);
    await moveAndSync(files, from, to);
  },
  // Back to where trees in the making are: while one stands there, what stands in its place is another's.
  undo: async ({ from, to }, _before, { files }) => {
    if (!(await files.exists(from)) && (await files.exists(to))) await moveAndSync(files, to, from);
  },
};

export const setAside: Of<'set-aside'> = {
  capture: async ({ path, to }, { files }) => {
    // The way back takes what stands there for what this change has put there.
    await removeTreeAndSync(files, to);
    return files.exists(path);
  },
  apply: async ({ path, to }, { files }) => {
    if (!(await files.exists(path))) return;
    await makeOwnFolder(files, dirname(to));
    await moveAndSync(files, path, to);
  },
  undo: async ({ path, to }, before, { files }) => {
    if (before === true && (await files.exists(to))) await moveAndSync(files, to, path);
  },
  clean: ({ to }, _before, { files }) => removeTreeAndSync(files, to),
};

export const keepAside: Of<'keep-aside'> = {
  capture: async ({ to }, { files }) => {
    await requireNothing(to, files);
    return null;
  },
  apply: ({ path, to }, { files }) => moveAndSync(files, path, to),
  undo: async ({ path, to }, _before, { files }) => {
    if (await files.exists(to)) await moveAndSync(files, to, path);
  },
};

export const createFile: Of<'create-file'> = {
  capture: async ({ path }, { files }) => {
    await requireNothing(path, files);
    return { temporary: besideNew(path) };
  },
  apply: async ({ path, mode, content }, { files }, before) => {
    const { temporary = besideNew(path) } = as<Made>(before);
    await files.createFile(temporary, content, mode);
    await files.link(temporary, path);
    await files.label(path);
    await files.syncDirectory(dirname(path));
  },
  undo: ({ path }, before, { files }) => removeMade(path, as<Made>(before), files),
  clean: (_step, before, { files }) => forget(as<Made>(before), files),
};

export const replaceFile: Of<'replace-file'> = {
  capture: async ({ path, aside }, { files }) => {
    await removeAndSync(files, aside);
    return { temporary: besideNew(path), existed: await files.exists(path) };
  },
  apply: async ({ path, mode, content, aside }, { files }, before) => {
    const { temporary = besideNew(path), existed } = as<Made & Existed>(before);
    if (existed === true) await keepBeside(files, path, aside);
    await files.createFile(temporary, content, mode);
    await moveAndSync(files, temporary, path);
    await files.label(path);
  },
  undo: ({ path, aside }, before, { files }) => restore(path, aside, as<Made & Existed>(before), files),
  clean: ({ aside }, _before, { files }) => removeAndSync(files, aside),
};

export const switchLink: Of<'switch-link'> = {
  capture: async ({ path, aside }, { files }) => {
    const target = await files.readLink(path);
    if (target === undefined && (await files.exists(path)))
      throw new AtomicError('file-exists', `${path} already exists, and is no symbolic link`);
    await removeAndSync(files, aside);
    return { temporary: besideNew(path), existed: target !== undefined };
  },
  apply: async ({ path, target, aside }, { files }, before) => {
    const { temporary = besideNew(path), existed } = as<Made & Existed>(before);
    if (existed === true) await keepBeside(files, path, aside);
    await files.createSymlink(temporary, target);
    await moveAndSync(files, temporary, path);
  },
  undo: ({ path, aside }, before, { files }) => restore(path, aside, as<Made & Existed>(before), files),
  clean: ({ aside }, _before, { files }) => removeAndSync(files, aside),
};

export const createHostFile: Of<'create-host-file'> = {
  capture: async ({ file, aside }, { files }) => {
    if (aside === undefined) await requireNothing(file.path, files);
    else await removeAndSync(files, aside);
    return { temporary: besideNew(file.path), parents: await files.missingParents(file.path) };
  },
  apply: async ({ file, aside }, { files }, before) => {
    const { temporary = besideNew(file.path) } = as<Made>(before);
    if (aside !== undefined && (await files.exists(file.path))) await moveAndSync(files, file.path, aside);
    await files.install(file, temporary);
  },
  undo: async ({ file, aside }, before, { files }) => {
    const { parents = [], ...made } = as<Made & { parents: readonly string[] }>(before);
    if (file.kind === 'directory') await removeFolder(file.path, files);
    await removeMade(file.path, made, files);
    if (aside !== undefined && (await files.exists(aside))) await moveAndSync(files, aside, file.path);
    // Only folders that are empty go; the innermost first.
    for (const parent of [...parents].reverse()) await removeFolder(parent, files);
  },
  clean: async ({ aside }, before, { files }) => {
    await forget(as<Made>(before), files);
    if (aside !== undefined) await removeAndSync(files, aside);
  },
};

interface Existed {
  readonly existed: boolean;
}

async function requireNothing(path: string, files: HostFiles): Promise<void> {
  if (await files.exists(path)) throw new AtomicError('file-exists', `The file ${path} already exists.`);
}

async function restore(
  path: string,
  aside: string,
  { temporary, existed }: Partial<Made & Existed>,
  files: HostFiles,
): Promise<void> {
  if (temporary !== undefined) await removeAndSync(files, temporary);
  if (existed === true) await putBack(files, path, aside);
  else await removeAndSync(files, path);
}

/** Removes a file from its place if it is the one that was made, whoever else may have been there first. */
async function removeMade(path: string, { temporary }: Partial<Made>, files: HostFiles): Promise<void> {
  if (temporary === undefined) return;
  if (await files.isSame(temporary, path)) await removeAndSync(files, path);
  await removeAndSync(files, temporary);
}

async function forget({ temporary }: Partial<Made>, files: HostFiles): Promise<void> {
  if (temporary !== undefined) await removeAndSync(files, temporary);
}

/** Removes an empty folder, and nothing else that may have come into its place. */
async function removeFolder(path: string, files: HostFiles): Promise<void> {
  if ((await files.isDirectory(path)) && (await files.readLink(path)) === undefined)
    await removeAndSync(files, path);
}
