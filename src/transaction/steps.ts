/**
 * The table of steps: for each kind what has to be known beforehand to undo it, its way forward, its way back, and
 * what is left to do once everything has ended well.
 *
 * `capture` is on the disk before `apply` begins. A way back may meet a step that was not begun, half done or done,
 * because a process can die anywhere: it looks, and does what is left to do.
 */
import { dirname } from 'node:path';
import { AtomicError, messageOf } from '../errors.ts';
import { OWN_JSON_BYTES } from '../limits.ts';
import type { StepContext } from './context.ts';
import type { Step } from './plan.ts';
import { missingTmpfilesPaths } from './tmpfiles-paths.ts';

/** Plain data that a way back needs; null when it needs nothing. */
export type Before =
  null | boolean | string | readonly string[] | { readonly [key: string]: Before | number };

type Handler<S extends Step> = {
  readonly capture: (step: S, context: StepContext) => Promise<Before>;
  readonly apply: (step: S, context: StepContext) => Promise<void>;
  readonly undo: (step: S, before: Before, context: StepContext) => Promise<void>;
  readonly clean?: (step: S, context: StepContext) => Promise<void>;
};

type Handlers = { readonly [K in Step['kind']]: Handler<Extract<Step, { kind: K }>> };

const nothing = (): Promise<null> => Promise.resolve(null);

const HANDLERS: Handlers = {
  'place-deployment': {
    capture: async ({ to }, { files }) => {
      if (await files.exists(to)) throw new AtomicError('file-exists', `The folder ${to} already exists.`);
      return null;
    },
    apply: async ({ from, to }, { files }) => {
      // The tree has to be on the disk before anything points at it.
      await files.syncFilesystem(from);
      await moveAndSync(files, from, to);
    },
    undo: async ({ from, to }, _before, { files }) => {
      await files.removeTree(from);
      await files.removeTree(to);
      await files.syncDirectory(dirname(to));
    },
  },
  'set-aside': {
    capture: async ({ path, to }, { files }) => {
      // The way back takes what stands there for what this change has put there.
      await files.removeTree(to);
      return files.exists(path);
    },
    apply: async ({ path, to }, { files }) => {
      if (!(await files.exists(path))) return;
      await files.makeDirectory(dirname(to), 0o700);
      await moveAndSync(files, path, to);
    },
    undo: async ({ path, to }, before, { files }) => {
      if (before === true && (await files.exists(to))) await moveAndSync(files, to, path);
    },
    clean: ({ to }, { files }) => files.removeTree(to),
  },
  'create-file': {
    capture: async ({ path }, { files }) => {
      if (await files.exists(path)) throw new AtomicError('file-exists', `The file ${path} already exists.`);
      return null;
    },
    apply: ({ path, mode, content }, { files }) =>
      files.writeFileAtomic(path, content, mode, { exclusive: true }),
    undo: async ({ path }, _before, { files }) => {
      await files.remove(path);
      await files.syncDirectory(dirname(path));
    },
  },
  'replace-file': {
    capture: ({ path }, { files }) => captureFile(path, files),
    apply: ({ path, mode, content }, { files }) => files.writeFileAtomic(path, content, mode),
    undo: ({ path }, before, { files }) => restoreFile(path, before, files),
  },
  'remove-file': {
    capture: ({ path }, { files }) => captureFile(path, files),
    apply: async ({ path }, { files }) => {
      await files.remove(path);
      await files.syncDirectory(dirname(path));
    },
    undo: ({ path }, before, { files }) => restoreFile(path, before, files),
  },
  'create-host-file': {
    capture: async ({ file }, { files }) => {
      if (await files.exists(file.path))
        throw new AtomicError('file-exists', `The file ${file.path} already exists.`);
      return files.missingParents(file.path);
    },
    apply: ({ file }, { files }) => files.install(file),
    undo: async ({ file }, before, { files }) => {
      await files.remove(file.path);
      // Only folders that are empty go; the innermost first.
      for (const parent of Array.isArray(before) ? [...before].reverse() : [])
        await files.remove(String(parent));
    },
  },
  'switch-link': {
    capture: async ({ path }, { files }) => {
      const target = await files.readLink(path);
      if (target !== undefined || !(await files.exists(path))) return target ?? null;
      throw new AtomicError('file-exists', `${path} already exists, and is no symbolic link`);
    },
    apply: ({ path, target }, { files }) => files.replaceSymlink(path, target),
    undo: async ({ path }, before, { files }) => {
      if (typeof before === 'string') await files.replaceSymlink(path, before);
      else await files.remove(path);
      await files.syncDirectory(dirname(path));
    },
  },
  'daemon-reload': {
    capture: nothing,
    apply: (_step, { services }) => services.daemonReload(),
    undo: () => Promise.resolve(),
  },
  'reload-when-undone': {
    capture: nothing,
    apply: () => Promise.resolve(),
    undo: (_step, _before, { services }) => services.daemonReload(),
  },
  'create-tmpfiles': {
    capture: ({ path }, { files }) => missingTmpfilesPaths(path, files),
    apply: ({ path }, { services }) => services.tmpfilesCreate(path),
    // What was not there before goes with all that the service has put into it since.
    undo: async (_step, before, { files }) => {
      for (const path of Array.isArray(before) ? before : []) await files.removeTree(String(path));
    },
  },
  'remove-tmpfiles': {
    capture: nothing,
    apply: ({ path }, { services }) => services.tmpfilesRemove(path),
    // What an `R` or `D` line emptied is state of /run; what it makes is made again.
    undo: async ({ path }, _before, { files, services }) => {
      if (await files.exists(path)) await services.tmpfilesCreate(path);
    },
  },
  enable: {
    capture: async ({ unit }, { services }) => (await services.state(unit)).enabled,
    apply: ({ unit }, { services }) => services.enable(unit),
    undo: async ({ unit }, before, { services }) => {
      if (before === false) await services.disable(unit);
    },
  },
  'disable-now': {
    capture: async ({ unit }, { services }) => services.state(unit),
    apply: ({ unit }, { services }) => services.disableNow(unit),
    undo: async ({ unit }, before, { services }) => {
      const was = before as { readonly active?: boolean; readonly enabled?: boolean } | null;
      if (was?.enabled === true) await services.enable(unit);
      if (was?.active === true) await services.start(unit);
    },
  },
  'remove-container': {
    capture: async ({ runtime, container, ours }, { containers }) =>
      ours || !(await containers.exists(runtime, container)),
    apply: async ({ runtime, container, ours }, { containers }) => {
      if (ours) await containers.remove(runtime, container);
    },
    undo: async ({ runtime, container }, before, { containers }) => {
      if (before === true) await containers.remove(runtime, container);
    },
  },
  start: {
    capture: async ({ unit }, { services }) => (await services.state(unit)).active,
    apply: ({ unit, settleMs }, context) => startAndWatch(unit, settleMs, context),
    undo: async ({ unit }, before, { services }) => {
      if (before === true) return;
      await services.stop(unit);
      await services.resetFailed(unit);
    },
  },
  stop: {
    capture: async ({ unit }, { services }) => (await services.state(unit)).active,
    apply: ({ unit }, { services }) => services.stop(unit),
    undo: async ({ unit }, before, { services }) => {
      if (before === true) await services.start(unit);
    },
  },
  'remove-ref': {
    capture: ({ path }, { files }) => captureFile(path, files),
    apply: async ({ path }, { files }) => {
      await files.remove(path);
      await files.syncDirectory(dirname(path));
    },
    // An import may have come in between a death and its repair: its ref is as good.
    undo: async ({ path }, before, { files }) => {
      if (!(await files.exists(path))) await restoreFile(path, before, files);
    },
  },
  'collect-garbage': {
    capture: nothing,
    apply: () => Promise.resolve(),
    undo: () => Promise.resolve(),
    clean: ({ repository }, { store }) => store.collectGarbage(repository),
  },
};

