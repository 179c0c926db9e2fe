/**
 * The table of steps: for each kind what has to be known beforehand to undo it, its way forward, its way back, and
 * what is left to do once everything has ended well.
 *
 * No two steps of a plan put something in the same place but those whose way back can tell them apart; so a way back may
 * be taken twice.
 */
import type { StepContext } from './context.ts';
import type { Step } from './plan.ts';
import { keepFailed } from './steps/failed.ts';
import * as files from './steps/files.ts';
import type { Before, Handler, Of } from './steps/handler.ts';
import { installPackage, removePackage } from './steps/packages.ts';
import * as services from './steps/services.ts';
import { collectGarbage, removeRef, setRef } from './steps/store.ts';

export type { Before } from './steps/handler.ts';

const HANDLERS: { readonly [K in Step['kind']]: Of<K> } = {
  'keep-failed': keepFailed,
  'place-deployment': files.placeDeployment,
  'set-aside': files.setAside,
  'keep-aside': files.keepAside,
  'create-file': files.createFile,
  'replace-file': files.replaceFile,
  'create-host-file': files.createHostFile,
  'install-package': installPackage,
  'remove-package': removePackage,
  'switch-link': files.switchLink,
  'daemon-reload': services.daemonReload,
  'reload-when-undone': services.reloadWhenUndone,
  'create-tmpfiles': services.createTmpfiles,
  'remove-tmpfiles': services.removeTmpfiles,
  enable: services.enable,
  'disable-now': services.disableNow,
  'remove-container': services.removeContainer,
  'run-attached': services.runAttached,
  start: services.start,
  stop: services.stop,
  'remove-ref': removeRef,
  'set-ref': setRef,
  'collect-garbage': collectGarbage,
};

/** Whether this version can take a step, or take it back; a journal may be another version's. */
export function isKnownStep(step: { readonly kind?: unknown }): step is Step {
  return typeof step.kind === 'string' && Object.hasOwn(HANDLERS, step.kind);
}

export function captureStep(step: Step, context: StepContext): Promise<Before> {
  return handlerOf(step).capture(step, context);
}

export function applyStep(step: Step, before: Before, context: StepContext): Promise<void> {
  return handlerOf(step).apply(step, context, before);
}

export function undoStep(step: Step, before: Before, context: StepContext): Promise<void> {
  return handlerOf(step).undo(step, before, context);
}

/** Removes what was only kept for the way back. */
export async function cleanStep(step: Step, before: Before, context: StepContext): Promise<void> {
  await handlerOf(step).clean?.(step, before, context);
}

/** The table's types tie each kind to its own step; a look-up by a union's kind loses that tie. */
function handlerOf(step: Step): Handler<Step> {
  return HANDLERS[step.kind] as unknown as Handler<Step>;
}
