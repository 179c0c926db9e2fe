/** The steps that ask systemd and OCI runtimes for something. */
import { dirname } from 'node:path';
import { AtomicError, messageOf } from '../../errors.ts';
import {
  changeUnitLinks,
  keepBeside,
  listUnitLinks,
  putBack,
  removeAndSync,
  removeTreeAndSync,
  syncUnitLinks,
} from '../durable.ts';
import { besideOld } from '../beside.ts';
import type { StepContext } from '../context.ts';
import { missingTmpfilesPaths } from '../tmpfiles-paths.ts';
import { as, captureNothing, doNothing, type Of } from './handler.ts';

/** How long a service that is started again on the way back is watched: the user waits for it. */
const AGAIN_MS = 500;

export const daemonReload: Of<'daemon-reload'> = {
  capture: captureNothing,
  apply: (_step, { services }) => services.daemonReload(),
  undo: doNothing,
};

export const reloadWhenUndone: Of<'reload-when-undone'> = {
  capture: captureNothing,
  apply: doNothing,
  undo: (_step, _before, { services }) => services.daemonReload(),
};

export const createTmpfiles: Of<'create-tmpfiles'> = {
  capture: ({ path }, { files }) => missingTmpfilesPaths(path, files),
  apply: ({ path }, { services }) => services.tmpfilesCreate(path),
  // What was not there before goes with all that the service has put into it since.
  undo: async (_step, before, { files }) => {
    for (const path of Array.isArray(before) ? before : []) await removeTreeAndSync(files, String(path));
  },
};

export const removeTmpfiles: Of<'remove-tmpfiles'> = {
  capture: captureNothing,
  apply: ({ path }, { services }) => services.tmpfilesRemove(path),
  // What an `R` or `D` line emptied is state of /run; what it makes is made again.
  undo: async ({ path }, _before, { files, services }) => {
    if (await files.exists(path)) await services.tmpfilesCreate(path);
  },
};

export const enable: Of<'enable'> = {
  capture: async ({ unit }, { services }) => (await services.state(unit)).enabled,
  apply: ({ unit, folder }, { files, services }) =>
    changeUnitLinks(files, folder, () => services.enable(unit)),
  undo: async ({ unit, folder }, before, { files, services }) => {
    if (before !== false) return;
    await services.disable(unit);
    await syncUnitLinks(files, folder);
  },
};

interface WasEnabled {
  readonly active: boolean;
  readonly enabled: boolean;
  readonly links: readonly string[];
}

export const disableNow: Of<'disable-now'> = {
  capture: async ({ unit, folder }, { files, services }) => {
    const links = await listUnitLinks(files, folder, unit);
    for (const path of links) await removeAndSync(files, besideOld(path));
    return { ...(await services.state(unit)), links };
  },
  // systemctl removes links; hidden ones, which are nothing to systemd, it passes over.
  apply: async ({ unit, folder }, { files, services }, before) => {
    for (const path of as<WasEnabled>(before).links ?? []) await keepBeside(files, path, besideOld(path));
    await changeUnitLinks(files, folder, () => services.disableNow(unit));
    // A program that does not end well when it is told to would stay in the list of failed units without its unit.
    await services.resetFailed(unit);
  },
  undo: async ({ unit }, before, context) => {
    const { active, enabled, links = [] } = as<WasEnabled>(before);
    const { files, services } = context;
    for (const path of links) await putBack(files, path, besideOld(path));
    if (links.length > 0) await services.daemonReload();
    // Enabled elsewhere than in the folder: below /run, or by a generator.
    if (enabled === true && !(await services.state(unit)).enabled) await services.enable(unit);
    if (active === true) await startAgain(unit, context);
  },
  clean: async ({ folder }, before, { files }) => {
    for (const path of as<WasEnabled>(before).links ?? []) {
      await removeAndSync(files, besideOld(path));
      // Folders that hold nothing more go, as systemctl would have it.
      if (dirname(path) !== folder) await removeAndSync(files, dirname(path));
    }
  },
};

export const removeContainer: Of<'remove-container'> = {
  capture: async ({ runtime, container, ours }, { containers }) =>
    ours || !(await containers.exists(runtime, container)),
  apply: async ({ runtime, container, ours }, { containers }) => {
    if (ours) await containers.remove(runtime, container);
  },
  undo: async ({ runtime, container }, before, { containers }) => {
    if (before === true) await containers.remove(runtime, container);
  },
};

/** What a container that runs once has done stays: it is asked for its work. Its container goes by another step. */
export const runAttached: Of<'run-attached'> = {
  capture: captureNothing,
  apply: ({ runtime, container, folder }, { containers }) => containers.run(runtime, container, folder),
  undo: doNothing,
};

export const start: Of<'start'> = {
  capture: async ({ unit }, { services }) => (await services.state(unit)).active,
  apply: (step, context) => startAndWatch(step, context),
  undo: async ({ unit }, before, { services }) => {
    if (before === true) return;
    await services.stop(unit);
    await services.resetFailed(unit);
  },
};

export const stop: Of<'stop'> = {
  capture: async ({ unit }, { services }) => (await services.state(unit)).active,
  apply: ({ unit }, { services }) => services.stop(unit),
  undo: async ({ unit }, before, context) => {
    if (before === true) await startAgain(unit, context);
  },
};

/** A start that systemd refuses has no time to settle; its state and its journal lines are looked at all the same. */
async function startAndWatch(
  { unit, settleMs, health }: Parameters<typeof start.apply>[0],
  { services, signal }: StepContext,
): Promise<void> {
  let refused: unknown;
  try {
    await services.start(unit, signal);
  } catch (error) {
    refused = error;
  }
  const settling =
    refused === undefined
      ? { settleMs, signal, ...(health === undefined ? {} : { health }) }
      : { settleMs: 0, signal };
  const verdict = await services.waitSettled(unit, settling);
  if (refused === undefined && verdict.ok) return;
  const reason = verdict.ok ? messageOf(refused) : verdict.reason;
  const mend = 'Mend the image or its values (--set), and try again.';
  const ignore = health === undefined ? '' : ' Without its health check it starts with --no-healthcheck.';
  throw new AtomicError('service-failed', `The service ${unit} did not start: ${reason}`, {
    ...(refused === undefined ? {} : { cause: refused }),
    details: verdict.ok ? '' : verdict.journal,
    hint: `Everything is as it was before. ${mend}${ignore}`,
  });
}

/**
 * A service that ran before the change runs again.
 * @throws AtomicError `service-failed` when it does not, though everything that it is made of is as it was
 */
async function startAgain(unit: string, { services }: StepContext): Promise<void> {
  await services.start(unit);
  const verdict = await services.waitSettled(unit, { settleMs: AGAIN_MS });
  if (verdict.ok) return;
  throw new AtomicError(
    'service-failed',
    `the service ${unit}, which ran before, does not come up again: ${verdict.reason}`,
    { details: verdict.journal },
  );
}