/** Whether this version can take a step, or take it back; a journal may be another version's. */
export function isKnownStep(step: { readonly kind?: unknown }): step is Step {
  return typeof step.kind === 'string' && Object.hasOwn(HANDLERS, step.kind);
}

export function captureStep(step: Step, context: StepContext): Promise<Before> {
  return handlerOf(step).capture(step, context);
}

export function applyStep(step: Step, context: StepContext): Promise<void> {
  return handlerOf(step).apply(step, context);
}

export function undoStep(step: Step, before: Before, context: StepContext): Promise<void> {
  return handlerOf(step).undo(step, before, context);
}

/** Removes what was only kept for the way back. */
export async function cleanStep(step: Step, context: StepContext): Promise<void> {
  await handlerOf(step).clean?.(step, context);
}

/** The table's types tie each kind to its own step; a look-up by a union's kind loses that tie. */
function handlerOf(step: Step): Handler<Step> {
  return HANDLERS[step.kind] as unknown as Handler<Step>;
}

type Files = StepContext['files'];

async function moveAndSync(files: Files, from: string, to: string): Promise<void> {
  await files.rename(from, to);
  await files.syncDirectory(dirname(to));
  if (dirname(from) !== dirname(to)) await files.syncDirectory(dirname(from));
}

/** A small file of our own (a unit, a tmpfiles configuration), whole; or where a link in its place points. */
async function captureFile(path: string, files: Files): Promise<Before> {
  const link = await files.readLink(path);
  if (link !== undefined) return { link };
  const content = await files.readIfExists(path, OWN_JSON_BYTES);
  return content === undefined ? null : { content: content.toString('base64') };
}

async function restoreFile(path: string, before: Before, files: Files): Promise<void> {
  const was = before as { readonly link?: string; readonly content?: string } | null;
  if (was?.link !== undefined) await files.replaceSymlink(path, was.link);
  else if (was?.content !== undefined)
    await files.writeFileAtomic(path, Buffer.from(was.content, 'base64'), 0o644);
  else await files.remove(path);
  await files.syncDirectory(dirname(path));
}

/** A start that systemd refuses has no time to settle; its state and its journal lines are looked at all the same. */
async function startAndWatch(
  unit: string,
  settleMs: number,
  { services, signal }: StepContext,
): Promise<void> {
  let refused: unknown;
  try {
    await services.start(unit, signal);
  } catch (error) {
    refused = error;
  }
  const verdict = await services.waitSettled(unit, refused === undefined ? settleMs : 0, signal);
  if (refused === undefined && verdict.ok) return;
  const reason = verdict.ok ? messageOf(refused) : verdict.reason;
  throw new AtomicError('service-failed', `The service ${unit} did not start: ${reason}`, {
    ...(refused === undefined ? {} : { cause: refused }),
    details: verdict.ok ? '' : verdict.journal,
    hint: 'Everything is as it was before. Mend the image or its values (--set), and try again.',
  });
}
